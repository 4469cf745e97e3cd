"""Addresses at which there is nothing: the same answer as where there is nothing for whoever asks."""

from litestar import HttpMethod, route
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from admin_ui.access import needs


@route("/{rest:path}", http_method=[HttpMethod.GET, HttpMethod.POST], opt=needs("own.look"))
async def nowhere(rest: FromPath[str]) -> None:
    """No page."""
    raise NotFoundException(rest)


ROUTES = (nowhere,)
