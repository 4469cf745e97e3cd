"""Tracing is opened only where a collector is named, and needs its extra only then."""

import asyncio
import subprocess
import sys

import pytest
import typer

from gateway.tracing import NO_TRACER
from shoal.failures import StartFailure
from shoal.options.observation import observation_of
from shoal.options.values import checked_endpoint, parse_headers
from shoal.tracing.opened import gateway_tracing, node_tracing
from shoal.tracing.settings import TracingSettings

ENDPOINT = "http://127.0.0.1:9"


async def opened(settings):
    async with gateway_tracing(settings) as gateway, node_tracing(settings) as node:
        return gateway, node


def test_without_a_collector_nothing_is_recorded():
    assert asyncio.run(opened(None)) == (NO_TRACER, None)
    assert not NO_TRACER.request("GET", f"00-{'1' * 32}-{'2' * 16}-01").recorded


@pytest.mark.parametrize(
    ("modules", "opening"),
    [
        ("shoal.gateway_process, shoal.commands.gateway, shoal.commands.serve", "gateway_tracing"),
        ("shoal.commands.engine, engine.runtime, engine.server", "node_tracing"),
    ],
)
def test_without_a_collector_no_library_for_traces_is_loaded(modules, opening):
    look = f"""
import asyncio, sys, {modules}
from shoal.tracing.opened import {opening} as opening

async def work():
    async with opening(None):
        print("LOADED", {{"opentelemetry", "google.protobuf", "requests"}} & set(sys.modules))

asyncio.run(work())"""
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "LOADED set()" in done.stdout


def test_a_gateway_loads_no_torch():
    look = "import sys, shoal.gateway_process, shoal.commands.gateway; print('LOADED', 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "LOADED False" in done.stdout


@pytest.mark.parametrize("opening", [gateway_tracing, node_tracing])
def test_where_the_extra_is_missing_it_says_which(monkeypatch, opening):
    for module in ("delivery", "tracer"):
        monkeypatch.delitem(sys.modules, f"shoal.tracing.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    async def work():
        async with opening(TracingSettings(endpoint=ENDPOINT)):
            pytest.fail("it has opened")

    with pytest.raises(StartFailure, match=r"shoal-server\[otel\]"):
        asyncio.run(work())


def test_headers_are_written_as_opentelemetry_writes_them():
    assert parse_headers("Authorization=Bearer%20a%3Db, x-team = shoal") == {
        "authorization": "Bearer a=b", "x-team": "shoal",
    }  # fmt: skip
    for wrong in ("authorization", "a b=c", "a=b%0d%0ax: y"):
        with pytest.raises(typer.BadParameter):
            parse_headers(wrong)


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector", "http://user:pw@collector", "http://c/?a=b"])
def test_an_endpoint_is_an_address(url):
    with pytest.raises(typer.BadParameter):
        checked_endpoint(url)


def test_traces_are_off_without_an_endpoint_whatever_else_is_said():
    assert observation_of("auto", "info", None, "a=b", share=0.5).tracing is None
    tracing = observation_of("auto", "info", ENDPOINT, "a=b", share=0.5).tracing
    assert tracing == TracingSettings(endpoint=ENDPOINT, headers={"a": "b"}, share=0.5)
