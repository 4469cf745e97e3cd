"""One request for generated text, as both ways of answering it need it: what to send, what it costs, what it took."""

from dataclasses import dataclass

from gateway.api.generation_body import GenerationBody, generation_cost
from gateway.api.model_choice import Chosen
from gateway.errors import RequestError
from gateway.services.pools.node import Node
from gateway.services.upstreams.client import UpstreamClient
from gateway.services.upstreams.counts import BYTES_PER_TOKEN
from gateway.services.upstreams.openai_wire import Used
from policies.estimate import TokenEstimate
from policies.generation import prompt_bound


@dataclass(frozen=True, slots=True)
class Generation:
    """What is to be done."""

    path: str
    """At the upstream."""
    content: bytes
    """For the upstream."""
    body: GenerationBody
    chosen: Chosen

    @property
    def cost(self) -> TokenEstimate:
        """What it may take at most."""
        return generation_cost(self.chosen.model, self.body)

    @property
    def read(self) -> int:
        """About so many tokens of prompt, where nobody says how many they were."""
        return -(-prompt_bound(self.body.read) // BYTES_PER_TOKEN)


def tokens_used(usage: Used | None, work: Generation, heard: int) -> int:
    """What it took: as the upstream says, or else the prompt by its length and what was heard of answers."""
    return work.read + heard if usage is None or usage.generated is None else usage.generated


def is_guess(usage: Used | None) -> bool:
    """Whether the upstream did not say what it took."""
    return usage is None or usage.generated is None


def client_of(node: Node) -> UpstreamClient:
    """The client of a node that is an upstream."""
    if not isinstance(node.client, UpstreamClient) or node.client.upstream.kind != "openai":
        raise RequestError("The server behind this model generates no text.", param="model", code="task_unsupported")
    return node.client
