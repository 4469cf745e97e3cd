"""Shoal's own classes for databases, with the real ones: what is inserted is found again, by another process.

Sparse vectors and vectors of tokens are of small random models: there the database's answer must follow from the
gateway's own vectors.
"""

import contextlib
import socket
import subprocess
import time

import httpx
import numpy as np
import pytest
from client_scripts import interpreter
from labelled import FACTS, MODEL, QUESTIONS, RIGHT, WORDS

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

ASKED = "w5 w6"
TOLERANCE = 1e-3
AGAIN = "after a restart"
CHROMA = ("Chroma (in process)", "Chroma (server)")
MILVUS = "Milvus (`milvus-lite`)"


def same_sparse(found, expected):
    for (indices, values), truth in zip(found, expected, strict=True):
        assert dict(zip(indices, values, strict=True)) == pytest.approx(
            dict(zip(truth["indices"], truth["values"], strict=True)), abs=TOLERANCE
        )


def products(query, documents):
    """Of sparse vectors."""
    asked = dict(zip(query["indices"], query["values"], strict=True))
    return [
        sum(asked.get(index, 0) * value for index, value in zip(one["indices"], one["values"], strict=True))
        for one in documents
    ]


def test_chroma_in_process(take, of_server, tmp_path, no_key_in, works):
    take("databases/in_chroma.py", "add", at={"folder": str(tmp_path)}, facts=FACTS, **of_server())
    found = take("databases/in_chroma.py", "find", at={"folder": str(tmp_path)}, questions=list(QUESTIONS))
    assert found["labels"] == RIGHT
    assert found["remembered"] == {"type": "known", "name": "shoal", "config": of_server()}
    no_key_in(tmp_path)
    refused = take("databases/in_chroma.py", "change", at={"folder": str(tmp_path)}, url=of_server()["url"])
    assert "model can not change" in refused
    works("Chroma (in process)", "right neighbours", how=AGAIN)


@contextlib.contextmanager
def chroma_server(folder, port):
    (python,) = interpreter("databases")
    command = [python, "-c", "from chromadb.cli.cli import app; app()", "run", "--path", folder, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(f"http://127.0.0.1:{port}/api/v2/heartbeat"):
                assert process.poll() is None, "Chroma does not start"
                assert time.monotonic() < deadline, "Chroma does not get ready"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def answers(url):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, timeout=5).status_code == 200
    return False


def test_chroma_as_a_server(take, of_server, tmp_path, no_key_in, works):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with chroma_server(tmp_path, port):
        take("databases/in_chroma.py", "add", at={"port": port}, facts=FACTS, **of_server(), timeout=30)
    with chroma_server(tmp_path, port):
        found = take("databases/in_chroma.py", "find", at={"port": port}, questions=list(QUESTIONS))
    assert found["labels"] == RIGHT
    assert found["remembered"]["config"] == {**of_server(), "timeout": 30}
    no_key_in(tmp_path)
    works("Chroma (server)", "right neighbours", how=AGAIN)


def test_chroma_tells_queries_from_documents(tells_queries_from_documents, works):
    tells_queries_from_documents("databases/in_chroma.py")
    for row in CHROMA:
        works(row, "queries as queries")


def test_chromas_sparse_function_survives_its_own_settings(take, of_server, vectors, works):
    found = take("databases/in_chroma.py", "sparse", **of_server("sparse"), texts=WORDS)
    assert (found["name"], found["config"]) == ("shoal_sparse", of_server("sparse"))
    for kind in ("document", "query"):
        same_sparse(found[kind], vectors(WORDS, "sparse", kind, "sparse"))
    for row in CHROMA:
        works(row, "sparse", how="vectors, no search by them")


