"""`--images`: build images and run them, which takes minutes and the rights to run containers."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Off unless asked for: `make test-images`."""
    parser.addoption("--images", action="store_true", help="Build images and run them (make test-images).")
