"""One request of an operator: what a page's handler is given, and how it answers."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from admin_ui.address import caller
from admin_ui.contexts.frame import THEMES, Flash, Page, Shell, Theme, Tone
from admin_ui.cookies import cookie, cookie_value, no_cookie
from admin_ui.forms import Form
from admin_ui.navigation import PREFIX, links
from admin_ui.paging import address
from admin_ui.ports import ConsoleServices
from admin_ui.sessions import Session, Sessions
from admin_ui.ways import path_of
from gateway.services.access.operators import OperatorInfo
from gateway.services.access.roles import RIGHTS
from gateway.services.register.audit import Actor

FLASH = "shoal_flash"
THEME = "shoal_theme"
Answer = Response[Any]


class Visit:
    """The request, who makes it, and the services."""

    def __init__(
        self, request: Request[OperatorInfo, Session, Any], services: ConsoleServices, sessions: Sessions
    ) -> None:
        self.request = request
        self.services = services
        self.sessions = sessions

    @property
    def operator(self) -> OperatorInfo:
        """Who it is."""
        return self.request.user

    @property
    def actor(self) -> Actor:
        """The same for the audit log."""
        return Actor(self.operator.name, caller(self.request, self.services))

    @property
    def query(self) -> Mapping[str, str]:
        """Of the address; of what stands there twice, the last."""
        return query_of(self.request)

    def reading(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session that sees one consistent state."""
        return self.services.database.reading()

    def changing(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A session whose changes are committed at the end of the block, or all undone."""
        return self.services.database.transaction()

    async def form(self) -> Form:
        """What was sent."""
        sent = await self.request.form()
        return Form({name: [readable(str(value)) for value in sent.getall(name)] for name in sent})

    def page(self, page: Page, *, status: int = 200) -> Answer:
        """A whole page, with what became of the form before."""
        flash = self._flash()
        shell = shell_of(self.request, self.services, self.sessions, flash)
        answer = Template(page.template, context={"page": page, "shell": shell}, status_code=status)
        if flash is not None:
            answer.set_cookie(no_cookie(self.request, self.services, FLASH))
        return answer

    def part(self, part: Page) -> Answer:
        """A part of a page, for the page's script."""
        shell = shell_of(self.request, self.services, self.sessions, None)
        return Template(part.template, context={"part": part, "shell": shell})

    def done(self, to: str, text: str, tone: Tone = "good") -> Answer:
        """After a form: the page at `to`, which says `text` first. Nothing secret: it travels in a cookie."""
        sealed = self.sessions.sealed(self.request.auth, FLASH, msgspec.json.encode(Flash(text[:1000], tone)))
        return Redirect(to, status_code=303, cookies=[cookie(self.request, self.services, FLASH, sealed, 60)])

    def _flash(self) -> Flash | None:
        sealed = cookie_value(self.request, self.services, FLASH)
        plain = self.sessions.opened(self.request.auth, FLASH, sealed)
        return None if plain is None else msgspec.json.decode(plain, type=Flash)


Visiting = NamedDependency[SkipValidation[Visit]]
"""How a handler asks for it: `visit: Visiting`."""


def visits(services: ConsoleServices, sessions: Sessions) -> Provide:
    """The dependency `visit`."""

    def visit(request: Request[Any, Any, Any]) -> Visit:
        return Visit(request, services, sessions)

    return Provide(visit, sync_to_thread=False)


def shell_of(
    request: Request[OperatorInfo, Session, Any], services: ConsoleServices, sessions: Sessions, flash: Flash | None
) -> Shell:
    """What stands around a page."""
    operator, path = request.user, request.scope["path"]
    return Shell(
        operator=operator.name,
        role=operator.role.replace("_", " "),
        may=RIGHTS[operator.role],
        csrf_token=sessions.csrf_token(request.auth),
        theme=theme_of(request, services),
        here=address(path_of(request), query_of(request)) if request.method == "GET" else PREFIX,
        links=links(operator, path),
        flash=flash,
    )


def query_of(request: Request[Any, Any, Any]) -> Mapping[str, str]:
    """The query of its address; of what stands there twice, the last."""
    return {name: readable(value) for name, value in request.query_params.multi_items()}


def readable(text: str) -> str:
    """What was sent, as a browser would show it: no database takes NULs, and UTF-8 has no half characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def theme_of(request: Request[Any, Any, Any], services: ConsoleServices) -> Theme:
    """What the browser's owner chose."""
    chosen = cookie_value(request, services, THEME)
    return next((theme for theme in THEMES if theme == chosen), "auto")
