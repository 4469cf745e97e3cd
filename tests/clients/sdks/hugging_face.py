"""Hugging Face's client, which speaks the wire of text-embeddings-inference."""

from asking import answer
from huggingface_hub import InferenceClient


def embed(at, model, texts, path="", **options):
    """The server's default model: this wire names none."""
    return InferenceClient(model=at.url + path, token=at.key).feature_extraction(texts, **options)


answer(
    {
        "the address": {
            "embed": embed,
            "too_long": lambda at, model, text: embed(at, model, [text], truncate=False),
        },
        "/embed": {"embed": lambda at, model, texts: embed(at, model, texts, "/embed", normalize=True, truncate=True)},
    }
)
