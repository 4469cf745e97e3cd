"""No tenant gets at what is another's, by any route and any id in it.

The routes come from the app's own table and the fields of bodies from its document, so that none can be forgotten: one
that takes a name which is not known here makes these tests fail, and says what to add.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from litestar import Litestar, get
from litestar.params import FromPath, FromQuery

from gateway.api.openapi import describe
from gateway.app import create_app
from gateway.services.register import aliases, models

IN_PATHS = {"model_id": "model", "owner": "model", "model": "model", "file_id": "file", "batch_id": "batch"}
IN_BODIES = {"model": "model", "input_file_id": "file"}
"""Kinds of objects by the names under which routes take them."""
DATA = {
    "input", "inputs", "text", "texts", "images", "query", "documents", "rank_fields", "labels", "thresholds",
    "hypothesis_template", "encoding_format", "dimensions", "output_dimension", "output_dtype", "output_types",
    "embedding_type", "embedding_types", "input_type", "prompt_name", "task", "instruction", "normalize",
    "truncate", "truncation", "truncation_direction", "top_n", "top_k", "return_documents", "return_text",
    "messages", "prompt", "suffix", "stream", "stream_options", "include_usage", "n", "best_of", "max_tokens",
    "max_completion_tokens", "tools", "functions", "response_format",
    "multi_label", "raw_scores", "threshold", "aggregation", "flat", "add_special_tokens", "property",
    "file", "purpose", "endpoint", "completion_window", "metadata", "output_expires_after", "anchor", "seconds",
}  # fmt: skip
"""What names nothing that exists."""
BODIES: dict[str, list[dict[str, Any]]] = {
    "/v1/embeddings": [{"input": "x"}],
    "/v1/embed": [{"texts": ["x"]}],
    "/v2/embed": [{"texts": ["x"], "input_type": "search_query", "embedding_types": ["float"]}],
    "/embed": [{"inputs": "x"}],
    "/embed_sparse": [{"inputs": "x"}],
    "/embed_all": [{"inputs": "x"}],
    "/": [{"inputs": "x"}, {"texts": ["x"]}],
    "/tokenize": [{"inputs": "x"}],
    "/predict": [{"inputs": "x"}],
    "/info": [{}],
    "/v1/rerank": [{"query": "q", "documents": ["d"]}, {"query": "q", "texts": ["t"]}],
    "/infinity/rerank": [{"query": "q", "documents": ["d"]}],
    "/v1/classify": [{"input": "x"}],
    "/v1/chat/completions": [{"messages": [{"role": "user", "content": "x"}]}, {"messages": [{}], "stream": True}],
    "/v1/completions": [{"prompt": "x"}],
    "/v1/extract": [{"input": "x", "labels": ["a"]}],
    "/v1/batches": [{"endpoint": "/v1/embeddings", "completion_window": "24h"}],
}
"""Bodies that are good but for the object, by endpoint."""
FOREIGN = {
    "model": ("their/vault", "vault", "only-theirs"),
    "writer": ("their/writer", "writer", "only-their-writer"),
    "file": ("",),
    "batch": ("",),
}
"""What the other tenant has and this one has not, by kind: an id, everybody's name for it, that tenant's own name; of
files and batches new ones, since routes change them."""
NAMES = re.compile(r"\{\w+(:\w+)?\}(/\{\w+(:\w+)?\})?")
"""Where a path takes a name, which may have an owner before it."""
VOLATILE = {"date", "x-request-id", "openai-processing-ms"}


class Place(NamedTuple):
    """Where a route takes the name of an object."""

    method: str
    path: str
    endpoint: str
    field: str
    kind: str
    in_path: bool


def places(app: Litestar, document: dict[str, Any]) -> Iterator[Place]:
    """Every such place of every route that asks for a key. Fails at a name that nobody has thought about."""
    for route in app.routes:
        for handler in route.route_handlers:
            if handler.http_methods == {"OPTIONS"} or handler.opt.get("public"):
                continue
            told = f"{'|'.join(sorted(handler.http_methods))} {route.path}"
            named = re.findall(r"\{(\w+)", route.path)
            taken = set(handler.parsed_fn_signature.parameters) - {"request"} - set(named)
            assert not taken, f"{told} takes {taken} by query: teach places() to find and try them"
            for name in named:
                assert name in IN_PATHS, (
                    f"{told} takes '{name}', and nothing tries another tenant's there: add it to IN_PATHS with its "
                    "kind, and to FOREIGN an object of that kind which the other tenant has"
                )
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                endpoint = handler.opt["endpoint"]
                yield from (Place(method, route.path, endpoint, name, IN_PATHS[name], True) for name in named[-1:])
                path = re.sub(r"\{\w+_id(:\w+)?\}", "{id}", route.path).replace(":str}", "}")
                described = document["paths"][path][method.lower()]
                by_query = {one["name"] for one in described.get("parameters", ()) if one["in"] == "query"} & {
                    *IN_BODIES
                }
                for name in sorted({*fields(described.get("requestBody"), document)} - {*named} | by_query):
                    assert name in IN_BODIES or name in DATA, (
                        f"{told} takes '{name}' in its body: where it names an object, add it to IN_BODIES with its "
                        "kind, and to FOREIGN one which the other tenant has; else add it to DATA"
                    )
                    if name in IN_BODIES:
                        assert endpoint in BODIES, f"{told}: add a good body to BODIES"
                        yield Place(method, route.path, endpoint, name, kind_of(handler, name), in_path=False)


def kind_of(handler: Any, field: str) -> str:
    """What a field of a route's body names: models that generate text are of their own kind."""
    return "writer" if handler.opt["endpoint"].endswith("/completions") else IN_BODIES[field]


