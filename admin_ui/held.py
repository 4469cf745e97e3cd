"""A form that comes when its session is over is not lost: it waits in the sign-in page, to be sent again.

It is held by the browser alone, without what is secret in it, and only if the browser says that it comes from a page
of the console: what another site sends in somebody's name is never kept for them.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from litestar import Request
from litestar.enums import RequestEncodingType

from admin_ui.contexts.frame import GoOnPage, HeldForm
from admin_ui.navigation import PREFIX
from admin_ui.ports import ConsoleServices
from admin_ui.ways import path_of

SECRET = re.compile(r"password|secret|credential|(?:^|_)token$")
"""Fields that are not kept; limits on tokens are no secrets."""
NEVER = (f"{PREFIX}/sign-in", f"{PREFIX}/sign-out", f"{PREFIX}/theme")


async def hold(request: Request[Any, Any, Any], services: ConsoleServices) -> HeldForm | None:
    """What was sent, if it may be held."""
    path = request.scope["path"]
    is_form = request.content_type[0] == RequestEncodingType.URL_ENCODED
    if request.method != "POST" or not is_form or path in NEVER or not _is_from_here(request, services):
        return None
    sent = await request.form()
    fields = [(name, value) for name, value in sent.multi_items() if isinstance(value, str) and not _is_secret(name)]
    return HeldForm(path_of(request), urlencode(fields))


def go_on(held: HeldForm) -> GoOnPage:
    """The page that sends it again."""
    return GoOnPage(held.action, fields_of(held))


def fields_of(held: HeldForm) -> Sequence[tuple[str, str]]:
    """Names and values."""
    return tuple(pair for pair in parse_qsl(held.fields, keep_blank_values=True) if not _is_secret(pair[0]))


def _is_secret(name: str) -> bool:
    return SECRET.search(name) is not None


def _is_from_here(request: Request[Any, Any, Any], services: ConsoleServices) -> bool:
    origin = urlsplit(request.headers.get("origin", "")).netloc.lower()
    ours = {request.headers.get("host", "").lower(), urlsplit(services.settings.public_url or "").netloc.lower()}
    return bool(origin) and origin in ours
