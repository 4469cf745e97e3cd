"""Everyone's client, unchanged, against one real server: true vectors and ranks, by the requests that it is known for.

Each script of `tests/clients` runs once, with every question that its clients are asked, behind a tap that keeps what
they send.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import transformers
from client_scripts import run_script
from client_table import CLIENTS, Client, Wire
from wiretap import Seen, Wiretap

from benchmarks.every_head import HEADS
from benchmarks.families.case import randomise
from benchmarks.families.folder import edit
from gateway.services.register import aliases, grants, tenants
from gateway.services.register import keys as keys_of
from shoal.database import change

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
TOLERANCE = 1e-5
TEXTS = ["Herring swim in shoals.", "naïve café — 日本語 🐟", "word " * 300]
WITH_AN_EMPTY = ["A cod.", "", "A herring."]
MANY = [f"w{5 + number % 90} w{5 + number % 7} w{5 + number % 11}" for number in range(3000)]
"""For a small model, whose words these are."""
A_FEW = [0, 1500, 2999]
WORDS = ["w9 w11", "w20 w21 w22"]
QUESTION = "Which fish swim together?"
DOCUMENTS = [
    "The library opens at nine.",
    "Herring swim in shoals of millions.",
    "A cod is a fish of the cold sea.",
    "Snow fell all night.",
]
TOO_LONG = "word " * 1000


@dataclass(frozen=True)
class Answered:
    """What a client made of a question."""

    version: str
    answer: Mapping[str, Any]
    seen: Sequence[Seen]
    """Its requests."""

    @property
    def value(self) -> Any:
        assert "raised" not in self.answer, (
            f"{self.answer}; it asked {[(seen.path, seen.status) for seen in self.seen]}"
        )
        return self.answer["value"]


Vectors = Callable[..., np.ndarray]
"""Of a model, some texts, and what they are said to be."""


def shows(sent: Seen, wire: Wire) -> bool:
    """Whether the request is of this wire."""
    fits = (
        want(sent.body.get(name)) if callable(want) else sent.body[name] == want for name, want in wire.sends.items()
    )
    return sent.path == wire.path and all(fits)


def judge_vectors(client, got, expected):
    assert shows(got.seen[0], client.embed), got.seen[0]
    assert np.abs(got.value - expected(STARTER, tuple(TEXTS))).max() < TOLERANCE
    return "works"


def judge_an_empty_text(client, got, expected):
    assert np.abs(got.value - expected(STARTER, tuple(WITH_AN_EMPTY))).max() < TOLERANCE
    return "works"


def judge_many(client, got, expected):
    assert got.answer.get("count") == len(MANY), got.answer
    few = tuple(MANY[place] for place in A_FEW)
    assert np.abs(got.value - expected("small", few, client.embeds_as)).max() < TOLERANCE
    assert len(got.seen) == client.requests
    return f"works: {client.requests:,} requests" if client.requests > 1 else "works"


def judge_wide(client, got, expected):
    assert np.shape(got.value) == (len(WORDS), 1000)
    assert np.abs(got.value - expected("wide", tuple(WORDS), client.embeds_as)).max() < TOLERANCE
    return "works"


def judge_short(client, got, expected):
    assert got.value == np.sign(expected("wide", tuple(WORDS), client.embeds_as)[:, :1]).tolist()
    return "works"


def judge_query(client, got, expected):
    kinds = {kind: expected("wide", (WORDS[0],), kind)[0] for kind in ("query", "document", None)}
    near = [kind for kind, vector in kinds.items() if np.abs(np.array(got.value) - vector).max() < TOLERANCE]
    assert near == (["query"] if client.query == "typed" else [None])
    return "works" if client.query == "typed" else "no: it does not tell them from other texts; `model:query` does"


def judge_refusal(client, got, expected):
    assert "raised" in got.answer, "it was embedded all the same"
    assert "maximum context length" in got.answer["message"], got.answer
    assert [seen.status for seen in got.seen] == [400]
    return f"works: `{got.answer['raised']}`"


def judge_ranks(client, got, expected):
    assert shows(got.seen[0], client.rerank), got.seen[0]
    scores = expected(STARTER, tuple(DOCUMENTS)) @ expected(STARTER, (QUESTION,))[0]
    best = np.argsort(-scores)[:3]
    assert [index for index, _ in got.value] == best.tolist()
    assert np.abs(np.array([score for _, score in got.value]) - scores[best]).max() < TOLERANCE
    return "works"


@dataclass(frozen=True)
class Check:
    """A question, which clients are asked it, and how the answer is judged."""

    operation: str
    arguments: Mapping[str, Any]
    asked: Callable[[Client], object]
    judge: Callable[[Client, Answered, Vectors], str]
    """Says what came of it."""
    keep: Sequence[int] | None = None
    """Of many vectors the few that are looked at."""


def of_embedders(judge, model, texts):
    return Check("embed", {"model": model, "texts": texts}, lambda client: client.embed, judge)


CHECKS: Mapping[str, Check] = {
    "vectors": of_embedders(judge_vectors, STARTER, TEXTS),
    "an empty text": of_embedders(judge_an_empty_text, STARTER, WITH_AN_EMPTY),
    "3,000 texts": Check(
        "embed", {"model": "small", "texts": MANY}, lambda client: client.embed and client.requests, judge_many, A_FEW
    ),
    "1,000 dimensions": of_embedders(judge_wide, "wide", WORDS),
    "1 dimension": Check(
        "shorten",
        {"model": "wide", "texts": WORDS, "dimensions": 1},
        lambda client: client.shortens,
        judge_short,
    ),
    "queries as queries": Check("query", {"model": "wide", "text": WORDS[0]}, lambda client: client.query, judge_query),
    "texts too long refused": Check(
        "too_long", {"model": STARTER, "text": TOO_LONG}, lambda client: client.can_refuse, judge_refusal
    ),
    "ranks": Check(
        "rerank",
        {"model": STARTER, "query": QUESTION, "documents": DOCUMENTS, "top_n": 3},
        lambda client: client.rerank,
        judge_ranks,
    ),
}


def is_asked(client: Client, name: str) -> bool:
    """Of what does not work at all, only that."""
    return bool(CHECKS[name].asked(client)) and (client.raises is None or name == "vectors")


@pytest.fixture(scope="module")
def models(start_server, tmp_path_factory, register_heads):
    """The server of all, with the starter model and two small ones beside it."""
    folder = tmp_path_factory.mktemp("models")
    HEADS["dense"](folder / "small")
    wide_model(folder / "wide")
    with start_server(tmp_path_factory.mktemp("data"), "--default-model", "default") as server:
        register_heads(server, {"small": folder / "small", "wide": folder / "wide"})
        yield server


def wide_model(folder):
    """1,000 dimensions: 4,000 bytes, which base64 has to pad. The first alone, of 4 bytes, is an embedding too."""
    HEADS["dense"](folder)
    model = transformers.BertModel(transformers.BertConfig.from_pretrained(folder, hidden_size=1000))
    randomise(dict(model.named_parameters()), seed=9)
    model.save_pretrained(folder)
    edit(folder, matryoshka_dimensions=[1, 1000])
    edit(folder / "1_Pooling", word_embedding_dimension=1000)


@pytest.fixture(scope="module")
def keys(models):
    """A key for each model, for whose tenant that is the default: some wires name no model."""

    async def add(session, actor):
        found = {}
        for place, model in enumerate((STARTER, "small", "wide")):
            tenant = await tenants.create_tenant(session, actor, f"tenant-{place}")
            await grants.add_grant(session, actor, tenant.id, "*")
            await aliases.set_alias(session, actor, tenant.id, "default", model)
            found[model] = (await keys_of.create_key(session, actor, tenant.id)).key
        return found

    made = change(f"sqlite:///{models.data_dir / 'shoal.db'}", add)
    models.until(
        lambda: all(models.get("/v1/models", key).status_code == 200 for key in made.values()), "keys are followed"
    )
    return made


@pytest.fixture(scope="module")
def answered(models, keys):
    """What came of asking a client something: its version, the answer, and the requests."""
    with Wiretap(models.url) as tap:

        @cache
        def everything(environment, script):
            asked = [
                (client, name, tap.label(keys[CHECKS[name].arguments["model"]]))
                for client in CLIENTS
                if (client.environment, client.script) == (environment, script)
                for name in CHECKS
                if is_asked(client, name)
            ]
            questions = [
                {
                    "client": client.part, "url": tap.url, "key": label, "keep": CHECKS[name].keep,
                    "operation": CHECKS[name].operation, "arguments": CHECKS[name].arguments,
                }
                for client, name, label in asked
            ]  # fmt: skip
            versions, answers = run_script(script, environment, [client.package for client, *_ in asked], questions)
            return {
                (client.name, name): Answered(versions[client.package], answer, tap.seen(label))
                for (client, name, label), answer in zip(asked, answers, strict=True)
            }

        yield lambda client, name: everything(client.environment, client.script)[client.name, name]


@pytest.fixture(scope="module")
def expected(models, reference):
    """The vectors of texts: sentence-transformers' own, or of the small models what the server gives a bare request."""

    @cache
    def vectors(model, texts, kind=None):
        if model == STARTER:
            return reference.encode(list(texts), convert_to_numpy=True)
        asked = {"model": model, "input": texts, "input_type": kind, "encoding_format": "float"}
        reply = models.embed(models.api_key, asked)
        assert reply.status_code == 200, reply.text
        return np.array([item["embedding"] for item in reply.json()["data"]])

    return vectors


ASKED = [
    pytest.param(client, name, id=f"{client.name}: {name}")
    for client in CLIENTS
    for name in CHECKS
    if is_asked(client, name)
]


@pytest.mark.parametrize(("client", "name"), ASKED)
def test_a_client_gets(client, name, answered, expected, compatibility):
    got = answered(client, name)
    if client.raises is not None:
        assert got.answer.get("raised") == client.raises, got.answer
        outcome = f"no: {client.why}"
    else:
        outcome = CHECKS[name].judge(client, got, expected)
    compatibility.tell("clients", client.name, got.version, name, outcome)
    for wire, column in ((client.embed, "embeds by"), (client.rerank, "reranks by")):
        if wire is not None:
            compatibility.tell("clients", client.name, got.version, column, f"`{wire.path}`")


def test_the_page_of_what_works_has_these_clients_and_is_as_it_was_generated(compatibility):
    assert set(compatibility.clients("clients")) == {client.name for client in CLIENTS}
    assert compatibility.page_is_current()