def test_qdrant(take, take_all, of_server, tmp_path, no_key_in, works):
    made = take("databases/in_qdrant.py", "add", folder=str(tmp_path), facts=FACTS, twice=True, **of_server())
    assert (made["count"], len(set(made["ids"]))) == (len(FACTS), len(FACTS)), "a text that comes again is there once"
    asked = {"folder": str(tmp_path), "questions": list(QUESTIONS), **of_server()}
    found, stars = take_all("databases/in_qdrant.py", ("find", asked), ("find", asked | {"only": "stars"}))
    assert found["labels"] == RIGHT
    no_key_in(tmp_path, found["repr"])
    assert stars["labels"] == [["stars"] * 3] * len(QUESTIONS)
    works("Qdrant", "right neighbours", how=AGAIN)


WORD_FACTS = [(text, label) for text, label in zip(WORDS, "abcab", strict=True)]


@pytest.fixture
def cosines(vectors):
    """Of every text of WORDS with what is asked, as a query; as a document it would have others."""
    documents = np.array(vectors(WORDS, "dense", "document"))
    query, document = (documents @ vectors([ASKED], "dense", kind)[0] for kind in ("query", "document"))
    assert not np.allclose(query, document, atol=10 * TOLERANCE), "the model makes a difference"
    return dict(zip(WORDS, query, strict=True))


def test_qdrant_tells_queries_from_documents(take, of_server, cosines, tmp_path, works):
    take("databases/in_qdrant.py", "add", folder=str(tmp_path), facts=WORD_FACTS, **of_server("dense"))
    asked = {"folder": str(tmp_path), "questions": [ASKED], "limit": 5, **of_server("dense")}
    found = take("databases/in_qdrant.py", "find", **asked)
    assert dict(zip(found["texts"][0], found["scores"][0], strict=True)) == pytest.approx(cosines, abs=TOLERANCE)
    works("Qdrant", "queries as queries")


def test_qdrants_hybrid_search_is_rescored_by_maxsim(take, take_all, of_server, vectors, tmp_path, works):
    outputs = ["dense", "sparse", "multi"]
    take(
        "databases/in_qdrant.py",
        "add",
        folder=str(tmp_path),
        facts=WORD_FACTS,
        outputs=outputs,
        **of_server("all-three"),
    )
    asked = {"folder": str(tmp_path), "outputs": outputs, "questions": [ASKED], "limit": 5, **of_server("all-three")}
    found, some = take_all("databases/in_qdrant.py", ("find", asked), ("find", asked | {"only": "a"}))

    def normal(rows):
        return np.array(rows) / np.linalg.norm(rows, axis=1, keepdims=True)

    (query,) = map(normal, vectors([ASKED], "all-three", "query", "multi"))
    documents = list(map(normal, vectors(WORDS, "all-three", "document", "multi")))
    expected = {text: (query @ rows.T).max(axis=1).sum() for text, rows in zip(WORDS, documents, strict=True)}
    assert dict(zip(found["texts"][0], found["scores"][0], strict=True)) == pytest.approx(expected, abs=TOLERANCE)
    assert found["scores"][0] == sorted(found["scores"][0], reverse=True)
    assert some["labels"] == [["a", "a"]], "the filter holds for every part"
    works("Qdrant", "multi-vector")


def test_qdrants_hybrid_search_by_two_models_fuses_their_ranks(take, of_server, vectors, tmp_path, works):
    models = {"url": of_server()["url"], "model": {"dense": "dense", "sparse": "sparse"}}
    take("databases/in_qdrant.py", "add", folder=str(tmp_path), facts=WORD_FACTS, **models)
    found = take("databases/in_qdrant.py", "find", folder=str(tmp_path), questions=[ASKED], limit=5, **models)
    dense = np.array(vectors(WORDS, "dense", "document")) @ vectors([ASKED], "dense", "query")[0]
    (query,) = vectors([ASKED], "sparse", "query", "sparse")
    sparse = products(query, vectors(WORDS, "sparse", "document", "sparse"))
    places = [np.argsort(np.argsort(-np.array(scores))) for scores in (dense, sparse)]
    expected = {text: sum(1 / (2 + place[at]) for place in places) for at, text in enumerate(WORDS)}
    assert dict(zip(found["texts"][0], found["scores"][0], strict=True)) == pytest.approx(expected, abs=TOLERANCE)
    works("Qdrant", "sparse")


