"""Milvus Lite, in a file; embedding here, and by the database itself."""

from pymilvus import AnnSearchRequest, DataType, MilvusClient
from steps import steps

from shoal.milvus import (
    ShoalEmbeddingFunction,
    ShoalRerankFunction,
    ShoalSparseEmbeddingFunction,
    embedding_in_database,
    rerank_in_database,
)


def rows_of(facts):
    return [{"id": place, "text": text, "label": label} for place, (text, label) in enumerate(facts)]


def add(file, url, model, facts):
    function, milvus = ShoalEmbeddingFunction(model, url), MilvusClient(file)
    milvus.create_collection("facts", dimension=function.dim, metric_type="COSINE")
    vectors = function.encode_documents([text for text, _ in facts])
    milvus.insert("facts", [{**row, "vector": vector} for row, vector in zip(rows_of(facts), vectors, strict=True)])
    milvus.close()
    return {"repr": repr(function), "dim": function.dim}


def find(file, url, model, questions):
    milvus = MilvusClient(file)
    milvus.load_collection("facts")
    vectors = ShoalEmbeddingFunction(model, url).encode_queries(questions)
    return labels(milvus.search("facts", vectors, limit=3, output_fields=["label"]))


def labels(found):
    return [[hit["entity"]["label"] for hit in hits] for hits in found]


def add_in_database(file, url, model, facts, dimensions):
    milvus = MilvusClient(file)
    schema = milvus.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("text", DataType.VARCHAR, max_length=1000)
    schema.add_field("label", DataType.VARCHAR, max_length=100)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
    schema.add_function(embedding_in_database(model, url))
    index = milvus.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="COSINE")
    milvus.create_collection("facts", schema=schema, index_params=index)
    milvus.insert("facts", rows_of(facts))
    milvus.close()


def find_in_database(file, questions):
    """Texts go in: the database embeds them."""
    milvus = MilvusClient(file)
    milvus.load_collection("facts")
    found = milvus.search("facts", questions, anns_field="vector", limit=3, output_fields=["label"])
    return {"labels": labels(found), "functions": str(milvus.describe_collection("facts")["functions"])}


def rank_in_database(file, url, model, question):
    milvus = MilvusClient(file)
    milvus.load_collection("facts")
    request = AnnSearchRequest([question], "vector", {"metric_type": "COSINE"}, limit=8)
    ranker = rerank_in_database(model, question, url)
    (hits,) = milvus.hybrid_search("facts", [request], ranker, limit=8, output_fields=["text"])
    return [[hit["entity"]["text"], hit["distance"]] for hit in hits]


def vectors(url, model, texts):
    function = ShoalEmbeddingFunction(model, url)
    return {
        "document": function.encode_documents(texts),
        "query": function.encode_queries(texts),
        "called": function(texts),
    }


def sparse(url, model, texts):
    function = ShoalSparseEmbeddingFunction(model, url)
    found = {"document": function.encode_documents(texts), "query": function.encode_queries(texts)}
    return {name: [[list(one), list(one.values())] for one in many] for name, many in found.items()}


def search_sparse(file, url, model, texts, question):
    function, milvus = ShoalSparseEmbeddingFunction(model, url), MilvusClient(file)
    schema = milvus.create_schema()
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
    index = milvus.prepare_index_params()
    index.add_index("vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    milvus.create_collection("words", schema=schema, index_params=index)
    vectors = function.encode_documents(texts)
    milvus.insert("words", [{"id": place, "vector": vector} for place, vector in enumerate(vectors)])
    query = function.encode_queries([question])
    (hits,) = milvus.search("words", query, anns_field="vector", limit=len(texts))
    return [[hit["id"], hit["distance"]] for hit in hits]


def rank(url, model, question, documents, top_k):
    return [[one.text, one.score, one.index] for one in ShoalRerankFunction(model, url)(question, documents, top_k)]


steps(
    add, find, add_in_database, find_in_database, rank_in_database, vectors, sparse, search_sparse, rank,
)  # fmt: skip
