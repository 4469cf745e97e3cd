"""Looks at models' sources, which may take minutes: begun by a form, watched by a page, kept for the form after it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

from gateway.services.register.model_facts import ModelFacts

AT_ONCE = 2
"""Looks that are made at one time; each may hold hundreds of megabytes."""
KEPT = 64
"""Looks that are remembered, the latest."""
GOOD_FOR = 900.0
"""Seconds for which what was found is taken for what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a source says of its model, without loading it."""

    source: str
    """Of a folder, its absolute path."""
    facts: ModelFacts
    dimensions: int | None
    input_limit: int
    matryoshka: Sequence[int]
    """Widths that its vectors may be cut to."""
    normalized: bool
    prompts: Mapping[str, str]
    default_prompt: str
    parameters: int
    resident_bytes: Mapping[str, int]
    """In memory, at most, by the numbers that it is served in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectedAdapter:
    """What an adapter's source says of it, held against its model."""

    adapter: str
    """Of a folder, its absolute path."""
    rank: int
    """The greatest of its products."""
    modules: int
    """Of its model, that it changes."""
    bytes: int
    """As stored."""


class InspectionRefused(Exception):
    """The model could not be served, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Inspect = Callable[[str, str | None], Awaitable[Inspected]]
"""Looks at a hub id or folder, at a revision. Raises InspectionRefused."""
InspectAdapter = Callable[[str, str | None, str], Awaitable[InspectedAdapter]]
"""The same with an adapter on that model."""
Found = TypeVar("Found", Inspected, InspectedAdapter)


@dataclass(slots=True, eq=False)
class Look(Generic[Found]):
    """One look."""

    task: asyncio.Task[Found]
    began: float = field(default_factory=monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return monotonic() - self.began

    @property
    def found(self) -> Found | None:
        """What there is; None before the end, or where it is refused."""
        return self.task.result() if self.task.done() and self.refusal is None else None

    @property
    def refusal(self) -> InspectionRefused | None:
        """Why it could not be served, or looked at."""
        if not self.task.done():
            return None
        if self.task.cancelled():
            return InspectionRefused("stopped", "The look was stopped.")
        error = self.task.exception()
        if error is None or isinstance(error, InspectionRefused):
            return error
        return InspectionRefused("failed", f"The look itself failed: {error}")

    async def wait(self, seconds: float) -> None:
        """Until its end, so long at most."""
        await asyncio.wait([self.task], timeout=seconds)


class Inspections:
    """Every look of this process. Two who ask for the same at once share one."""

    def __init__(self, inspect: Inspect, inspect_adapter: InspectAdapter | None = None) -> None:
        self._inspect = inspect
        self._inspect_adapter = inspect_adapter
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._models: dict[tuple[str, str | None], Look[Inspected]] = {}
        self._adapters: dict[tuple[str, str | None, str], Look[InspectedAdapter]] = {}

    def of(self, source: str, revision: str | None, *, anew: bool = False) -> Look[Inspected]:
        """The look at it; `anew`: a finished one does not count."""
        return self._kept(self._models, (source, revision), self._inspect, anew)

    @property
    def looks_at_adapters(self) -> bool:
        """And not at models alone."""
        return self._inspect_adapter is not None

    def of_adapter(self, source: str, revision: str | None, adapter: str) -> Look[InspectedAdapter] | None:
        """The look at an adapter on it, a new one where the last was refused; None: nothing here can look at one."""
        if self._inspect_adapter is None:
            return None
        before = self._adapters.get((source, revision, adapter))
        refused = before is not None and before.refusal is not None
        return self._kept(self._adapters, (source, revision, adapter), self._inspect_adapter, refused)

    async def close(self) -> None:
        """Stop all that go on."""
        tasks = [look.task for looks in (self._models, self._adapters) for look in looks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _kept(
        self, looks: dict[Any, Look[Found]], key: tuple[Any, ...], inspect: Callable[..., Awaitable[Found]], anew: bool
    ) -> Look[Found]:
        look = looks.pop(key, None)
        if look is None or (look.task.done() and (anew or look.seconds > GOOD_FOR)):
            look = Look(asyncio.create_task(self._in_turn(inspect, key)))
        looks[key] = look
        for old in [key for key, one in looks.items() if one.task.done()][: max(len(looks) - KEPT, 0)]:
            del looks[old]
        return look

    async def _in_turn(self, inspect: Callable[..., Awaitable[Found]], question: tuple[Any, ...]) -> Found:
        async with self._turns:
            return await inspect(*question)
