"""`python -m shoal.workers DESCRIPTOR`: one worker, started by its parent and by nobody else."""

import sys

from gateway.errors import GatewayError
from shoal import process
from shoal.failures import StartFailure
from shoal.logs import configure_logs
from shoal.workers.worker import work


def main() -> None:
    """Serve until told to stop, or until the parent is gone."""
    configure_logs()
    try:
        process.run(work(int(sys.argv[1])))
    except (StartFailure, GatewayError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
