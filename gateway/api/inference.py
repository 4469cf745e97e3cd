"""The passage of every request with a price, told once: into its lane, past its quotas, to a node, and settled."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from litestar import post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.api.answers import Answer
from gateway.api.attendance import Attended
from gateway.api.model_choice import Chosen, key_of
from gateway.api.paths import TEI
from gateway.api.urgency import choose_lane, time_left
from gateway.call import Call, call_of
from gateway.engine_client import ClassifyReply, EmbedReply, ExtractReply, RerankReply, TokenizeReply
from gateway.services.opened import Services
from gateway.services.pools.node import Operation, Reply, Work
from gateway.services.snapshot.entries import ModelEntry
from gateway.services.upstreams.counts import GUESSED
from policies.estimate import TokenEstimate

Story = Callable[[Services, Call, Receive], Awaitable[Answer]]
"""What a route does. The caller is known by then (gateway/auth.py)."""


def inference_route(services: Services, paths: Sequence[str], story: Story, *, scope: str) -> HTTPRouteHandler:
    """A route under all the paths that clients build for it (gateway/api/paths.py), counted under the first."""

    def straight(app: ASGIApp) -> ASGIApp:  # noqa: ARG001
        """In place of Litestar's own way to a handler, which costs as much again as a quota: nothing of it is used."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            call = call_of(scope)
            if scope["path_params"]:
                call.path_model = "/".join(scope["path_params"].values())
            answer = await story(services, call, receive)
            await answer(scope, receive, send)

        return serve

    opt = {"endpoint": paths[0], "scope": scope, "plain_errors": paths[0] in TEI}

    @post(list(paths), status_code=200, opt=opt, middleware=[straight])
    async def route() -> None:
        raise NotImplementedError  # `straight` has answered

    return route


async def ask(
    services: Services,
    call: Call,
    receive: Receive,
    chosen: Chosen,
    operation: Operation[Work, Reply],
    *works: Work,
    tokens: TokenEstimate,
) -> list[Reply]:
    """Have a node do the work, for a request that costs so many tokens at most; one reply for each piece of work.

    Raises Unavailable where usage could not be kept, what `Quota.reserve` and the node directory raise, ClientGone.
    """
    lane, key, model = choose_lane(call), key_of(call), chosen.model
    flow, weight = key.tenant.id, key.tenant.weight
    queued = [msgspec.structs.replace(work, flow=flow, weight=weight, lane=lane) for work in works]
    services.usage.check_room()
    async with services.quota.reserve(key, model.names, model=chosen.name, tokens=tokens) as reservation:
        call.reservation = reservation
        # A caller who leaves cancels the work alone: a reservation or settlement that broke off would be left in doubt.
        with Attended(receive):
            replies = [await call.waiting_for(_on_a_node(services, call, model, operation, work)) for work in queued]
            reservation.used = sum(map(tokens_of, replies))
            call.estimated = any(isinstance(reply, GUESSED) for reply in replies)
    return replies


async def _on_a_node(
    services: Services, call: Call, model: ModelEntry, operation: Operation[Work, Reply], work: Work
) -> Reply:
    return await services.nodes.run(
        model.pool,
        model.facts.base or model.id,
        lambda node, seconds: operation(node.client)(node.url, work, seconds),
        adapter=model.facts.adapter,
        patience=time_left(call),
    )


def tokens_of(reply: EmbedReply | RerankReply | ClassifyReply | ExtractReply | TokenizeReply) -> int:
    """Tokens that the model processed; none where they were only looked at."""
    if isinstance(reply, TokenizeReply):
        return 0
    return reply.tokens if isinstance(reply, RerankReply) else sum(reply.token_counts)


def tei_headers(reply: EmbedReply | RerankReply | ClassifyReply) -> dict[str, str]:
    """Text-embeddings-inference's word for what it took, since its bodies have no place for it; and what was cut."""
    return {"x-compute-tokens": str(tokens_of(reply))} | (truncation_header(reply.truncated) or {})


def truncation_header(truncated: Sequence[int]) -> dict[str, str] | None:
    """Tells how many inputs were cut, where some were."""
    return {"x-shoal-truncated": str(len(truncated))} if truncated else None
