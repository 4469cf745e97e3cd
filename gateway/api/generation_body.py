"""What a request for generated text says: the few fields that the gateway must understand, and all others as they came.

The body goes on as it is, field by field, but for the model's name and what makes a stream say its usage. What would
have the upstream go elsewhere, or use another model than the one that is allowed, is refused.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.bodies import decode_body, missing
from gateway.api.costs import input_limit
from gateway.api.schemas import Positive
from gateway.errors import RequestError
from gateway.services.snapshot.entries import ModelEntry
from policies.estimate import TokenEstimate
from policies.generation import generation_bound, prompt_bound

ELSEWHERE = frozenset(
    {
        "api_base", "api_key", "api_type", "api_version", "azure_endpoint", "base_url", "bootstrap_host",
        "bootstrap_port", "custom_llm_provider", "deployment_id", "endpoint", "engine", "extra_body", "extra_headers",
        "extra_query", "fallbacks", "context_window_fallbacks", "default_headers", "headers", "kv_transfer_params",
        "litellm_params", "lora_path", "model_list", "models", "organization", "preset", "provider", "proxy", "route",
        "url", "user_config",
    }
)  # fmt: skip
"""Fields by which routers and servers are told another address, credential or model: LiteLLM, OpenRouter, vLLM and
SGLang (whose workers fetch from the address that such a field names)."""
ENCODE = msgspec.json.Encoder().encode


class StreamOptions(msgspec.Struct):
    """What a stream shall say beside its text."""

    include_usage: bool | None = None


class GenerationBody(msgspec.Struct):
    """What both routes take, as far as the gateway reads it; everything else goes on as it is."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    tools: Any = None
    functions: Any = None
    response_format: Any = None

    @property
    def prompts(self) -> int:
        """How many texts are to be continued, each by itself."""
        return 1

    @property
    def read(self) -> list[Any]:
        """The parts that the model reads."""
        return [self.tools, self.functions, self.response_format]

    @property
    def wants_usage(self) -> bool:
        """Whether the caller asked for the usage of a stream."""
        return self.stream_options is not None and self.stream_options.include_usage is True


class ChatBody(GenerationBody):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]] | None = None

    @property
    def read(self) -> list[Any]:
        """The parts that the model reads."""
        return [self.messages, *super().read]


class CompletionBody(GenerationBody):
    """`POST /v1/completions`."""

    prompt: str | list[Any] | None = None
    suffix: str | None = None

    @property
    def prompts(self) -> int:
        """How many texts are to be continued, each by itself; an array of tokens is one."""
        if not isinstance(self.prompt, list) or not self.prompt or isinstance(self.prompt[0], int):
            return 1
        return len(self.prompt)

    @property
    def read(self) -> list[Any]:
        """The parts that the model reads."""
        return [self.prompt, self.suffix, *super().read]


DECODE_CHAT = msgspec.json.Decoder(ChatBody).decode
DECODE_COMPLETION = msgspec.json.Decoder(CompletionBody).decode
DECODE_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_generation(content: bytes, *, chat: bool) -> GenerationBody:
    """The body. Raises RequestError."""
    if chat:
        conversation = decode_body(DECODE_CHAT, content)
        if not conversation.messages:
            raise missing("messages")
        return conversation
    completion = decode_body(DECODE_COMPLETION, content)
    if completion.prompt is None:
        raise missing("prompt")
    return completion


def forwarded(content: bytes, body: GenerationBody, source: str) -> bytes:
    """The body for the upstream, which calls the model `source`. Raises RequestError for fields that lead elsewhere."""
    fields = decode_body(DECODE_FIELDS, content)
    for name in fields:
        if name in ELSEWHERE:
            raise RequestError(
                f"Unrecognized request argument supplied: {name}. Where requests go is not for callers to say.",
                param=name,
            )
    fields["model"] = msgspec.Raw(ENCODE(source))
    if body.stream:
        options = decode_body(DECODE_FIELDS, bytes(fields["stream_options"])) if body.stream_options else {}
        fields["stream_options"] = msgspec.Raw(ENCODE({**options, "include_usage": True}))
    return ENCODE(fields)


def generation_cost(model: ModelEntry, body: GenerationBody) -> TokenEstimate:
    """What the request may take at most: its prompt, and every answer that it asks for."""
    answers = body.prompts * max(body.n or 1, body.best_of or 1)
    limits = [limit for limit in (body.max_completion_tokens, body.max_tokens) if limit is not None]
    most = max(limits, default=None)  # which of two an upstream goes by is not known
    return generation_bound(prompt_bound(body.read), answers=answers, most=most, context=input_limit(model))
