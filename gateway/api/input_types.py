"""What a text is to a search, in every client's words, and what the model is told of it."""

from collections.abc import Mapping

from gateway.engine_client import InputType
from gateway.errors import RequestError

WORDS: Mapping[str, InputType] = {
    **dict.fromkeys(("query", "search_query"), "query"),
    **dict.fromkeys(("document", "passage", "search_document"), "document"),
}
OTHERS = ("classification", "clustering")
"""Cohere's words for texts that are not searched; models that have such a prompt of their own get it."""
HEADER = b"x-input-type"
"""For clients that can set headers, and no field beside OpenAI's own."""
SUFFIXES: Mapping[str, InputType] = {":query": "query", ":document": "document"}
"""Of names of models, for clients that can say it nowhere else."""


def of_suffix(name: str) -> tuple[str, InputType | None]:
    """A name without its suffix, and what that says."""
    stem, colon, word = name.rpartition(":")
    input_type = SUFFIXES.get(colon + word) if stem else None
    return (stem, input_type) if input_type is not None else (name, None)


def of_header(headers: Mapping[bytes, bytes]) -> str | None:
    """What the headers say."""
    said = headers.get(HEADER)
    return said.decode("latin-1") if said else None


def meant(word: str | None, prompts: tuple[str, ...]) -> tuple[InputType | None, str | None]:
    """The type of the input and the name of the prompt that a client's word stands for, with a model of such prompts.

    Raises RequestError for words that nobody knows.
    """
    if word is None:
        return None, None
    if word in OTHERS:
        return None, word if word in prompts else None
    if word not in WORDS:
        raise RequestError(
            f"Invalid value for 'input_type': {word[:40]!r}. Known are {', '.join((*WORDS, *OTHERS))}.",
            param="input_type",
        )
    return WORDS[word], None
