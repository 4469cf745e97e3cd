"""What a name may look like; one rule per kind of name, refused with the reason."""

import re
import unicodedata

from gateway.errors import RequestError

MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/@+-]{0,198}[A-Za-z0-9_+-])?")
MODEL_PATTERN = re.compile(r"[A-Za-z0-9._:/@+*?-]{1,200}")
SUFFIXES = (":query", ":document")
"""What callers may append to a model's name to choose its prompt; no name of its own may end so."""


def checked_name(name: str, of: str) -> str:
    """A name for people, in Unicode's composed form so that one spelling is one name: 1 to 64 printable characters."""
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= 64:
        raise RequestError(f"The {of} name has {len(name)} characters; 1 to 64 are allowed.", param="name")
    if not name.isprintable() or name != name.strip():
        raise RequestError(
            f"The {of} name {name!r} has control or invisible characters, or a space at an end.", param="name"
        )
    return name


def known_spelling(name: str) -> str | None:
    """A name to look up, in the spelling under which it would be kept; None for one that nothing can have."""
    name = unicodedata.normalize("NFC", name)
    return name if name.isprintable() else None


def checked_model_name(name: str, of: str = "a model id") -> str:
    """A model's id or alias: what a hub id may have, so that it can stand in a URL, a pattern and a log line."""
    if MODEL_NAME.fullmatch(name) is None or "//" in name or ".." in name:
        raise RequestError(
            f"{name!r} can not be {of}: use 1 to 200 letters, digits and ._:/@+- beginning with a letter or digit.",
            param="id",
        )
    if name.endswith(SUFFIXES):
        raise RequestError(f"{name!r} can not be {of}: the endings :query and :document choose a prompt.", param="id")
    return name


def checked_pattern(pattern: str) -> str:
    """A pattern of model names: their characters, `*` for any run of characters and `?` for any one."""
    if MODEL_PATTERN.fullmatch(pattern) is None:
        raise RequestError(
            f"{pattern!r} is no pattern of models: use letters, digits and ._:/@+- with * for anything and ? for one.",
            param="pattern",
        )
    return pattern
