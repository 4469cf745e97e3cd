"""Shoal's own classes for LangChain, LlamaIndex and Haystack, with the real ones."""

import numpy as np
import pytest
from labelled import FACTS, QUESTIONS, RIGHT, WORDS

pytestmark = pytest.mark.timeout(300)  # the first test starts the server, and libraries are slow to import

SCRIPTS = {
    "LangChain": "litellm_langchain/shoal_langchain.py",
    "LlamaIndex": "frameworks/shoal_llamaindex.py",
    "Haystack": "frameworks/shoal_haystack.py",
}
TEXTS = [text for text, _ in FACTS[:6]]
TOLERANCE = 1e-5


@pytest.fixture(params=SCRIPTS, scope="module")
def framework(request):
    return request.param


@pytest.fixture(scope="module")
def found(framework, take_all, of_server):
    """What everything gave: an interpreter that imports a framework is slow to start."""
    steps = {
        "vectors": of_server("dense") | {"texts": WORDS},
        "shorter": of_server("dense") | {"texts": WORDS, "dimensions": 8},
        "neighbours": of_server() | {"facts": FACTS, "questions": list(QUESTIONS)},
        "ranked": of_server() | {"question": "baking", "texts": TEXTS, "top_n": 2},
        "all ranked": of_server() | {"question": "baking", "texts": TEXTS, "top_n": None},
    }
    taken = {"shorter": "vectors", "neighbours": "find", "ranked": "rerank", "all ranked": "rerank"}
    gave = take_all(SCRIPTS[framework], *((taken.get(name, name), arguments) for name, arguments in steps.items()))
    return dict(zip(steps, gave, strict=True))


def test_queries_and_documents_are_told_apart(found, vectors, framework, works):
    document, query = (vectors(WORDS, "dense", kind) for kind in ("document", "query"))
    given = found["vectors"]
    for kinds in (given, *given["awaited"]):
        assert np.allclose(kinds["document"], document, atol=TOLERANCE)
        assert np.allclose(kinds["query"], query, atol=TOLERANCE)
    for again in ("reopened", "single"):
        assert again not in given or np.allclose(given[again], document, atol=TOLERANCE)
    assert not np.allclose(document, query, atol=0.01), "the model makes a difference"
    assert given["awaited"]
    works(framework, "queries as queries", "async")


def test_vectors_may_be_shorter(found, vectors):
    document = np.array(vectors(WORDS, "dense", "document"))[:, :8]
    shorter = document / np.linalg.norm(document, axis=1, keepdims=True)
    assert np.allclose(found["shorter"]["document"], shorter, atol=TOLERANCE)


def test_the_right_neighbours_are_found(found, framework, works):
    neighbours = found["neighbours"]
    assert neighbours in (RIGHT, [RIGHT, RIGHT]), "with await too, where there is such a search"
    works(framework, "right neighbours", how="in memory")


@pytest.mark.parametrize("which", ["ranked", "all ranked"])
def test_documents_are_ranked_and_left_as_they_were(found, ranks, which, framework, works):
    truth = [(TEXTS.index(text), score) for text, score in ranks("baking", TEXTS)]
    expected = truth[:2] if which == "ranked" else truth
    assert found[which]["untouched"]
    for ranked in found[which]["ranked"]:
        assert [place for place, _ in ranked] == [place for place, _ in expected]
        assert [score for _, score in ranked] == pytest.approx([score for _, score in expected], abs=TOLERANCE)
    works(framework, "reranks")


def test_no_key_is_saved_or_shown(found, server):
    shown = str([{name: given[name] for name in ("saved", "repr") if name in given} for given in _all(found)])
    assert "SHOAL_API_KEY" in shown
    assert server.api_key not in shown


def _all(found):
    return [given for given in found.values() if isinstance(given, dict)]


def test_a_key_in_the_code_is_not_saved_by_haystack(take, of_server):
    assert "Cannot serialize token-based secret" in take("frameworks/shoal_haystack.py", "token", **of_server())
