"""`POST /`: what clients send that were given nothing but an address. Their bodies tell whose they are.

`inputs` is text-embeddings-inference's, from huggingface_hub; `texts` is Cohere's, from LiteLLM, unless a header is
Chroma's.
"""

from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive

from gateway.api import cohere, tei
from gateway.api.answers import Answer
from gateway.api.bodies import peek, read_body
from gateway.api.inference import inference_route
from gateway.api.paths import BARE, COHERE_2
from gateway.call import Call
from gateway.services.opened import Services


class Dialect(msgspec.Struct):
    """What tells the bodies apart, whatever else is wrong with them."""

    texts: Any = None


DECODE = msgspec.json.Decoder(Dialect).decode


def bare_route(services: Services) -> HTTPRouteHandler:
    """The route, serving from these services."""
    return inference_route(services, BARE, embed, scope="embeddings")


async def embed(services: Services, call: Call, receive: Receive) -> Answer:
    """Embed what the body holds, as whom it is of would."""
    content = await read_body(receive, call, services.settings.max_body_bytes)
    said = peek(DECODE, content)
    if said is not None and said.texts is not None and tei.CHROMAS_MODEL not in call.headers:
        call.endpoint, call.plain_errors = COHERE_2[0], False
        return await cohere.answer(services, call, receive, content, version="2")
    call.endpoint = tei.DENSE.paths[0]
    return await tei.answer(services, call, receive, content, kind=tei.DENSE)
