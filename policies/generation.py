"""What a request for generated text may cost: its prompt by the bytes of its texts, and what the model may write."""

from collections.abc import Iterator
from typing import Any

from policies.estimate import TokenEstimate, utf8_bytes

DEFAULT_COMPLETION = 4096
"""Tokens that are reserved for one answer where the request sets no limit of its own."""
MESSAGE_TOKENS = 16
"""What templates put around one message, at most."""
MEDIA_TOKENS = 2048
"""Taken for a picture, a sound or a file, whose bytes say nothing of its tokens."""
MEDIA = frozenset({"image_url", "input_image", "input_audio", "audio_url", "video_url", "file", "image", "audio"})
DEEPEST = 32
"""Levels of lists and objects that are looked into."""


def prompt_bound(parts: Iterator[Any] | list[Any]) -> TokenEstimate:
    """At most so many tokens are read of messages, prompts and tools as decoded from JSON."""
    return TokenEstimate(sum(_bound(part, 0) for part in parts))


def generation_bound(prompt: TokenEstimate, *, answers: int, most: int | None, context: int | None) -> TokenEstimate:
    """The prompt once, and so many answers of `most` tokens each; neither is longer than the model's context."""
    answer = DEFAULT_COMPLETION if most is None else most
    if context is not None:
        prompt, answer = TokenEstimate(min(prompt, context)), min(answer, context)
    return TokenEstimate(prompt + answers * answer)


def _bound(value: Any, depth: int) -> int:
    if isinstance(value, str):
        return utf8_bytes(value)
    if isinstance(value, int | float):
        return 1  # a token of a token array, or a number of a schema: no more than a word of it
    if depth > DEEPEST:
        return 0
    if isinstance(value, list):
        return sum(_bound(item, depth + 1) for item in value)
    if isinstance(value, dict):
        if value.get("type") in MEDIA:
            return MEDIA_TOKENS
        return MESSAGE_TOKENS + sum(utf8_bytes(str(key)) + _bound(item, depth + 1) for key, item in value.items())
    return 1
