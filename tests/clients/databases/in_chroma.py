"""Chroma, in process and as a server."""

import chromadb
from steps import steps

import shoal.chroma
from shoal.chroma import ShoalEmbeddingFunction, ShoalSparseEmbeddingFunction


def opened(folder=None, port=None):
    return chromadb.HttpClient("127.0.0.1", port) if port else chromadb.PersistentClient(folder)


def add(at, url, model, facts, **options):
    collection = opened(**at).create_collection(
        "facts", embedding_function=ShoalEmbeddingFunction(model, url, **options)
    )
    texts, labels = zip(*facts, strict=True)
    collection.add(
        ids=list(map(str, range(len(facts)))), documents=list(texts), metadatas=[{"label": one} for one in labels]
    )


def find(at, questions):
    """Nobody says here which function it was."""
    assert shoal.chroma
    collection = opened(**at).get_collection("facts")
    found = collection.query(query_texts=questions, n_results=3)
    return {
        "labels": [[row["label"] for row in rows] for rows in found["metadatas"]],
        "remembered": collection.configuration_json["embedding_function"],
    }


def vectors(url, model, texts):
    function = ShoalEmbeddingFunction(model, url)
    return {"document": function(texts), "query": function.embed_query(texts), "repr": repr(function)}


def sparse(url, model, texts):
    """Rebuilt as Chroma would from what a schema keeps."""
    built = ShoalSparseEmbeddingFunction(model, url)
    function = ShoalSparseEmbeddingFunction.build_from_config(built.get_config())
    plain = {
        "document": [[one.indices, one.values] for one in function(texts)],
        "query": [[one.indices, one.values] for one in function.embed_query(texts)],
    }
    return plain | {"config": built.get_config(), "name": function.name()}


def change(at, url):
    """Another model for vectors that are there."""
    collection = opened(**at).get_collection("facts")
    known = collection.configuration_json["embedding_function"]["config"]
    function = ShoalEmbeddingFunction.build_from_config(known)
    try:
        function.validate_config_update(known, {**known, "model": "another"})
    except ValueError as error:
        return str(error)


steps(add, find, vectors, sparse, change)
