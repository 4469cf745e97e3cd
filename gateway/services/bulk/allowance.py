"""How much bulk work of one process may be at the nodes of a pool at a time, in tokens: to keep them busy, not full."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

TOKENS = 65_536
"""By the bound that quotas are reserved by, of which real tokens are a third or less."""


class Allowance:
    """So many tokens, given out in the order of asking. What asks for more than there are waits for all of them."""

    def __init__(self, tokens: int = TOKENS) -> None:
        self._all = tokens
        self._left = tokens
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, tokens: int) -> AsyncIterator[None]:
        """Have so many for the length of the block."""
        tokens = min(tokens, self._all)
        await self._take(tokens)
        try:
            yield
        finally:
            self._give(tokens)

    async def _take(self, tokens: int) -> None:
        if not self._waiting and tokens <= self._left:
            self._left -= tokens
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give(tokens)
            else:
                self._waiting.remove((tokens, turn))
                self._give(0)
            raise

    def _give(self, tokens: int) -> None:
        self._left += tokens
        while self._waiting and self._waiting[0][0] <= self._left:
            wanted, turn = self._waiting.popleft()
            if not turn.cancelled():
                self._left -= wanted
                turn.set_result(None)


class Allowances:
    """One for each pool: what waits for a pool without nodes holds nobody up at another."""

    def __init__(self, tokens: int = TOKENS) -> None:
        self._tokens = tokens
        self._by_pool: dict[str, Allowance] = {}

    def of(self, pool: str) -> Allowance:
        """That of a pool."""
        return self._by_pool.setdefault(pool, Allowance(self._tokens))
