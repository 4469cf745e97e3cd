"""What a request for generated text may cost: its prompt by the bytes of its texts, and what the model may write."""

from collections.abc import Iterable
from typing import Any

from policies.estimate import TokenEstimate, utf8_bytes

DEFAULT_COMPLETION = 4096
"""Tokens that are reserved for one answer where the request sets no limit of its own."""
MESSAGE_TOKENS = 16
"""What templates put around one message, at most."""
MEDIA_TOKENS = 2048
"""Taken for a picture, a sound or a file, whose bytes say nothing of its tokens."""
MEDIA = frozenset({"image_url", "input_image", "input_audio", "audio_url", "video_url", "file", "image", "audio"})


def prompt_bound(parts: Iterable[Any]) -> TokenEstimate:
    """At most so many tokens are read of messages, prompts and tools as decoded from JSON, however deep they are."""
    bound, left = 0, list(parts)
    while left:
        value = left.pop()
        if isinstance(value, str):
            bound += utf8_bytes(value)
        elif isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            bound += MESSAGE_TOKENS + sum(map(utf8_bytes, map(str, value)))
            kind = value.get("type")
            is_media = isinstance(kind, str) and kind in MEDIA
            bound += MEDIA_TOKENS if is_media else 0
            left += [part for name, part in value.items() if not (is_media and name in MEDIA)]
        else:
            bound += 1  # a token of a token array, or a number of a schema: no more than a word of it
    return TokenEstimate(bound)


def generation_bound(prompt: TokenEstimate, *, answers: int, most: int | None, context: int | None) -> TokenEstimate:
    """The prompt once, and so many answers of `most` tokens each; neither is longer than the model's context."""
    answer = DEFAULT_COMPLETION if most is None else most
    if context is not None:
        prompt, answer = TokenEstimate(min(prompt, context)), min(answer, context)
    return TokenEstimate(prompt + answers * answer)
