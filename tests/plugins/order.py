"""What takes long comes first, and waits beside the rest.

Files are given to processes in this order: a long one at the end would leave the others with nothing to do. Many tests
wait, for the timers of servers and of Terraform's providers; one process more than there are cores keeps these busy.
"""

import os
from pathlib import Path

import pytest

FIRST = ("deploy/terraform/test_moto.py", "end_to_end", "benchmarks", "deploy", "engine", "admin_ui", "gateway")
"""Below tests/; then come the others, whose files take seconds."""


def rank(path: Path, folder: Path) -> int:
    """The place of a test's file, which stay in order among those of one place."""
    below = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else ""
    return next((place for place, start in enumerate(FIRST) if below.startswith(start)), len(FIRST))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path, config.rootpath / "tests"))


def pytest_xdist_auto_num_workers() -> int:
    """For `--numprocesses auto`."""
    return (os.cpu_count() or 1) + 1
