"""Every test has an id of its own: of several with one id, processes beside each other run the first alone."""

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if not item.nodeid.endswith(item.name):  # of schemathesis' tests pytest 9.2 knows no parameters
            item._id = item.id.with_params(item.name.partition("[")[2].removesuffix("]"))
        if item.nodeid in seen:
            raise pytest.UsageError(f"Two tests are called {item.nodeid}.")
        seen.add(item.nodeid)
