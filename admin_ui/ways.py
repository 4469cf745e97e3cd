"""Ways within the console: how a page's own address is said, and what is made of one that somebody else says."""

import re
from typing import Any
from urllib.parse import quote

from litestar.connection import ASGIConnection

from admin_ui.navigation import PREFIX

_OWN_PATH = re.compile(rf"{PREFIX}(?:[/?][A-Za-z0-9/?=&%._~+,:@|-]*)?")
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:[/?]|$)", re.IGNORECASE)
"""What browsers take for a way up, out of the console."""


def path_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The path of this request as it stands in addresses, whatever names are in it."""
    return quote(connection.scope["path"], safe="/~,:@+|")


def safe_next(target: str) -> str:
    """Where to go after signing in: a page of the console, whatever a link may say."""
    return target if _OWN_PATH.fullmatch(target) and not _DOTS.search(target.partition("?")[0]) else PREFIX
