"""LiteLLM's proxy and Shoal's gateway under the same load, in front of what answers at once, in one run.

    python -m benchmarks litellm --program /tmp/litellm/bin/litellm [--rounds 5] [--seconds 5] [--name litellm] [--dry]

Shoal checks a key, grants and eight limits and makes usage durable; LiteLLM has no database, so it checks its one
master key and limits and records nothing. Its time is of all its processes. Each on core 0, the rest on core 1.
"""

import argparse
import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine
from benchmarks.gateway_load import (
    CONNECTIONS,
    CORPUS,
    MEASURED_CORE,
    OTHER_CORE,
    fake_engine,
    reply_to,
    step,
    upstream,
)
from benchmarks.processes import NotMeasurable, children, free_port, resident_bytes, running
from benchmarks.redis_server import redis_server
from benchmarks.report import Report, Table, publish, shown
from benchmarks.rounds import Spread, interleave, ratio
from benchmarks.served import MODEL, gateway_alone
from shoal.load.corpus import texts
from shoal.load.embeddings import embedding_requests

TARGET = 15
MASTER_KEY = "sk-benchmark-0123456789"
CONFIGURATION = """
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: sk-upstream
litellm_settings:
  telemetry: false
general_settings:
  master_key: {key}
"""
SETTINGS = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "PYTHONWARNINGS": "ignore"}
"""No look for a newer price list, and no log of requests."""
SHOAL, SHARED = "Shoal, quotas in memory", "Shoal, quotas in Redis"
BUSY, ALONE = f"{CONNECTIONS} connections", "1 connection"

Numbers = dict[str, dict[str, Spread]]


def main(arguments: list[str]) -> None:
    """Measure, print, and keep the results unless the run is dry."""
    options = argparse.ArgumentParser(prog="python -m benchmarks litellm")
    options.add_argument(
        "--program", type=Path, required=True, help="the `litellm` command of an environment of its own"
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=5.0, help="of each load in each round")
    options.add_argument("--name", default="litellm", help="of the files in results/")
    options.add_argument("--dry", action="store_true", help="print only")
    chosen = options.parse_args(arguments)
    here = machine.describe()
    if (os.cpu_count() or 1) < 2:
        raise NotMeasurable("This takes two cores: one for what is measured, one for what measures it.")
    os.sched_setaffinity(0, {OTHER_CORE})
    peer = f"LiteLLM {version(chosen.program)}"
    with ExitStack() as stack:
        node = stack.enter_context(fake_engine())
        shoal = stack.enter_context(gateway_alone(node, MEASURED_CORE))
        shared = stack.enter_context(gateway_alone(node, MEASURED_CORE, stack.enter_context(redis_server())))
        [request] = embedding_requests(shoal[0], shoal[1], MODEL, texts(1), 1)
        behind = stack.enter_context(upstream(reply_to(shoal[0], request)))
        litellm = stack.enter_context(proxy(chosen.program, behind))
        served = {SHOAL: shoal, SHARED: shared, peer: litellm}
        requests = {who: embedding_requests(url, key, MODEL, texts(CORPUS), 1) for who, (url, key, _) in served.items()}
        steps = {
            f"{who}, {how}": step(url, requests[who], pid, chosen.seconds, connections=connections)
            for who, (url, _, pid) in served.items()
            for how, connections in ((BUSY, CONNECTIONS), (ALONE, 1))
        }
        numbers = interleave(steps, chosen.rounds)
        memory = {who: resident_bytes(pid) / 1e6 for who, (_, _, pid) in served.items()}
    report = Report(
        name=chosen.name,
        title="Shoal's gateway beside LiteLLM's proxy",
        command=" ".join(["python -m benchmarks litellm", *arguments]),
        machine=here,
        tables=[table(numbers, memory, peer)],
        numbers={"rounds": numbers, "memory_mb": memory, "peer": peer},
    )
    publish(report, keep=not chosen.dry)


def version(program: Path) -> str:
    """Of the package to which the command belongs. Raises NotMeasurable where there is none."""
    ask = "from importlib.metadata import version; print(version('litellm'))"
    try:
        done = subprocess.run([program.parent / "python", "-c", ask], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise NotMeasurable(f"{program} is no `litellm` of an environment; see benchmarks/README.md.") from error
    return done.stdout.strip()


@contextlib.contextmanager
def proxy(program: Path, behind: int) -> Iterator[tuple[str, str, int]]:
    """One worker of LiteLLM's proxy in front of the loopback port `behind`: its address, its key and its process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "litellm.yaml"
        configuration.write_text(CONFIGURATION.format(model=MODEL, upstream=behind, key=MASTER_KEY))
        settings = [f"{name}={value}" for name, value in SETTINGS.items()]
        command = ["env", *settings, str(program), "--config", str(configuration), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1"]
        with running(command, ready=f"{url}/health/liveliness", core=MEASURED_CORE) as pid:
            if children(pid):
                raise NotMeasurable("This LiteLLM serves in a child process, whose time would not be counted.")
            yield url, MASTER_KEY, pid


def table(numbers: Numbers, memory: dict[str, float], peer: str) -> Table:
    """Who serves how much with one core, and how long one request takes."""
    rows = []
    for who, megabytes in memory.items():
        busy, alone = numbers[f"{who}, {BUSY}"], numbers[f"{who}, {ALONE}"]
        times = ratio(busy["requests per CPU second"], numbers[f"{peer}, {BUSY}"]["requests per CPU second"])
        rows.append(
            [
                who,
                shown(busy["requests per CPU second"]),
                "" if who == peer else shown(times, ".1f"),
                "" if who == peer else f"{TARGET}",
                shown(busy["requests/s"]),
                f"{busy['p50 ms'].median:,.1f}",
                shown(alone["p50 ms"], ".2f"),
                f"{megabytes:,.0f}",
            ]
        )
    columns = (
        "",
        "requests/s per core",
        f"times {peer}",
        "target",
        "requests/s reached",
        f"p50 ms, {BUSY}",
        f"p50 ms, {ALONE}",
        "memory, MB",
    )
    note = (
        f"One text a request, replies of {numbers[f'{SHOAL}, {BUSY}']['reply bytes'].median:,.0f} bytes. Per core: "
        "requests per CPU second of the process. Shoal: API key, grants, eight limits, durable usage. LiteLLM: one "
        "worker, its master key, no database, so no limits and no usage; its log at ERROR."
    )
    return Table("Requests for each core", columns, rows, note)
