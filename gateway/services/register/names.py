"""What a name may look like; one rule per kind of name, refused with the reason."""

import re
import unicodedata

from gateway.errors import RequestError

MODEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:/@+-]{0,198}[A-Za-z0-9_+-])?")
MODEL_PATTERN = re.compile(r"[A-Za-z0-9._:/@+*?-]{1,200}")
LONGEST_NAME = 64
LONGEST_LOOKUP = 1000
"""Characters of a text in which a name is still looked for."""
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks that show nothing, which `isprintable` lets pass: fillers, joiners, Braille's blank."""
SUFFIXES = (":query", ":document")
"""What callers may append to a model's name to choose its prompt; no name of its own may end so."""


def checked_name(name: str, of: str) -> str:
    """A name for people: 1 to 64 characters that can be seen, in Unicode's composed form so that one look is one name.

    What turns the direction of writing, joins, or takes no room is refused: two names could look the same by it.
    """
    if len(name) > 4 * LONGEST_NAME:  # before anything is done with it
        raise _length(name, of)
    name = unicodedata.normalize("NFC", name)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise _length(name, of)
    if not _can_be_seen(name) or name != name.strip():
        raise RequestError(
            f"The {of} name {name!a} has control or invisible characters, or a space at an end.", param="name"
        )
    if unicodedata.category(name[0]).startswith("M"):
        raise RequestError(f"The {of} name {name!a} begins with an accent that belongs to no letter.", param="name")
    return name


def known_spelling(name: str) -> str | None:
    """A name to look up, in the spelling under which it would be kept; None for one that nothing can have."""
    if len(name) > LONGEST_LOOKUP:
        return None
    name = unicodedata.normalize("NFC", name)
    return name if _can_be_seen(name) else None


def _can_be_seen(name: str) -> bool:
    return name.isprintable() and UNSEEN.isdisjoint(name)


def _length(name: str, of: str) -> RequestError:
    return RequestError(f"The {of} name has {len(name)} characters; 1 to {LONGEST_NAME} are allowed.", param="name")


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
