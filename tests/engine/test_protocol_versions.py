"""What one step of the protocol's version may change, and a real node whose gateway is one step older or newer."""

import msgspec
import pytest
from msgspec.structs import fields

from engine import protocol
from engine.protocol import (
    MEDIA_TYPE,
    OLDEST_PROTOCOL,
    PROTOCOL_VERSION,
    EmbedReply,
    EmbedRequest,
    ModelRequest,
    NodeStatus,
    why_apart,
)

VERSION_1 = {
    "ClassifyReply": ("labels token_counts truncated timings", ""),
    "ClassifyRequest": (
        "model inputs",
        "labels multi_label hypothesis_template threshold top_k raw_scores truncate flow weight lane patience",
    ),
    "EmbedReply": ("dimensions vectors token_counts truncated timings", "sparse multi multi_dimensions scale offset"),
    "EmbedRequest": (
        "model inputs",
        "dimensions truncate outputs input_type prompt_name task output_dtype flow weight lane patience",
    ),
    "Entity": ("start end text label score", ""),
    "ErrorReply": ("code message", "retry_after index limit actual"),
    "ExtractReply": ("entities token_counts truncated timings", ""),
    "ExtractRequest": (
        "model inputs",
        "labels threshold thresholds flat multi_label aggregation truncate flow weight lane patience",
    ),
    "LabelScore": ("label score", ""),
    "LoadProgress": ("phase done total seconds", ""),
    "ModelRef": ("id source", "revision dtype max_tokens pinned adapter"),
    "ModelRequest": ("model", ""),
    "NodeStatus": (
        (
            "protocol version device ready memory_budget memory_used waiting_requests waiting_tokens tokens_per_second "
            "models"
        ),
        "host_budget host_used bulk_waiting_tokens oldest_protocol instance",
    ),
    "RerankReply": ("scores tokens truncated timings", ""),
    "RerankRequest": ("model query documents", "instruction truncate flow weight lane patience"),
    "ResidentModel": (
        "id revision state bytes in_use pinned idle_seconds dimensions max_tokens",
        "failure tier host_bytes adapter native progress failure_code",
    ),
    "SparseVector": ("indices values", ""),
    "Timings": ("", "load tokenize queue inference"),
}
"""Of each message the fields that must be there, and those with a default, when this table was last changed. A change
here is a change that the version before must survive: see what `engine/protocol.py` says of versions."""


@pytest.mark.parametrize("name", VERSION_1)
def test_fields_are_only_added_and_only_with_a_default(name):
    required, optional = (set(names.split()) for names in VERSION_1[name])
    now = fields(getattr(protocol, name))
    assert {field.name for field in now if field.required} == required
    assert {field.name for field in now} >= required | optional


@pytest.mark.parametrize(
    ("speaks", "oldest", "gateway", "who_is_behind"),
    [
        (4, 3, 4, None),
        (4, 3, 3, None),
        (4, 3, 5, None),
        (4, None, 3, None),
        (4, None, 5, None),
        (4, 3, 2, "the gateway"),
        (4, None, 2, "the gateway"),
        (4, 4, 3, "the gateway"),
        (4, 3, 6, "the node"),
        (4, 1, 6, "the node"),
    ],
)
def test_versions_serve_each_other_one_step_apart(speaks, oldest, gateway, who_is_behind):
    status = NodeStatus(speaks, "", "cpu", True, 1, 0, 0, 0, 0.0, [], oldest_protocol=oldest)
    apart = why_apart(status, gateway)
    assert (apart is None) if who_is_behind is None else (f"update {who_is_behind}" in apart)


def newer(message):
    """The message as a gateway of the next version may send it."""
    said = msgspec.to_builtins(message)
    said["model"]["of_the_next_version"] = {"deep": [1, "two"]}
    return said | {"of_the_next_version": True}


def older(message):
    """As one of the version before may: with nothing but what must be there."""
    said = msgspec.to_builtins(message)
    said["model"] = {name: said["model"][name] for name in VERSION_1["ModelRef"][0].split()}
    return {name: said[name] for name in VERSION_1[type(message).__name__][0].split()}


@pytest.mark.parametrize("said_by", [newer, older])
def test_a_node_serves_gateways_of_the_neighbouring_versions(served, run, build_checkpoint, said_by):
    ref = build_checkpoint().ref()

    async def work():
        async with served() as (client, _):
            headers = {"content-type": MEDIA_TYPE}
            for path, message, wanted in [
                ("/load", ModelRequest(ref), NodeStatus),
                ("/embed", EmbedRequest(ref, ["w1", "w2 w3"]), EmbedReply),
            ]:
                content = msgspec.msgpack.encode(said_by(message))
                response = await client.post(path, content=content, headers=headers)
                assert response.status_code == 200
                msgspec.msgpack.decode(response.content, type=wanted)
            status = msgspec.msgpack.decode((await client.get("/status")).content, type=NodeStatus)
            assert (status.protocol, status.oldest_protocol) == (PROTOCOL_VERSION, OLDEST_PROTOCOL)
            assert OLDEST_PROTOCOL == PROTOCOL_VERSION - 1
            assert status.instance

    run(work())


def test_every_start_of_a_node_is_an_instance_of_its_own(served, run):
    async def work():
        async with served() as (_, one), served() as (_, two):
            assert one.status().instance == one.status().instance != two.status().instance

    run(work())
