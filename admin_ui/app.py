"""The console as an ASGI app of its own, with every route under `/admin`; whoever mounts it strips nothing."""

import time
from collections.abc import Callable

from litestar import Litestar
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig

from admin_ui.access import PUBLIC, access_guard
from admin_ui.errors import exception_handlers
from admin_ui.headers import add_security_headers
from admin_ui.inspections import Inspect, InspectAdapter, Inspections
from admin_ui.model_work import ModelWork
from admin_ui.navigation import PREFIX
from admin_ui.oidc import OidcProvider
from admin_ui.orders import Orders
from admin_ui.ports import AsksApi, ConsoleServices
from admin_ui.rendering import STATIC, template_engine
from admin_ui.sessions import Sessions
from admin_ui.throttle import SignInThrottle
from admin_ui.views import (
    account,
    adapters,
    aliases,
    allowlist,
    audit,
    fleet_usage,
    keys,
    limits,
    model_names,
    model_settings,
    models,
    new_model,
    nodes,
    nowhere,
    oidc,
    operator_tokens,
    operators,
    overview,
    playground,
    preferences,
    sign_in,
    tenants,
    upstream_forms,
    upstreams,
    usage,
)
from admin_ui.visit import visits

PAGES = (
    *overview.ROUTES,
    *tenants.ROUTES,
    *fleet_usage.ROUTES,
    *keys.ROUTES,
    *limits.ROUTES,
    *allowlist.ROUTES,
    *aliases.ROUTES,
    *usage.ROUTES,
    *models.ROUTES,
    *model_settings.ROUTES,
    *model_names.ROUTES,
    *adapters.ROUTES,
    *new_model.ROUTES,
    *nodes.ROUTES,
    *upstreams.ROUTES,
    *upstream_forms.ROUTES,
    *audit.ROUTES,
    *playground.ROUTES,
    *operators.ROUTES,
    *operator_tokens.ROUTES,
    *account.ROUTES,
    *preferences.ROUTES,
    *sign_in.ROUTES,
    *oidc.ROUTES,
    *nowhere.ROUTES,
)
"""Every route of the console but its static files; a noun's file says its own."""
MOST_BODY = 64 * 1024
"""Bytes that a form may have."""


def create_admin_app(
    services: ConsoleServices,
    *,
    session_key: bytes,
    clock: Callable[[], float] = time.time,
    inspect: Inspect | None = None,
    inspect_adapter: InspectAdapter | None = None,
    ask: AsksApi | None = None,
) -> Litestar:
    """The console over opened services.

    `session_key` (32 random bytes at least, kept between starts, the same on every gateway) signs sessions. `clock`
    gives Unix seconds. `inspect` looks at models' sources, `inspect_adapter` at those of adapters; None: they are
    registered unseen. `ask` puts questions to the public API; None: there is nothing to play with.
    """
    sessions = Sessions(session_key, clock)
    throttle = SignInThrottle(services.database, session_key, clock)
    settings = services.settings.oidc
    provider = None if settings is None else OidcProvider(settings, clock)
    work = ModelWork(Orders(), None if inspect is None else Inspections(inspect, inspect_adapter))
    static_files = create_static_files_router(
        path="/static",
        directories=[STATIC],
        opt=PUBLIC,
        cache_control=CacheControlHeader(max_age=31_536_000, public=True),
    )
    return Litestar(
        path=PREFIX,
        route_handlers=[*PAGES, static_files],
        guards=[access_guard(sessions, services)],
        dependencies={
            "services": Provide(lambda: services, sync_to_thread=False),
            "sessions": Provide(lambda: sessions, sync_to_thread=False),
            "visit": visits(services, sessions),
            "work": Provide(lambda: work, sync_to_thread=False),
            "oidc": Provide(lambda: provider, sync_to_thread=False),
            "ask": Provide(lambda: ask, sync_to_thread=False),
            "throttle": Provide(lambda: throttle, sync_to_thread=False),
        },
        exception_handlers=exception_handlers(services, sessions),
        on_shutdown=[work.close],
        before_send=[add_security_headers],
        template_config=TemplateConfig(instance=template_engine(clock)),
        request_max_body_size=MOST_BODY,
        openapi_config=None,
        logging_config=None,
    )
