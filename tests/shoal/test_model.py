import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest
from msgspec.structs import replace

from engine.protocol import ErrorReply, LoadProgress, ModelRef, ModelRequest, NodeStatus, ResidentModel

STARTER = "sentence-transformers/all-MiniLM-L6-v2"


class Node(HTTPServer):
    """An engine node as far as the command line sees one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, ModelRef]] = []
        self.models: list[ResidentModel] = []
        self.refusal: ErrorReply | None = None
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        request = msgspec.msgpack.decode(self.rfile.read(int(self.headers["content-length"])), type=ModelRequest)
        if self.headers["authorization"] != "Bearer the-secret":
            return self.answer(401, ErrorReply("unauthorized", "Not this node's secret."))
        self.server.asked.append((self.path, request.model))
        if self.server.refusal is not None:
            return self.answer(422, self.server.refusal)
        return self.do_GET()

    def do_GET(self) -> None:
        status = NodeStatus(
            protocol=1, version="0", device="cpu", ready=True, memory_budget=500 * 2**20, memory_used=87 * 2**20,
            waiting_requests=0, waiting_tokens=0, tokens_per_second=0, models=self.server.models,
        )  # fmt: skip
        self.answer(200, status)

    def answer(self, status: int, reply: msgspec.Struct) -> None:
        body = msgspec.msgpack.encode(reply)
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def registered(shoal) -> None:
    shoal("model", "add", STARTER, "--alias", "mini", "--alias", "all-minilm", "--pin", "--max-tokens", "128")


def test_a_model_is_looked_at_and_registered_with_what_was_found(shoal, data_dir, registered) -> None:
    shown = shoal("model", "show", "mini", "--json").json
    del shown["created_at"]
    assert shown == {
        "id": STARTER,
        "source": STARTER,
        "revision": None,
        "pool": "default",
        "aliases": ["all-minilm", "mini"],
        "dtype": None,
        "max_tokens": 128,
        "pinned": True,
        "dimensions": 384,
        "input_limit": 256,
        "facts": {
            "architecture": "BertModel",
            "family": "bert",
            "native": True,
            "tasks": ["embed", "rerank"],
            "outputs": ["dense"],
            "labels": [],
            "prompts": [],
            "added_tokens": 0,
            "weight_bytes": 90_856_960,
            "base": None,
            "adapter": None,
        },
        "version": 1,
        "where": [],
    }
    assert shoal("model", "list").rows[1] == [STARTER, "all-minilm, mini", "default", "dense", "384", "256", "yes", "-"]
    rows = shoal("model", "show", STARTER).rows
    assert [row for row in rows if row[0] in {"dimensions", "family", "can", "native"}] == [
        ["family", "bert"],
        ["native", "yes"],
        ["can", "embed, rerank"],
        ["dimensions", "384"],
    ]


def test_registering_says_how_to_let_a_tenant_use_it(shoal, data_dir) -> None:
    done = shoal("model", "add", STARTER)
    assert "384 dimensions, inputs of up to 256 tokens" in done.out
    assert f"shoal allow add {STARTER} --tenant NAME --data-dir {data_dir}" in done.out


def test_a_folder_is_registered_by_its_absolute_path(shoal, tmp_path, monkeypatch) -> None:
    (tmp_path / "weights").mkdir()
    monkeypatch.chdir(tmp_path)
    shoal("model", "add", "mine", "--source", "weights", "--unchecked")
    assert shoal("model", "show", "mine", "--json").json["source"] == str(tmp_path / "weights")


def test_what_could_not_be_served_is_refused_at_once(shoal, refused, tmp_path) -> None:
    empty, strange = tmp_path / "empty", tmp_path / "strange"
    empty.mkdir()
    strange.mkdir()
    (strange / "config.json").write_text(json.dumps({"architectures": ["NobodyModel"], "model_type": "nobody"}))
    assert "is no model folder" in refused("model", "add", "a", "--source", str(empty))
    assert "NobodyModel" in refused("model", "add", "b", "--source", str(strange))
    assert "There is no folder /nowhere/at/all" in refused("model", "add", "c", "--source", "/nowhere/at/all")
    assert "what the model takes" in refused("model", "add", STARTER, "--max-tokens", "4096")
    assert shoal("model", "list").rows == [
        ["model", "aliases", "pool", "outputs", "dimensions", "max tokens", "pinned", "where"]
    ]


def test_a_name_that_is_taken_is_refused(refused, registered) -> None:
    assert f"belongs to the model '{STARTER}' already" in refused("model", "add", "mini", "--unchecked")


def test_a_removed_model_is_gone(shoal, refused, registered) -> None:
    assert shoal("model", "remove", "mini").out == f"Model '{STARTER}' is no longer registered.\n"
    assert refused("model", "show", "mini") == "Error: No model is called 'mini'; see: shoal model list."


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_the_node_of_the_running_server_is_asked(shoal, data_dir, node, registered, verb) -> None:
    (data_dir / "runtime.json").write_text(json.dumps({"node_url": node.url, "engine_secret": "the-secret"}))
    assert shoal("model", verb, "mini").out == f"{node.url}: '{STARTER}' is {verb}ed; models take 87 of 500 MiB.\n"
    assert node.asked == [(f"/{verb}", ModelRef(id=STARTER, source=STARTER, max_tokens=128, pinned=True))]


def test_nodes_of_other_pools_are_not_asked(shoal, node, registered) -> None:
    others = ("--node", "l4=http://127.0.0.1:1", "--node", node.url, "--engine-secret", "the-secret")
    shoal("model", "load", "mini", *others)
    assert len(node.asked) == 1


def test_what_a_node_says_is_passed_on(refused, node, registered) -> None:
    asked = ("model", "load", "mini", "--node", node.url, "--engine-secret")
    node.refusal = ErrorReply("model_too_large", "The model needs 9 GiB.")
    assert "9 GiB" in refused(*asked, "the-secret")
    assert node.url in refused(*asked, "wrong")


def test_a_node_that_is_not_there_is_said(refused, registered) -> None:
    assert refused("model", "load", "mini", "--node", "http://127.0.0.1:1") == (
        "Error: The engine node http://127.0.0.1:1 does not answer; is it running?"
    )
    assert "start shoal serve, or name one with --node" in refused("model", "load", "mini")


def held(tier: str) -> ResidentModel:
    return ResidentModel(STARTER, None, "resident", 87, 0, False, 0.0, 384, 256, tier=tier)


@pytest.mark.parametrize("tier", ["device", "host", "loading", "failed"])
def test_the_list_says_where_a_model_is_when_a_server_runs(shoal, data_dir, node, registered, tier) -> None:
    (data_dir / "runtime.json").write_text(json.dumps({"node_url": node.url, "engine_secret": "the-secret"}))
    assert shoal("model", "list").rows[1][-1] == "-"
    node.models = [held(tier)]
    assert shoal("model", "list").rows[1][-1] == f"{tier} of {node.url}"
    nothing = {"progress": None, "failure": None, "next": None}
    assert shoal("model", "list", "--json").json[0]["where"] == [{"node": node.url, "tier": tier, **nothing}]


def test_how_far_a_load_is_and_why_one_failed_are_told(shoal, node, registered) -> None:
    nodes = ("--node", node.url, "--engine-secret", "the-secret")
    node.models = [replace(held("loading"), progress=LoadProgress("read", 38, 100, 12.4))]
    where = f"loading (reading its weights 38%, for 12 s) of {node.url}"
    assert shoal("model", "list", *nodes).rows[1][-1] == where
    assert ["where", where] in shoal("model", "show", "mini", *nodes).rows
    told = shoal("model", "show", "mini", *nodes, "--json").json["where"][0]["progress"]
    assert told == {"phase": "read", "done": 38, "total": 100, "seconds": 12.4}
    node.models = [replace(held("loading"), progress=LoadProgress("of a later version", 0, 0, 3.0))]
    assert "(of a later version, for 3 s)" in shoal("model", "list", *nodes).rows[1][-1]
    node.models = [replace(held("failed"), failure="No room.", failure_code="model_too_large")]
    [failed] = [row for row in shoal("model", "show", "mini", *nodes).rows if row[0] == "could not be loaded"]
    assert failed[1].startswith(f"{node.url}: No room. Unpin others there")


def test_the_list_names_every_node_of_the_models_pool_and_goes_on_without_one_that_is_silent(
    shoal, node, registered
) -> None:
    node.models = [held("device")]
    nodes = ("--node", node.url, "--node", f"other={node.url}", "--node", "http://127.0.0.1:1")
    done = shoal("model", "list", *nodes, "--engine-secret", "the-secret")
    assert done.rows[1][-1] == f"device of {node.url}"
    assert "http://127.0.0.1:1 does not answer" in done.err


@pytest.mark.parametrize(("verb", "before", "after"), [("pin", False, True), ("unpin", True, False)])
def test_a_pin_is_told_to_the_nodes_that_run_and_kept_in_the_register(
    shoal, data_dir, node, events, verb, before, after
) -> None:
    shoal("model", "add", STARTER, "--alias", "mini", *(["--pin"] if before else []))
    (data_dir / "runtime.json").write_text(json.dumps({"node_url": node.url, "engine_secret": "the-secret"}))
    said = shoal("model", verb, "mini").out.splitlines()
    assert said == [
        f"{node.url}: '{STARTER}' is {verb}ned; models take 87 of 500 MiB.",
        f"Model '{STARTER}' is {verb}ned in the register.",
    ]
    assert [(path, ref.id, ref.pinned) for path, ref in node.asked] == [(f"/{verb}", STARTER, after)]
    assert shoal("model", "show", "mini", "--json").json["pinned"] is after
    (event,) = (event for event in events() if event.action == f"model.{verb}")
    assert (event.target, event.before, event.after) == (STARTER, {"pinned": before}, {"pinned": after})
    shoal("model", verb, "mini")
    assert sum(event.action == f"model.{verb}" for event in events()) == 1, "nothing changed, and an event says it did"


def test_a_pin_without_a_running_node_waits_in_the_register(shoal, registered) -> None:
    assert shoal("model", "unpin", "mini").out == f"Model '{STARTER}' is unpinned in the register.\n"


AWAY = "http://127.0.0.1:1"


def test_a_pin_is_remembered_for_nodes_that_are_away_and_said_node_by_node(shoal, node) -> None:
    shoal("model", "add", STARTER, "--alias", "mini")
    nodes = ("--node", AWAY, "--node", node.url, "--engine-secret", "the-secret")
    assert shoal("model", "pin", "mini", *nodes).out.splitlines() == [
        f"{node.url}: '{STARTER}' is pinned; models take 87 of 500 MiB.",
        f"{AWAY}: does not answer now; the gateway has it load the model when it is there.",
        f"Model '{STARTER}' is pinned in the register.",
    ]
    assert shoal("model", "show", "mini", "--json").json["pinned"] is True
    assert f"{AWAY}: does not answer now" in shoal("model", "unpin", "mini", *nodes).out
    assert shoal("model", "show", "mini", "--json").json["pinned"] is False


def test_a_load_goes_on_past_a_node_that_is_away_and_fails_for_it(run, data_dir, node, registered) -> None:
    nodes = ("--node", AWAY, "--node", node.url, "--engine-secret", "the-secret")
    done = run("model", "load", "mini", *nodes, "--data-dir", str(data_dir))
    assert (done.code, done.out) == (1, f"{node.url}: '{STARTER}' is loaded; models take 87 of 500 MiB.\n")
    assert f"Error: The engine node {AWAY} does not answer" in done.err


def test_a_pin_that_one_node_refuses_is_not_promised_to_the_others(run, data_dir, node, shoal) -> None:
    shoal("model", "add", STARTER, "--alias", "mini")
    node.refusal = ErrorReply("model_too_large", "Pinned models hold the rest.")
    nodes = ("--node", AWAY, "--node", node.url, "--engine-secret", "the-secret")
    done = run("model", "pin", "mini", *nodes, "--data-dir", str(data_dir))
    assert (done.code, done.out) == (1, "")
    assert "Pinned models hold the rest. The register is as it was." in done.err
    assert shoal("model", "show", "mini", "--json").json["pinned"] is False


def test_a_pin_that_a_node_refuses_leaves_the_register_as_it_was(shoal, refused, node) -> None:
    shoal("model", "add", STARTER, "--alias", "mini")
    node.refusal = ErrorReply("model_too_large", "Pinned models hold the rest.")
    assert "Pinned models hold the rest" in refused(
        "model", "pin", "mini", "--node", node.url, "--engine-secret", "the-secret"
    )
    assert shoal("model", "show", "mini", "--json").json["pinned"] is False
