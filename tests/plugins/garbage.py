"""Search for garbage less: not while tests are collected, and never again among what was there by then.

Modules and thousands of collected tests stay to the end. To go through them again and again took a third of the
processor time of tests that make many objects, as every application does that is put together.
"""

import gc
from collections.abc import Iterator

import pytest

ROUNDS = (20_000, 20, 20)
"""Python's own are 700, 10, 10. What nobody closed is still found, and told by pytest, at most a few tests later."""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    gc.disable()
    collected = yield
    gc.freeze()
    gc.set_threshold(*ROUNDS)
    gc.enable()
    return collected
