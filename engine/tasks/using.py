"""A model together with the adapter that a request wants, both in memory while it is used.

Whoever held one of them and waited for the other could wait for somebody who does the same, until both give up. So
nobody does: each is brought in while nothing is held, and where one has gone again by the time that the other is there,
it is tried anew, by one request at a time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import NamedTuple

import msgspec

from engine.errors import ModelLoading
from engine.loading.adapter import LoadedAdapter
from engine.loading.loaded import LoadedModel
from engine.loading.plan import OWN
from engine.prompts.texts import task_of
from engine.protocol import ModelRef, ModelWork
from engine.residency import Residency

Loaded = LoadedModel | LoadedAdapter
"""What a node holds in memory."""

TRIES = 6
RETRY_AFTER = 1.0


class Used(NamedTuple):
    """What one request uses."""

    model: LoadedModel
    adapter: LoadedAdapter | None = None
    task: str | None = None
    """Of those that the model has adapters of its own for."""


class Using:
    """Models and adapters of one node's memory, for its requests."""

    def __init__(self, residency: Residency[Loaded]) -> None:
        self._residency = residency
        self._trying_anew = asyncio.Lock()

    @asynccontextmanager
    async def use(self, request: ModelWork, patience: float | None) -> AsyncIterator[Used]:
        """The request's model and adapter until the end of the block.

        Waits as long as `patience`; then, or where the two never are in memory together, `ModelLoading`.
        """
        clock = asyncio.get_running_loop().time
        until = None if patience is None else clock() + patience
        wanted = request.model if request.model.adapter is not None else None
        async with AsyncExitStack() as held:
            for attempt in range(TRIES):
                async with self._trying_anew if attempt else nullcontext():
                    left = None if until is None else max(0.0, until - clock())
                    if wanted is not None:
                        async with self._residency.acquire(wanted, patience=left):
                            pass
                    used, wanted = await self._hold(held, request, wanted, left)
                if used is not None:
                    yield used
                    return
        raise ModelLoading(
            f"The model {request.model.id} and its adapter have not been in memory together. Try again, or give the "
            "node a greater memory budget.",
            retry_after=RETRY_AFTER,
        )

    async def _hold(
        self, held: AsyncExitStack, request: ModelWork, wanted: ModelRef | None, patience: float | None
    ) -> tuple[Used | None, ModelRef | None]:
        """The model and the adapter; None, and nothing held, where the adapter is not there. And what is wanted."""
        async with AsyncExitStack() as holding:
            beside = request.model.adapter is not None
            base = base_of(request.model)
            acquired = self._residency.acquire(base, patience=patience, pinned_as_it_is=beside)
            model = await holding.enter_async_context(acquired)
            assert isinstance(model, LoadedModel), "an adapter's reference names it"  # noqa: S101
            task = task_of(model.spec, request) if request.model.adapter is None else None
            if task is not None:
                wanted = msgspec.structs.replace(request.model, adapter=OWN + task)
            adapter: LoadedAdapter | None = None
            if wanted is not None:
                if not self._residency.is_settled(wanted):
                    return None, wanted
                found = await holding.enter_async_context(self._residency.acquire(wanted, patience=patience))
                assert isinstance(found, LoadedAdapter), "its reference names it"  # noqa: S101
                adapter = found
            await held.enter_async_context(holding.pop_all())
            return Used(model, adapter, task), wanted


def base_of(ref: ModelRef) -> ModelRef:
    """The model that an adapter goes with; itself without one."""
    return ref if ref.adapter is None else msgspec.structs.replace(ref, adapter=None)
