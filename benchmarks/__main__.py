"""`python -m benchmarks [NAME] [options]`: end_to_end and gateway where none is named."""

import importlib
import sys

from benchmarks.processes import NotMeasurable
from shoal.failures import StartFailure

BENCHMARKS = (
    "batches",
    "chaos",
    "console",
    "crashes",
    "end_to_end",
    "exact_quotas",
    "families",
    "fleet",
    "gateway",
    "hop",
    "litellm",
    "many_models",
    "rolling",
    "scheduler",
    "simulation",
    "snapshot",
    "swap",
)
UNNAMED = ("end_to_end", "gateway")
"""Run where none is named."""


def main(arguments: list[str]) -> int:
    """Run what was named; its own `--help` says what it takes."""
    one = bool(arguments) and not arguments[0].startswith("-")
    if one and arguments[0] not in BENCHMARKS:
        print(f"No benchmark is called {arguments[0]!r}. There are: {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    try:
        for name in arguments[:1] if one else UNNAMED:
            importlib.import_module(f"benchmarks.{name}").main(arguments[1:] if one else arguments)
    except (NotMeasurable, StartFailure) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
