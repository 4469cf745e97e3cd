"""LanceDB, in a folder."""

import lancedb
from lancedb.pydantic import LanceModel, Vector
from steps import steps

import shoal.lancedb
from shoal.lancedb import ShoalEmbeddings, ShoalReranker


def add(folder, url, model, facts, **options):
    function = ShoalEmbeddings.create(model=model, url=url, **options)

    class Fact(LanceModel):
        text: str = function.SourceField()
        label: str
        vector: Vector(function.ndims()) = function.VectorField()

    table = lancedb.connect(folder).create_table("facts", schema=Fact)
    table.add([{"text": text, "label": label} for text, label in facts])
    table.create_fts_index("text", use_tantivy=False)
    return {"repr": repr(function)}


def find(folder, questions):
    """Nobody says here which function it was."""
    assert shoal.lancedb
    table = lancedb.connect(folder).open_table("facts")
    found = [table.search(question).limit(3).to_list() for question in questions]
    return {
        "labels": [[row["label"] for row in rows] for rows in found],
        "remembered": str(table.schema.metadata),
        "width": len(found[0][0]["vector"]),
    }


def rerank(folder, url, model, question, kind, **options):
    table = lancedb.connect(folder).open_table("facts")
    search = table.search(question, query_type=kind).limit(options.pop("limit", 10))
    rows = search.rerank(ShoalReranker(model, url, **options)).to_list()
    return [[row["text"], row["label"], row["_relevance_score"], sorted(row)] for row in rows]


def vectors(url, model, texts):
    function = ShoalEmbeddings.create(model=model, url=url)
    return {
        "document": function.compute_source_embeddings(texts),
        "query": [function.compute_query_embeddings(text)[0] for text in texts],
    }


def gaps(url, model, texts):
    """Rows without a text."""
    return ShoalEmbeddings.create(model=model, url=url).compute_source_embeddings(texts)


steps(add, find, rerank, vectors, gaps)
