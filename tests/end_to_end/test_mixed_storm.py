"""Models of many families, all outputs, sixteen callers, memory for three of them: every answer is the right one."""

import asyncio
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from benchmarks.questions import over_http, parts_over_http, questions
from engine.catalog import describe
from gateway.engine_client import EngineClient
from gateway.transport import AsyncioTransport
from shoal.data_folder import DataFolder

SECONDS = 4.0
"""At least; on a busy machine until every model has answered."""
CALLERS = 16
ROOM = 470_000
"""Bytes: three models of the usual size, or two of the largest."""
TOLERANCE = 1e-4
"""Of sums of the same numbers in another order."""


@dataclass
class Outcome:
    """What the callers saw."""

    answers: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    failed: Counter = field(default_factory=Counter)
    most_on_device: int = 0
    overdrawn: bool = False
    """The models took more than their budget at some time."""


async def storm(server, node, asked):
    outcome = Outcome()
    headers = {"authorization": f"Bearer {server.api_key}"}
    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60, limits=limits) as client:
        deadline = time.monotonic() + SECONDS
        watching = asyncio.create_task(watch(node, outcome))
        await asyncio.gather(*(call(client, asked, random.Random(seed), deadline, outcome) for seed in range(CALLERS)))
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    return outcome


async def call(client, asked, chance, deadline, outcome):
    models = sorted({question.model for question in asked})
    while time.monotonic() < deadline or not (outcome.failed or len(outcome.answers) == len(models)):
        model = chance.choice(models)
        question = chance.choice([one for one in asked if one.model == model])
        path, body = over_http(question.request)
        reply = await client.post(path, json=body)
        if reply.status_code != 200:
            outcome.failed[f"{path} {reply.status_code} {reply.text[:200]}"] += 1
            continue
        outcome.answers[model] += 1
        if (fault := question.wrong(parts_over_http(question.request, reply.json()), TOLERANCE)) is not None:
            outcome.wrong.append(fault)


async def watch(node, outcome):
    """How many models are on the device, until cancelled."""
    engines = EngineClient(AsyncioTransport(), node.engine_secret)
    try:
        while True:
            status = await engines.status(node.node_url, 30)
            outcome.most_on_device = max(outcome.most_on_device, sum(held.tier == "device" for held in status.models))
            outcome.overdrawn |= status.memory_used > status.memory_budget
            await asyncio.sleep(0.1)
    finally:
        await engines.close()


def swaps(node):
    """How often models came and went, by way."""
    headers = {"authorization": f"Bearer {node.engine_secret}"}
    page = httpx.get(f"{node.node_url}/metrics", headers=headers, timeout=30).text
    found = re.findall(r'^shoal_engine_swaps_total{\w+="(\w+)"} (\S+)$', page, re.MULTILINE)
    return {way: float(count) for way, count in found}


@pytest.mark.slow
def test_a_mixed_storm_gives_only_right_answers(start_server, tmp_path, head_folders, register_heads):
    asked = questions(head_folders)
    families = {describe(folder).family for folder in head_folders.values()}
    assert len(families) >= 6
    with start_server(tmp_path, "--memory-budget", str(ROOM), "--host-budget", str(ROOM)) as server:
        register_heads(server, head_folders)
        node = DataFolder.at(tmp_path).running_engine()
        outcome = asyncio.run(storm(server, node, asked))
        moved = swaps(node)
    assert not outcome.failed
    assert not outcome.wrong
    assert outcome.answers.keys() == head_folders.keys(), "every model answered"
    assert not outcome.overdrawn
    assert 0 < outcome.most_on_device <= 3
    assert moved["disk_to_device"] > len(head_folders), "models were loaded again"
    assert moved["host_to_device"] > 0
