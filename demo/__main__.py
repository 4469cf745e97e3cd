"""`python -m demo`: the fleet to look at, until Ctrl-C."""

import argparse
import sys
import tempfile
from pathlib import Path

from demo.customers import PASSWORD
from demo.serving import run


def main() -> None:
    """Serve it on this machine."""
    options = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    options.add_argument("--port", type=int, default=8090, help="0: a free one")
    options.add_argument("--empty", action="store_true", help="an operator, and nothing else yet")
    chosen = options.parse_args()
    print(f"Sign in as ada (or vera, who only looks, or noor of one tenant) with: {PASSWORD}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="shoal-demo-") as folder:
        run(chosen.port, Path(folder), empty=chosen.empty)


if __name__ == "__main__":
    main()
