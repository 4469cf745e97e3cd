"""`POST /tokenize`: the tokens of texts, as text-embeddings-inference shows them. No model runs, none are counted."""

from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api.answers import Answer
from gateway.api.bodies import decode_body, read_body
from gateway.api.inference import ask, inference_route
from gateway.api.model_choice import choose_model
from gateway.api.paths import TEI_TOKENS
from gateway.api.tei_schemas import TeiToken, TeiTokensBody
from gateway.api.texts import texts_of
from gateway.call import Call
from gateway.engine_client import TokenizeReply, TokenizeRequest, model_ref
from gateway.services.opened import Services
from gateway.services.pools.node import to_tokenize
from policies.estimate import TokenEstimate

FREE: Final = TokenEstimate(0)
DECODE = msgspec.json.Decoder(TeiTokensBody).decode
ENCODE = msgspec.json.Encoder().encode


def tokens_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, TEI_TOKENS, tokenize, scope="embeddings")


async def tokenize(services: Services, call: Call, receive: Receive) -> Answer:
    """Show the tokens of what the body holds."""
    body = decode_body(DECODE, await read_body(receive, call, services.settings.max_body_bytes))
    chosen = choose_model(call, body.model or services.settings.default_model)
    texts = await texts_of(body.inputs, services.settings.max_inputs, "inputs")
    call.inputs = len(texts)
    request = TokenizeRequest(model_ref(chosen.model), texts, special_tokens=body.add_special_tokens is not False)
    (reply,) = await ask(services, call, receive, chosen, to_tokenize, request, tokens=FREE)
    return render(reply)


def render(reply: TokenizeReply) -> Answer:
    """A list for each input."""
    return Answer(
        ENCODE(
            [
                [TeiToken(token.id, token.text, token.special, token.start, token.stop) for token in tokens]
                for tokens in reply.tokens
            ]
        )
    )
