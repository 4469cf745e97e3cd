"""The parent: keeps so many workers alive, hands them the connections, and speaks for all of them.

What a worker counted is asked for every few seconds and kept, so that totals never go backwards when one is gone.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from functools import partial

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.metric_families import Family, enduring, families_of, page_of, total
from shoal.doorkeeper import limits_of
from shoal.failures import StartFailure
from shoal.options.environment import inherited_environment
from shoal.process import StopSignal
from shoal.supervisor import Supervisor
from shoal.workers.channel import Channel, ChannelClosed
from shoal.workers.orders import Orders
from shoal.workers.reception import Desk, Reception, way
from shoal.workers.reports import metrics_in, report_in, whole_readiness

LOOK_INTERVAL = 5.0
"""Seconds between two looks at what the workers counted."""
PATIENCE = 2.0
"""Seconds that a worker may take for an answer."""
SILENT_LOOKS = 6
"""Looks in a row without an answer, after which a worker hangs and is killed."""
FLUSH_TIME = 10.0
"""Seconds that a worker may take beyond the grace period of its requests, to make its usage durable."""

log = structlog.get_logger("shoal.workers")


@dataclass(eq=False)
class Member:
    """One worker, through all its lives; the rest is of the present one."""

    number: int
    supervisor: Supervisor | None = None
    channel: Channel | None = None
    desk: Desk | None = None
    serving: bool = False
    counted: list[Family] = field(default_factory=list)
    silent: int = 0


@contextlib.asynccontextmanager
async def crew_at_work(
    orders: Orders, sock: socket.socket, size: int
) -> AsyncIterator[tuple["Crew", asyncio.Task[None]]]:
    """`size` workers that serve what comes to `sock`, and the task that keeps them. At the end all have stopped."""
    crew = Crew(orders, sock, size)
    working = asyncio.create_task(crew.run())
    try:
        yield crew, working
    finally:
        await crew.stop(orders.settings.grace_period + FLUSH_TIME)
        working.cancel()
        await asyncio.wait([working])


async def serve_by_crew(
    orders: Orders, sock: socket.socket, stop: StopSignal, size: int, beside: Awaitable[None] | None = None
) -> None:
    """Serve until `stop`. Raises StartFailure where the first worker does not come up, and what `beside` raises."""
    async with crew_at_work(orders, sock, size) as (crew, working):
        stopping = asyncio.create_task(stop.wait())
        watched = {stopping, asyncio.create_task(crew.failure())}
        if beside is not None:
            watched.add(asyncio.create_task(_once_it_serves(crew, beside)))
        try:
            done, _ = await asyncio.wait({*watched, working}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in watched:
                task.cancel()
        if stopping in done:
            crew.say_draining()
            await asyncio.sleep(orders.settings.drain_delay)
    await asyncio.gather(*watched, return_exceptions=True)
    for task in done:
        task.result()


async def _once_it_serves(crew: "Crew", beside: Awaitable[None]) -> None:
    await crew.serves.wait()
    await beside
    await asyncio.Event().wait()


class Crew:
    """The workers. `run` starts them and keeps them; `stop` ends all."""

    def __init__(self, orders: Orders, sock: socket.socket, size: int) -> None:
        self._orders = orders
        self._reception = Reception(sock, limits_of(orders.settings))
        self._members = [Member(number) for number in range(size)]
        self._ended: list[Family] = []
        self._registry = CollectorRegistry()
        self._serving = Gauge("shoal_gateway_workers", "Workers that take requests.", registry=self._registry)
        self._restarts = Counter(
            "shoal_gateway_worker_restarts", "Workers that ended unbidden.", registry=self._registry
        )
        self.serves = asyncio.Event()
        """Set when the first worker takes requests."""
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._hearing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Start the first worker alone, so that what is wrong is said once; then the others, and look after all."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                member.supervisor = Supervisor(partial(self._start, member), f"worker {member.number}")
                group.create_task(member.supervisor.run())
                await self.serves.wait()
            while True:
                await asyncio.sleep(LOOK_INTERVAL)
                await self._look()

    async def failure(self) -> None:
        """Raises StartFailure if no worker ever came up; never returns."""
        await asyncio.shield(self._failed)

    def say_draining(self) -> None:
        """Have every worker say that it wants no more, and go on as before."""
        for member in self._members:
            if member.serving and member.channel is not None:
                with contextlib.suppress(ChannelClosed):
                    member.channel.tell("draining")

    async def stop(self, grace_period: float) -> None:
        """Close the door, and let every worker finish what it has."""
        self._stopping = True
        await self._reception.close()
        supervisors = [member.supervisor for member in self._members if member.supervisor is not None]
        await asyncio.gather(*(supervisor.stop(grace_period) for supervisor in supervisors))
        for hearing in self._hearing:
            hearing.cancel()
        await asyncio.gather(*self._hearing, return_exceptions=True)

    async def _start(self, member: Member) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair()
        way_out, way_in = way()
        with theirs, way_in:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "shoal.workers",
                str(way_in.fileno()),
                stdin=theirs.fileno(),
                pass_fds=(way_in.fileno(),),
                env=inherited_environment(),
                start_new_session=True,
            )
        desk = Desk(way_out)
        channel = await Channel.open(
            ours, answer=self._answer, notice=lambda word, body: self._notice(member, desk, word, body)
        )
        member.channel, member.desk, member.silent = channel, desk, 0
        hearing = asyncio.create_task(self._hear(member, channel, desk))
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)
        return child

    async def _hear(self, member: Member, channel: Channel, desk: Desk) -> None:
        try:
            await channel.run()
        finally:
            self._close_desk(member, desk)
            desk.sock.close()
            self._ended = total([self._ended, enduring(member.counted)])
            member.counted = []
            if not self._stopping:
                self._restarts.inc()
                if not self.serves.is_set() and not self._failed.done():
                    self._failed.set_exception(StartFailure("No worker could start; why is said above."))

    def _notice(self, member: Member, desk: Desk, word: str, body: bytes) -> None:
        match word:
            case "serving":
                member.serving = True
                self._reception.add(desk)
                self.serves.set()
                log.info("worker serves", number=member.number)
            case "closing":
                self._close_desk(member, desk)
            case "metrics":
                member.counted = metrics_in(body)

    def _close_desk(self, member: Member, desk: Desk) -> None:
        member.serving = False
        self._reception.remove(desk)

    async def _answer(self, word: str) -> bytes:
        match word:
            case "orders":
                return self._orders.encode()
            case "metrics page":
                return await self._metrics_page()
            case _:
                return await self._readiness()

    async def _metrics_page(self) -> bytes:
        await asyncio.gather(*(self._count(member) for member in self._members))
        self._serving.set(sum(member.serving for member in self._members))
        parts = [families_of(self._registry), self._ended, *(member.counted for member in self._members)]
        return await asyncio.to_thread(lambda: page_of(total(parts)))

    async def _readiness(self) -> bytes:
        said = await asyncio.gather(*(self._ask(member, "readiness") for member in self._members if member.serving))
        reports = [report_in(content) if content else None for content in said]
        return msgspec.msgpack.encode(whole_readiness(reports, len(self._members)))

    async def _count(self, member: Member) -> bool:
        content = await self._ask(member, "metrics") if member.serving else None
        if content:
            member.counted = metrics_in(content)
        return bool(content)

    async def _ask(self, member: Member, word: str) -> bytes | None:
        if member.channel is None:
            return None
        try:
            return await member.channel.ask(word, PATIENCE)
        except (ChannelClosed, TimeoutError):
            return None

    async def _look(self) -> None:
        """Keep what everybody counted, and kill who hangs."""
        answered = await asyncio.gather(*(self._count(member) for member in self._members))
        for member, heard in zip(self._members, answered, strict=True):
            member.silent = 0 if heard or not member.serving else member.silent + 1
            if member.silent >= SILENT_LOOKS and member.supervisor is not None:
                log.error("worker lives and answers nothing; killed", number=member.number)
                member.supervisor.kill()
                member.silent = 0
