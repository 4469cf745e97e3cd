"""What every route with a price asks before it does its work, and settles after."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar.types import Receive

from gateway.api.attendance import attended
from gateway.api.model_choice import key_of
from gateway.call import Call
from gateway.services.opened import Services
from gateway.services.quota.reserving import Reservation
from gateway.services.snapshot.entries import ModelEntry
from policies.estimate import TokenEstimate


@asynccontextmanager
async def admitted(
    services: Services, call: Call, receive: Receive, model: ModelEntry, name: str, *, tokens: TokenEstimate
) -> AsyncIterator[Reservation]:
    """Let a request in, of at most so many tokens, and watch whether its caller stays.

    `name` is what the caller says for the model. The block sets `used` of the reservation; if it fails, or the caller
    leaves, everything is given back. Raises Unavailable where usage could not be kept, QuotaExceeded or CostTooHigh
    where a limit denies, ClientGone.
    """
    services.usage.check_room()
    # A caller who leaves cancels the work alone: a reservation or a settlement that broke off would be left in doubt.
    async with (
        services.quota.reserve(key_of(call), model.names, model=name, tokens=tokens) as reservation,
        attended(receive),
    ):
        call.reservation = reservation
        yield reservation
