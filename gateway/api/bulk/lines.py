"""`/v1/embeddings` for lines of a batch: the same story as over a connection, for bodies that wait in a file."""

from gateway.api.costs import embed_cost
from gateway.api.embeddings import Asked, understand
from gateway.call import Call
from gateway.engine_client import EmbedReply, EmbedRequest
from gateway.errors import BodyTooLarge
from gateway.services.bulk.wire import Work
from gateway.services.pools.directory import NodeDirectory
from gateway.services.pools.node import to_embed
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, PolicySnapshot
from gateway.settings import GatewaySettings

ENDPOINT = "/v1/embeddings"


class EmbeddingLines:
    """The wire of lines whose url is `/v1/embeddings`."""

    def __init__(self, settings: GatewaySettings, nodes: NodeDirectory) -> None:
        self._settings = settings
        self._nodes = nodes

    async def prepare(self, policies: PolicySnapshot, key: KeyEntry, body: bytes) -> Work:
        """What a line asks for. Raises what the route would answer."""
        if len(body) > self._settings.max_body_bytes:  # as it is now: it may have been more when the batch was made
            raise BodyTooLarge(self._settings.max_body_bytes)
        call = Call("", {}, endpoint=ENDPOINT, policies=policies, key=key, lane="bulk")
        asked = await understand(self._settings, call, body)
        cost = embed_cost(asked.chosen.model, asked.request.inputs)
        return Work(asked.chosen.model, asked.chosen.name, asked.request, cost, lambda reply: _body(asked, reply))

    async def ask(self, model: ModelEntry, request: EmbedRequest) -> EmbedReply:
        """Have a node do it."""
        return await self._nodes.run(
            model.pool,
            model.facts.base or model.id,
            lambda node, seconds: to_embed(node.client)(node.url, request, seconds),
            adapter=model.facts.adapter,
        )


def _body(asked: Asked, reply: EmbedReply) -> bytes:
    return asked.render(reply).body
