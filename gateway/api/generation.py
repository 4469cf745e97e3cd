"""`POST /v1/chat/completions` and `/v1/completions`: text that upstreams generate, whole or as it is made.

An engine node generates nothing: the model must be of a pool of upstreams. What was used is what the upstream says it
was; where it does not, or the caller leaves before it does, the prompt by its length and the tokens that were heard.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.answers import Answer, Sendable
from gateway.api.attendance import Attended
from gateway.api.bodies import read_body
from gateway.api.event_stream import Choice
from gateway.api.generation_body import decode_generation, forwarded
from gateway.api.generation_stream import GeneratedStream
from gateway.api.generation_work import Generation, client_of, is_guess, tokens_used
from gateway.api.model_choice import Chosen, choose_model, key_of
from gateway.api.paths import CHAT, COMPLETIONS
from gateway.api.urgency import choose_lane, time_left
from gateway.call import Call, call_of
from gateway.errors import EngineFailed, GatewayError, RequestError
from gateway.services.opened import Services
from gateway.services.pools.node import Node
from gateway.services.upstreams.counts import guessed
from gateway.services.upstreams.openai_wire import Used

ENCODE = msgspec.json.Encoder().encode


class Generated(msgspec.Struct):
    """A whole reply, as far as it is read."""

    choices: list[Choice] = []
    usage: Used | None = None


DECODE = msgspec.json.Decoder(Generated).decode
DECODE_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def generation_routes(services: Services) -> list[HTTPRouteHandler]:
    """The routes, serving from these services."""
    return [_route(services, CHAT, chat=True), _route(services, COMPLETIONS, chat=False)]


def _route(services: Services, paths: Sequence[str], *, chat: bool) -> HTTPRouteHandler:
    @post(list(paths), status_code=200, opt={"endpoint": paths[0], "scope": "chat"})
    async def serve(request: Request[Any, Any, Any]) -> Sendable:
        return await generate(services, call_of(request.scope), request.receive, chat=chat)

    return serve


async def generate(services: Services, call: Call, receive: Receive, *, chat: bool) -> Sendable:
    """Have text generated as the body asks."""
    content = await read_body(receive, call, services.settings.max_body_bytes)
    body = decode_generation(content, chat=chat)
    chosen = choose_model(call, body.model or services.settings.default_model)
    check_generates(services, chosen)
    choose_lane(call)
    call.inputs = body.prompts
    path = "/chat/completions" if chat else "/completions"
    work = Generation(path, forwarded(content, body, chosen.model.source), body, chosen)
    if body.stream:
        return GeneratedStream(services, call, work)
    return await _generate_whole(services, call, receive, work)


def check_generates(services: Services, chosen: Chosen) -> None:
    """Raise RequestError where no node of the model's pool could write a text."""
    pool = services.nodes.pools.get(chosen.model.pool)
    if pool is None or not pool.alike:
        raise RequestError(
            f"The model `{chosen.name}` generates no text: it is one for embeddings, ranking, labels or spans.",
            param="model",
            code="task_unsupported",
        )


async def _generate_whole(services: Services, call: Call, receive: Receive, work: Generation) -> Answer:
    model, name = work.chosen.model, work.chosen.name
    services.usage.check_room()
    async with services.quota.reserve(key_of(call), model.names, model=name, tokens=work.cost) as reservation:
        call.reservation = reservation

        async def complete(node: Node, seconds: float) -> bytes:
            client = client_of(node)
            reservation.delivered = work.read  # should the caller leave: the upstream bills what it began
            return await client.complete(work.path, work.content, seconds)

        with Attended(receive):
            try:
                done = services.nodes.run(model.pool, model.id, complete, patience=time_left(call))
                read, named = _read(await call.waiting_for(done), name)
            except GatewayError:
                reservation.delivered = 0
                raise
        call.estimated = is_guess(read.usage)
        reservation.used = tokens_used(read.usage, work, guessed(_texts(read.choices)))
    return Answer(named)


def _read(reply: bytes, name: str) -> tuple[Generated, bytes]:
    """What a reply says, and the same under the name that the caller knows the model by. Raises EngineFailed."""
    try:
        fields = DECODE_FIELDS(reply)
        read = DECODE(reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EngineFailed(f"An upstream's reply is no generated text: {error}.") from error
    if not read.choices and bytes(fields.get("error", b"null")) != b"null":
        raise EngineFailed("An upstream's reply is an error, for all that its status is 200.")
    fields["model"] = msgspec.Raw(ENCODE(name))
    return read, ENCODE(fields)


def _texts(choices: Sequence[Choice]) -> list[str]:
    """Of the answers."""
    said = [choice.text or (choice.message.content if choice.message is not None else None) for choice in choices]
    return [text for text in said if isinstance(text, str)]
