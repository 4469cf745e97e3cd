"""Weaviate's client: what it would tell Weaviate, and the objects that it would send."""

import os

from steps import steps

from shoal.weaviate import ShoalVectors, headers, reranker_cohere, text2vec_cohere, text2vec_openai


def modules(url, model, alias):
    """Each module's part of a collection's configuration."""
    return {
        "text2vec-openai": text2vec_openai(model, url)._to_dict()["vectorizer"]["text2vec-openai"],
        "text2vec-openai, shortened": text2vec_openai(alias, url, dimensions=8)._to_dict()["vectorizer"][
            "text2vec-openai"
        ],
        "text2vec-cohere": text2vec_cohere(model, url)._to_dict()["vectorizer"]["text2vec-cohere"],
        "reranker-cohere": reranker_cohere(model, url)._to_dict(),
        "headers with the key": sorted(
            name for name, value in headers().items() if value == os.environ["SHOAL_API_KEY"]
        ),
    }


def objects(url, model, rows, **options):
    vectors = ShoalVectors(model, url, **options)
    return {
        "objects": [[one.properties, one.vector] for one in vectors.objects(rows)],
        "query": vectors.query(rows[0]["text"]),
        "repr": repr(vectors),
    }


steps(modules, objects)
