"""Patterns over model names: `*` is any run of characters (`/` too), `?` any one character, all else is literal."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Whether the pattern covers the whole of some name; case counts."""
    covers = None if pattern == "*" else _compiled(pattern)
    for name in names:  # noqa: SIM110 (every request comes by a dozen times; a generator costs more than what it does)
        if covers is None or covers(name):
            return True
    return False


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Callable[[str], re.Match[str] | None]:
    # The first place where a piece between two stars fits is as good as any later one, so each is an atomic group:
    # no pattern, however many stars it has, can make the search backtrack through them.
    first, *rest = (_literal(piece) for piece in re.split(r"\*+", pattern))
    if not rest:
        return re.compile(first, re.DOTALL).fullmatch
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL).fullmatch


def _literal(piece: str) -> str:
    return "".join("." if char == "?" else re.escape(char) for char in piece)
