"""Long lists in pages: each begins after the last line of the one before, so what comes and goes shifts nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from admin_ui.contexts.frame import Pager

Item = TypeVar("Item")
PAGE = 50
"""Lines of a page. Ask the service for one more, to know whether there is a next page."""


def page_of(
    items: Sequence[Item], here: str, query: Mapping[str, str], *, position: Callable[[Item], str], size: int = PAGE
) -> tuple[Sequence[Item], Pager]:
    """The first `size` items and where the list goes on. `query` is the address's; `position` goes to its `after`."""
    rest = {name: value for name, value in query.items() if name != "after"}
    first = address(here, rest) if query.get("after") else None
    more = address(here, rest | {"after": position(items[size - 1])}) if len(items) > size else None
    return items[:size], Pager(first, more)


def address(path: str, query: Mapping[str, str]) -> str:
    """A path with a query; what is empty is left out."""
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{text}" if text else path
