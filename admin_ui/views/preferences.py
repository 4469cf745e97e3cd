"""What an operator's browser remembers of how the console shall look."""

from litestar import post
from litestar.response import Redirect

from admin_ui.access import needs
from admin_ui.contexts.frame import THEMES
from admin_ui.cookies import cookie
from admin_ui.visit import THEME, Answer, Visiting
from admin_ui.ways import safe_next

YEAR = 365 * 86400


@post("/theme", opt=needs("own.look"))
async def set_theme(visit: Visiting) -> Answer:
    """Light, dark, or as the machine is."""
    form = await visit.form()
    chosen = form.one_of("theme", THEMES)
    kept = cookie(visit.request, visit.services, THEME, chosen, YEAR)
    return Redirect(safe_next(form.value("next")), status_code=303, cookies=[kept])


ROUTES = (set_theme,)
