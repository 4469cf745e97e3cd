"""`/health/live`: this process runs. `/health/ready`, `/health`: it wants requests (gateway/services/standing.py)."""

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler

from gateway.api.answers import Answer
from gateway.api.crew import Crew
from gateway.auth import PUBLIC
from gateway.services.opened import Services

ENCODE = msgspec.json.Encoder().encode


def health_routes(services: Services, crew: Crew | None = None) -> list[HTTPRouteHandler]:
    """Both routes, open to everybody: an orchestrator has no API key. With a `crew` readiness is that of all."""

    @get("/health/live", opt={**PUBLIC, "endpoint": "/health/live"})
    async def live() -> Answer:
        return Answer(b'{"status":"live"}')

    @get(["/health/ready", "/health"], opt={**PUBLIC, "endpoint": "/health/ready"})
    async def ready() -> Answer:
        if crew is not None:
            status, body = await crew.readiness()
            return Answer(body, status=status)
        report = services.standing.report()
        return Answer(ENCODE(report), status=200 if report.ready else 503)

    return [live, ready]
