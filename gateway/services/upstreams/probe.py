"""A look at an upstream before it is registered: is it there, does it take the credential, which models has it."""

from dataclasses import dataclass

from gateway.errors import GatewayError, UpstreamRefuses
from gateway.services.register.sealing import Sealer
from gateway.services.register.upstreams import NewUpstream, checked_url
from gateway.services.snapshot.entries import UpstreamEntry
from gateway.services.upstreams.client import UpstreamClient
from gateway.services.upstreams.http import UpstreamHttp
from gateway.services.upstreams.openai_wire import Listed
from gateway.transport import AsyncioTransport

PATIENCE = 15.0
"""Seconds that an upstream may take to answer."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found; `problem` is None where all is well."""

    models: tuple[str, ...] = ()
    """As the upstream calls them; none where it does not say."""
    problem: str | None = None
    of_key: bool = False
    """The problem is the credential, or that there is none."""


async def look(new: NewUpstream, transport: AsyncioTransport, sealer: Sealer | None) -> Found:
    """Ask an upstream what it has. Raises RequestError for an address that is none."""
    try:
        return Found(tuple(model.id for model in await ask_for_models(new, transport, sealer)))
    except GatewayError as error:
        if error.status in {400, 404, 429, 500}:
            return Found(problem=f"It answers, but does not list its models: {error.for_operators}")
        of_key = isinstance(error, UpstreamRefuses) and error.of_credential
        return Found(problem=error.for_operators, of_key=of_key)


async def ask_for_models(new: NewUpstream, transport: AsyncioTransport, sealer: Sealer | None) -> list[Listed]:
    """The models that an upstream says it has. Raises what its client does."""
    base_url = checked_url(new.base_url, new.kind)
    sealed = sealer.seal(new.key, "probe") if new.key is not None and sealer is not None else None
    entry = UpstreamEntry("probe", new.pool, new.kind, base_url, sealed)
    return await UpstreamClient(entry, UpstreamHttp(entry, transport, sealer)).listed(PATIENCE)