def test_lancedb(take, take_all, of_server, ranks, tmp_path, no_key_in, works):
    made = take("databases/in_lancedb.py", "add", folder=str(tmp_path), facts=FACTS, **of_server())
    question = "Which fish swim together?"
    there = {"folder": str(tmp_path)}
    by = {"question": question, **there, **of_server()}
    found, *ranked, best = take_all(
        "databases/in_lancedb.py",
        ("find", {"questions": list(QUESTIONS), **there}),
        *(("rerank", {"kind": kind, **by}) for kind in ("vector", "hybrid", "fts")),
        ("rerank", {"kind": "hybrid", "top_n": 2, "return_score": "all", **by}),
    )
    assert found["labels"] == RIGHT
    assert found["width"] == 384
    no_key_in(tmp_path, made["repr"], found["remembered"])
    truth = ranks(question, [text for text, _ in FACTS])
    for rows in ranked:
        scores = {text: score for text, _, score, _ in rows}
        assert rows
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
        assert scores == pytest.approx({text: dict(truth)[text] for text in scores}, abs=TOLERANCE)
    assert [text for text, *_ in best] == [text for text, _ in truth[:2]]
    assert {"_distance", "_score"} <= set(best[0][3])
    works("LanceDB", "right neighbours", how=AGAIN)
    works("LanceDB", "reranks")


def test_lancedb_tells_queries_from_documents(tells_queries_from_documents, works):
    tells_queries_from_documents("databases/in_lancedb.py")
    works("LanceDB", "queries as queries")


def test_lancedbs_rows_without_a_text_have_no_vector(take, of_server, vectors):
    found = take("databases/in_lancedb.py", "gaps", **of_server(), texts=[None, "a", "", None])
    assert [one is None for one in found] == [True, False, False, True]
    assert np.allclose(found[1:3], vectors(["a", ""], MODEL, "document"), atol=1e-5)


def test_milvus(take, of_server, tmp_path, no_key_in, works):
    file = str(tmp_path / "milvus.db")
    made = take("databases/in_milvus.py", "add", file=file, facts=FACTS, **of_server())
    assert made["dim"] == 384
    assert take("databases/in_milvus.py", "find", file=file, questions=list(QUESTIONS), **of_server()) == RIGHT
    no_key_in(tmp_path, made["repr"])
    works(MILVUS, "right neighbours", how=AGAIN)


def test_milvus_embeds_and_ranks_by_itself(take, of_server, ranks, tmp_path, no_key_in, works):
    file = str(tmp_path / "milvus.db")
    take("databases/in_milvus.py", "add_in_database", file=file, facts=FACTS, dimensions=384, **of_server())
    found = take("databases/in_milvus.py", "find_in_database", file=file, questions=list(QUESTIONS))
    assert found["labels"] == RIGHT
    no_key_in(tmp_path, found["functions"])
    question = "Which fish swim together?"
    ranked = take("databases/in_milvus.py", "rank_in_database", file=file, question=question, **of_server())
    truth = dict(ranks(question, [text for text, _ in FACTS]))
    assert [score for _, score in ranked] == sorted((score for _, score in ranked), reverse=True)
    assert dict(ranked) == pytest.approx({text: truth[text] for text, _ in ranked}, abs=TOLERANCE)
    assert ranked[0][0] == max(truth, key=truth.get)
    works(MILVUS, "asks Shoal by itself", how="embeds and ranks")


def test_milvus_tells_queries_from_documents(tells_queries_from_documents, works):
    tells_queries_from_documents("databases/in_milvus.py")
    works(MILVUS, "queries as queries")


