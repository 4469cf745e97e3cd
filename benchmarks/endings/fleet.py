"""Three engine nodes and two gateways over one PostgreSQL and one Redis, with nginx before the gateways."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.crashes.postgres import postgres
from benchmarks.crashes.tenants import prepare
from benchmarks.endings.member import Member
from benchmarks.processes import NotMeasurable, free_port
from benchmarks.redis_server import redis_server
from benchmarks.served import SHOAL, STARTER

ENGINES, GATEWAYS = 3, 2
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-errors.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream gateways {{ {servers} keepalive 16; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateways;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""
"""As nginx is by itself (a POST that it has sent is not sent again elsewhere), but that it keeps connections, and that
it looks at a gateway again at once: after its ten seconds of rest a rollout would have passed to the next one."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What runs."""

    engines: tuple[Member, ...]
    gateways: tuple[Member, ...]
    balancer: str
    """nginx's address."""
    keys: list[str]
    """Of the tenants."""
    database_url: str
    spools: Path

    @property
    def members(self) -> tuple[Member, ...]:
        """All that may end."""
        return (*self.engines, *self.gateways)

    async def stop(self) -> None:
        """End all in good order, gateways first; the database stays."""
        for member in reversed(self.members):
            await member.stop()


@contextlib.asynccontextmanager
async def fleet(folder: Path, engines: int = ENGINES) -> AsyncIterator[Fleet]:
    """Started; what of it still runs at the end is killed."""
    with postgres() as database, redis_server() as redis:
        keys = await prepare(database.url, STARTER)
        nodes = tuple(_engine(folder, number) for number in range(engines))
        urls = [node.url for node in nodes]
        gateways = tuple(_gateway(folder, database.url, redis, urls, number) for number in range(GATEWAYS))
        members = (*gateways, *nodes)
        try:
            for member in reversed(members):
                await member.start()
            async with _nginx(folder, gateways) as balancer:
                yield Fleet(nodes, gateways, balancer.url, keys, database.url, folder / "usage")
        finally:
            for member in members:
                await member.kill()


def _engine(folder: Path, number: int) -> Member:
    port = free_port()
    command = [*SHOAL, "engine", "--port", str(port), "--device", "cpu", "--threads", "1", "--memory-budget", "1GiB"]
    return Member(
        f"engine {number}", f"http://127.0.0.1:{port}", command, "/health/live", folder / f"engine-{number}.log"
    )


def _gateway(folder: Path, database_url: str, redis_url: str, nodes: list[str], number: int) -> Member:
    port = free_port()
    place = ["--port", str(port), "--data-dir", str(folder / f"gateway-{number}"), "--database-url", database_url]
    shared = ["--redis-url", redis_url, "--usage-spool", str(folder / "usage" / str(number))]
    command = [*SHOAL, "gateway", *place, *shared, *(word for node in nodes for word in ("--node", node))]
    return Member(
        f"gateway {number}", f"http://127.0.0.1:{port}", command, "/health/ready", folder / f"gateway-{number}.log"
    )


@contextlib.asynccontextmanager
async def _nginx(folder: Path, gateways: tuple[Member, ...]) -> AsyncIterator[Member]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise NotMeasurable("nginx is not installed; it stands before the gateways: apt install nginx-light")
    port = free_port()
    configuration = folder / "nginx.conf"
    servers = " ".join(f"server {gateway.url.removeprefix('http://')} max_fails=0;" for gateway in gateways)
    configuration.write_text(NGINX.format(folder=folder, servers=servers, port=port))
    command = [program, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
    nginx = Member("nginx", f"http://127.0.0.1:{port}", command, "/health/live", folder / "nginx.log")
    await nginx.start()
    try:
        yield nginx
    finally:
        await nginx.stop()


def complaints(fleet: Fleet) -> str:
    """Lines of the members' logs that nobody wants to see."""
    unwanted = ("Traceback", "never awaited", "Task exception", "Unclosed")
    found = [
        f"{member.name}: {line}"
        for member in fleet.members
        for line in member.log.read_text().splitlines()
        if any(word in line for word in unwanted)
    ]
    return "\n".join(found)
