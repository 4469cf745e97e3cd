"""OpenAI's own client for Python."""

import openai
from asking import answer


def embed(at, model, texts, **options):
    with openai.OpenAI(api_key=at.key, base_url=f"{at.url}/v1") as client:
        reply = client.embeddings.create(model=model, input=texts, **options)
    assert reply.usage.total_tokens > 0
    return [item.embedding for item in reply.data]


def typed(kind):
    return lambda at, model, texts: embed(at, model, texts, extra_body={"input_type": kind})


answer(
    {
        "embeddings": {
            "embed": embed,
            "shorten": embed,
            "query": lambda at, model, text: typed("query")(at, model, [text])[0],
            "document": typed("document"),
            "too_long": lambda at, model, text: embed(at, model, [text], extra_body={"truncate": False}),
        },
        "a suffix of the model": {
            "embed": lambda at, model, texts: embed(at, f"{model}:document", texts),
            "query": lambda at, model, text: embed(at, f"{model}:query", [text])[0],
        },
    }
)