def test_milvus_searches_sparse_vectors(take, of_server, vectors, tmp_path, works):
    found = take("databases/in_milvus.py", "sparse", **of_server("sparse"), texts=WORDS)
    documents = vectors(WORDS, "sparse", "document", "sparse")
    same_sparse(found["document"], documents)
    (query,) = vectors([ASKED], "sparse", "query", "sparse")
    file = str(tmp_path / "milvus.db")
    hits = take(
        "databases/in_milvus.py", "search_sparse", file=file, texts=WORDS, question=ASKED, **of_server("sparse")
    )
    assert dict(map(tuple, hits)) == pytest.approx(dict(enumerate(products(query, documents))), abs=TOLERANCE * 100)
    works(MILVUS, "sparse")


def test_milvus_style_reranker(take, of_server, ranks, works):
    texts = [text for text, _ in FACTS[:6]]
    found = take("databases/in_milvus.py", "rank", question="baking", documents=texts, top_k=2, **of_server())
    assert [(text, pytest.approx(score, abs=TOLERANCE)) for text, score, _ in found] == ranks("baking", texts)[:2]
    assert [texts[place] for *_, place in found] == [text for text, *_ in found]
    works(MILVUS, "reranks")


@pytest.mark.parametrize("kind", ["vector", "halfvec"])
def test_pgvector(take, of_server, postgres, server, kind, works):
    column = {"address": postgres.url("postgres"), "table": f"facts_{kind}", "kind": kind, **of_server()}
    made = take("databases/in_postgres.py", "add", facts=FACTS, **column)
    assert made["type"] == f"{kind}(384)"
    assert server.api_key not in made["repr"]
    postgres.stop()
    postgres.start()
    found = take("databases/in_postgres.py", "find", questions=list(QUESTIONS), **column)
    assert [[label for label, *_ in rows] for rows in found] == RIGHT
    assert take("databases/in_postgres.py", "find_async", questions=list(QUESTIONS), **column) == found
    works("pgvector", "right neighbours", how=AGAIN)
    works("pgvector", "async")


def test_pgvector_tells_queries_from_documents(take, of_server, postgres, cosines, works):
    column = {"address": postgres.url("postgres"), "table": "asked", **of_server("dense")}
    take("databases/in_postgres.py", "add", facts=WORD_FACTS, **column)
    (rows,) = take("databases/in_postgres.py", "find", questions=[ASKED], limit=5, **column)
    assert {text: 1 - distance for _, text, distance in rows} == pytest.approx(cosines, abs=TOLERANCE)
    works("pgvector", "queries as queries")


def test_pgvectors_sparse_vectors(take, of_server, postgres, vectors, works):
    column = {"address": postgres.url("postgres"), "table": "words", "kind": "sparsevec", "metric": "ip"}
    column |= {"dimensions": 100, **of_server("sparse")}
    assert take("databases/in_postgres.py", "add", facts=WORD_FACTS, **column)["type"] == "sparsevec(100)"
    (rows,) = take("databases/in_postgres.py", "find", questions=[ASKED], limit=5, **column)
    (query,) = vectors([ASKED], "sparse", "query", "sparse")
    expected = products(query, vectors(WORDS, "sparse", "document", "sparse"))
    distances = {text: -distance for _, text, distance in rows}
    assert distances == pytest.approx(dict(zip(WORDS, expected, strict=True)), abs=TOLERANCE * 100)
    works("pgvector", "sparse")


def test_pgvectors_names_are_only_names(take, of_server, postgres):
    name = 'a"; DROP TABLE facts; --'
    quoted = '"a""; DROP TABLE facts; --"'
    statements = take("databases/in_postgres.py", "hostile", address=postgres.url("postgres"), name=name, **of_server())
    assert statements == [
        f"ALTER TABLE {quoted} ADD COLUMN {quoted} vector(384)",
        f"CREATE INDEX ON {quoted} USING hnsw ({quoted} vector_cosine_ops)",
    ]