def fields(schema: Any, document: dict[str, Any]) -> Iterator[str]:
    """The names of all fields below a schema."""
    match schema:
        case {"$ref": str(ref)}:
            yield from fields(document["components"]["schemas"][ref.rpartition("/")[2]], document)
        case dict():
            yield from schema.get("properties", {})
            for word, part in schema.items():
                yield from fields([*part.values()] if word == "properties" else part, document)
        case list():
            for part in schema:
                yield from fields(part, document)


def requests(place: Place, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Paths and options by which an object is asked for at a place."""
    if place.in_path:
        options = {"json": BODIES[place.endpoint][0]} if place.method == "POST" and place.kind == "model" else {}
        for spelling in {name, quote(name, safe="")}:
            yield NAMES.sub(spelling, place.path), options
    else:
        by = "params" if place.method == "GET" else "json"
        for body in BODIES[place.endpoint]:
            yield place.path, {by: {**body, place.field: name}}


def nowhere(name: str) -> str:
    """A name as long as another one, which nothing has."""
    return re.sub(r"[a-z]", "z", name)


@pytest.fixture
def sides(running, upstream):
    """This tenant, and another which has what this one has not."""
    mine, other = (
        running.caller(allow=["tests/mini"], requests=1000),
        running.caller(allow=["*"], tokens_per_month=10**6),
    )
    running.change(models.add_model, models.NewModel(id="their/vault", aliases=("vault",), input_limit=512))
    running.change(aliases.set_alias, other.tenant, "only-theirs", "their/vault")
    pool = running.served_by(upstream, "chat").replace("/", "-")
    writer = models.NewModel(id="their/writer", source="chat", aliases=("writer",), pool=pool)
    running.change(models.add_model, writer)
    running.change(aliases.set_alias, other.tenant, "only-their-writer", "their/writer")
    yield mine, other
    for model in ("their/vault", "their/writer"):
        running.change(models.remove_model, model)


@pytest.fixture
def found(running):
    return list(places(create_app(running.services)._app, describe()))


@pytest.fixture
def named(gateway_under_test, sides):
    """The name of something that the other tenant has."""

    def ask(method, path, **options):
        return gateway_under_test.request(method, path, sides[1], **options).json()

    def make(kind, name):
        if name:
            return name
        line = '{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"input": "__sleep 0.3__"}}'
        sent = {"data": {"purpose": "batch"}, "files": {"file": ("theirs.jsonl", line.encode())}}
        file_id = ask("POST", "/v1/files", **sent)["id"]
        if kind == "file":
            return file_id
        return ask("POST", "/v1/batches", json={**BODIES["/v1/batches"][0], "input_file_id": file_id})["id"]

    def settle():
        """Wait until nothing of the other tenant's changes by itself."""

        def at_rest():
            rows = gateway_under_test.dump()
            gone = [row for row in rows["file"] if row["deleted_at"] is not None]
            return not gone and all(row["ended_at"] is not None for row in rows["batch"])

        gateway_under_test.services.bulk.sweeper.hurry()
        gateway_under_test.wait_until(at_rest)

    make.settle = settle
    return make


def test_what_is_anothers_does_not_exist_by_any_route(gateway_under_test, sides, found, named):
    mine, other = sides
    asked = 0
    tried = set()
    for place in found:
        story = (place.endpoint, place.method, place.field, place.in_path)
        for known in FOREIGN[place.kind][: 1 if story in tried else None]:  # one more path leads to the same story
            tried.add(story)
            name = named(place.kind, known)
            for path, options in requests(place, name):
                theirs = gateway_under_test.request(place.method, path, other, **options)
                assert theirs.status_code == 200, f"{place}: {name} is not even there for its own tenant"
            name = named(place.kind, known)
            if not known:
                named.settle()
            for (path, options), (lost, lost_options) in zip(
                requests(place, name), requests(place, nowhere(name)), strict=True
            ):
                before, calls, left = unspent(gateway_under_test, sides)
                there = gateway_under_test.request(place.method, path, mine, **options)
                absent = gateway_under_test.request(place.method, lost, mine, **lost_options)
                assert there.status_code == 404, place
                assert as_if_nowhere(there, name) == as_if_nowhere(absent, nowhere(name)), place
                if "error_type" not in there.json():
                    kind = "model" if place.kind == "writer" else place.kind
                    assert there.json()["error"]["code"] == f"{kind}_not_found"
                assert unspent(gateway_under_test, sides) == (before, calls, left), place
                asked += 1
    assert asked >= 3 * 11


def unspent(gateway, sides):
    """All rows but those of the asking tenant, the calls of the engine, and what the other may still spend."""
    mine, other = sides
    rows = {
        table: [row for row in rows if mine.tenant not in row.values() and mine.key_id not in row.values()]
        for table, rows in gateway.dump().items()
    }
    for row in rows["api_key"]:
        assert row["id"] != mine.key_id
    left = gateway.request("GET", "/v1/models", other).headers["x-ratelimit-remaining-tokens"]
    moving = {
        "api_key",
        "usage_minute",
        "usage_total",
    }  # asking for `left` is a use of a key, and sums of everybody are nobody's
    quiet = {table: found for table, found in rows.items() if table not in moving}
    return quiet, gateway.engine.calls, left


def as_if_nowhere(reply, name):
    """Status, headers and body of an answer, without what differs between any two."""
    headers = [(key, value) for key, value in reply.headers.multi_items() if key not in VOLATILE]
    return reply.status_code, headers, reply.content.replace(name.encode(), b"...")


def test_no_hint_leads_to_what_is_anothers(gateway_under_test, sides, found):
    for place in found:
        for name in filter(None, FOREIGN[place.kind]):
            for path, options in requests(place, name[:-1]):
                close = gateway_under_test.request(place.method, path, sides[0], **options)
                assert close.status_code == 404
                assert not any(known in close.text.replace(name[:-1], "") for known in FOREIGN[place.kind]), place


def test_lists_hold_nothing_of_anothers(gateway_under_test, sides):
    mine, other = sides
    for path in ("/v1/models", "/models"):
        assert all(name in gateway_under_test.request("GET", path, other).text for name in FOREIGN["model"])
        assert not any(name in gateway_under_test.request("GET", path, mine).text for name in FOREIGN["model"])


@pytest.mark.parametrize("kind", ["file", "batch"])
def test_lists_of_files_and_batches_hold_nothing_of_anothers_nor_begin_behind_it(
    gateway_under_test, sides, named, kind
):
    mine, other = sides
    path, theirs = {"file": "/v1/files", "batch": "/v1/batches"}[kind], named(kind, "")
    assert theirs in gateway_under_test.request("GET", path, other).text
    assert gateway_under_test.request("GET", path, mine).json()["data"] == []
    assert gateway_under_test.request("GET", f"{path}?after={theirs}", other).status_code == 200
    there, absent = (
        gateway_under_test.request("GET", f"{path}?after={name}", mine) for name in (theirs, nowhere(theirs))
    )
    assert there.status_code == 404
    assert as_if_nowhere(there, theirs) == as_if_nowhere(absent, nowhere(theirs))


def test_every_place_is_found(found):
    assert {(place.endpoint, place.field) for place in found} == {
        ("/v1/models", "model_id"), ("/v1/files", "file_id"), ("/v1/batches", "batch_id"),
        ("/v1/batches", "input_file_id"), *((endpoint, "model") for endpoint in BODIES if endpoint != "/v1/batches"),
    }  # fmt: skip
    assert len(found) == len({(place.method, place.path) for place in found}) >= 20


def test_a_new_route_with_an_id_can_not_be_forgotten():
    @get("/v1/jobs/{job_id:str}", opt={"scope": "batches", "endpoint": "/v1/jobs"})
    async def show_job(job_id: FromPath[str]) -> None: ...

    with pytest.raises(AssertionError, match=r"GET /v1/jobs/{job_id:str} takes 'job_id', .* add it to IN_PATHS"):
        list(places(Litestar([show_job], openapi_config=None, logging_config=None), describe()))


def test_a_new_query_parameter_can_not_be_forgotten():
    @get("/v1/models", opt={"scope": "batches", "endpoint": "/v1/models"})
    async def list_some(after: FromQuery[str] = "") -> None: ...

    with pytest.raises(AssertionError, match=r"GET /v1/models takes {'after'} by query"):
        list(places(Litestar([list_some], openapi_config=None, logging_config=None), describe()))


def test_a_new_field_of_a_body_can_not_be_forgotten(running):
    document = describe()
    document["components"]["schemas"]["EmbeddingsBody"]["properties"]["input"] = {
        "anyOf": [{"type": "object", "properties": {"file_id": {"type": "string"}}}]
    }
    with pytest.raises(AssertionError, match=r"takes 'file_id' in its body: .* add it to IN_BODIES"):
        list(places(create_app(running.services)._app, document))
