"""One try of one piece of work at one node: how it ends, and what that says of the node."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import EngineFailed, EngineGone, EngineOverloaded, GatewayError, Unavailable
from gateway.services.pools.following import Following
from gateway.services.pools.node import Node
from gateway.services.pools.pool import Pool

Reply = TypeVar("Reply")
Call = Callable[[Node, float], Awaitable[Reply]]
"""Does the work on this node, within so many seconds."""


async def attempt(
    pool: Pool, node: Node, model_id: str, call: Call[Reply], deadline: float, following: Following
) -> Reply:
    """Do `call` on the node, by the `deadline` of the loop's clock.

    Raises EngineGone where the node stops answering anybody meanwhile, Unavailable where the deadline passes, and what
    the node answered.
    """
    loop = asyncio.get_running_loop()
    ticket, failed, served = pool.begin(node, model_id), None, None
    until_it_hangs = asyncio.timeout_at(deadline)
    try:
        async with until_it_hangs:
            node.calls.add(until_it_hangs)
            reply = await call(node, deadline - loop.time())
    except TimeoutError:
        if until_it_hangs.when() == deadline:
            raise _too_late() from None
        failed = True
        raise EngineGone("The engine node does not answer; please try again.", retry_after=1.0) from None
    except EngineGone as error:
        failed = None if error.code == "draining" else True
        if error.answered:
            node.look.set()
        elif failed:
            following.broke_off(node, pool, error.for_operators)
        else:
            following.leaves(node, pool)
        raise
    except EngineFailed:
        failed = True
        raise
    except EngineOverloaded:
        node.look.set()
        raise
    except GatewayError as error:
        failed = None if isinstance(error, Unavailable) else False
        raise
    else:
        failed, served = False, model_id
        return reply
    finally:
        node.calls.discard(until_it_hangs)
        pool.end(node, ticket, failed=failed, served=served)


def _too_late() -> Unavailable:
    return Unavailable("The engine took too long, please try again later.", code="engine_timeout", retry_after=1.0)
