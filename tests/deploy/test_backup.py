"""What is backed up comes back whole: the blocks of the page about it are run as they are written."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from postgres_server import Postgres
from sqlalchemy import text

from gateway.auth import authenticate
from gateway.db.schema import MIGRATIONS, check, upgrade
from gateway.db.session import Database
from gateway.db.tables import Row, Upstream
from gateway.errors import AuthenticationFailed
from gateway.services.register.audit import Actor
from gateway.services.register.grants import add_grant
from gateway.services.register.keys import create_key, revoke_key
from gateway.services.register.models import NewModel, add_model
from gateway.services.register.quotas import set_quota
from gateway.services.register.sealing import Sealer, Unreadable
from gateway.services.register.tenants import create_tenant
from gateway.services.register.upstreams import NewUpstream, add_upstream
from gateway.services.snapshot.build import load_snapshot
from gateway.services.snapshot.entries import PolicySnapshot
from gateway.services.snapshot.feed import SnapshotFeed
from gateway.services.usage.event import UsageEvent
from gateway.services.usage.ledger import enter

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "deploy" / "docs"
OPERATOR = Actor("tester", "127.0.0.1")
SEALER, ANOTHER = Sealer(b"1" * 32), Sealer(b"2" * 32)
OWNER = "customer"
"""A role that owns its databases, and is no superuser: what a managed server gives."""
CREDENTIAL = "bought-elsewhere"

Shell = Callable[..., None]


@dataclass(frozen=True)
class Filled:
    """Of what a database was filled with, what must work later."""

    key: str
    key_id: str
    upstream_id: str
    events: tuple[UsageEvent, ...]


def blocks(page: str) -> Mapping[str, str]:
    """The shell of each section, by its heading."""
    fence = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
    sections = re.split(r"^## ", (DOCS / page).read_text(), flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0]: "".join(fence.findall(section)) for section in sections}


def url_of(server: Postgres, name: str) -> str:
    return server.url(name).replace("//shoal:", f"//{OWNER}:")


def usage(tenant_id: str, key_id: str, tokens: int) -> UsageEvent:
    return UsageEvent(
        tenant_id=tenant_id, tenant_name="acme", key_id=key_id, model="org/m", revision=None, endpoint="/v1/embeddings",
        status=200, inputs=1, tokens=tokens, bytes_in=40, latency_ms=1.5,
    )  # fmt: skip


async def fill(database: Database) -> Filled:
    """A customer with a key, limits and usage, and a credential of an upstream."""
    async with database.transaction() as session:
        tenant = await create_tenant(session, OPERATOR, "acme")
        await add_model(session, OPERATOR, NewModel(id="org/m"))
        await add_grant(session, OPERATOR, "acme", "org/*")
        await set_quota(session, OPERATOR, "acme", {"requests": 600})
        key = await create_key(session, OPERATOR, "acme")
        new = NewUpstream(pool="bought", kind="openai", base_url="https://api.example.org/v1", key=CREDENTIAL)
        upstream = await add_upstream(session, OPERATOR, new, SEALER)
    events = tuple(usage(tenant.id, key.id, tokens) for tokens in (7, 11))
    await enter(database, events)
    return Filled(key.key, key.id, upstream.id, events)


async def contents(database: Database) -> Mapping[str, list[str]]:
    """Every row of every table, its version too."""
    names = [*(table.name for table in Row.metadata.sorted_tables), "alembic_version"]
    async with database.reading() as session:
        return {
            name: sorted(str(tuple(row)) for row in await session.execute(text(f'SELECT * FROM "{name}"')))
            for name in names
        }


async def tokens(database: Database) -> tuple[int, int]:
    """Tokens of the ledger: of its records, and of its sums."""
    async with database.reading() as session:
        of_records = await session.scalar(text("SELECT sum(tokens) FROM usage_record"))
        return of_records, await session.scalar(text("SELECT sum(tokens) FROM usage_hour"))


async def credential(database: Database, upstream_id: str) -> bytes:
    async with database.reading() as session:
        row = await session.get(Upstream, upstream_id)
        assert row is not None
        assert row.credential is not None
        return row.credential


def opens(snapshot: PolicySnapshot, key: str) -> str:
    """The tenant that the key opens for."""
    return authenticate({b"authorization": f"Bearer {key}".encode()}, snapshot).tenant.name


@pytest.fixture
def server(new_postgres: Callable[[], Postgres]) -> Iterator[Postgres]:
    server = new_postgres()
    server.admin(f"CREATE ROLE {OWNER} LOGIN CREATEDB", f"CREATE DATABASE shoal OWNER {OWNER}")
    yield server
    server.stop()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a block in an empty folder, with PostgreSQL's programs and this `shoal` at hand."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, words in (("shoal", "-m shoal"), ("python3", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)

    def run(block: str, path: Path | None = None, **variables: str) -> None:
        assert block, "the page has no such block"
        found = f"{programs}:{path or ''}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            env={"PATH": found, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), **variables},
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"

    return run


def test_postgresql_comes_back_whole_in_place_of_the_old_one(server, shell) -> None:
    page = blocks("backup.md")
    urls = {"SHOAL_DATABASE_URL": url_of(server, "shoal"), "RESTORED_URL": url_of(server, "shoal_restored")}

    async def story() -> None:
        await upgrade(urls["SHOAL_DATABASE_URL"])
        database = Database.open(urls["SHOAL_DATABASE_URL"])
        filled = await fill(database)
        saved = await contents(database)
        await asyncio.to_thread(shell, page["Back up PostgreSQL"], server.programs, **urls)

        async with database.transaction() as session:
            await revoke_key(session, OPERATOR, filled.key_id)
        in_the_spool = usage(filled.events[0].tenant_id, filled.key_id, 100)
        await enter(database, [in_the_spool])
        feed = await SnapshotFeed.open(database, interval=60)
        with pytest.raises(AuthenticationFailed):
            opens(feed.current, filled.key)

        await asyncio.to_thread(shell, page["Restore PostgreSQL"], server.programs, **urls)
        await asyncio.to_thread(shell, page["Put it in place"], server.programs, ADMIN_URL=url_of(server, "postgres"))

        # The address is the old one, and whoever had it open goes on.
        await check(urls["SHOAL_DATABASE_URL"])
        assert await contents(database) == saved
        assert opens(await feed.refresh(), filled.key) == "acme"
        await feed.close()
        async with database.reading() as session:
            assert opens(await load_snapshot(session), filled.key) == "acme"

        sealed = await credential(database, filled.upstream_id)
        assert SEALER.unseal(sealed, filled.upstream_id) == CREDENTIAL
        with pytest.raises(Unreadable):
            ANOTHER.unseal(sealed, filled.upstream_id)

        # What waited on a gateway's disk: part of it is in the dump already.
        await enter(database, [*filled.events, in_the_spool])
        assert await tokens(database) == (118, 118)
        async with database.transaction() as session:
            await create_tenant(session, OPERATOR, "next")
        await database.close()

    asyncio.run(story())


def test_a_file_is_backed_up_while_it_is_written(shell, tmp_path) -> None:
    url = f"sqlite:///{tmp_path / 'data' / 'shoal.db'}"

    async def story() -> None:
        await upgrade(url)
        database = Database.open(url)
        filled = await fill(database)
        assert (tmp_path / "data" / "shoal.db-wal").stat().st_size, "a copy of the file alone would do"
        await asyncio.to_thread(shell, blocks("backup.md")["SQLite"])
        saved = await contents(database)
        async with database.transaction() as session:
            await revoke_key(session, OPERATOR, filled.key_id)
        await database.close()

        copy = f"sqlite:///{tmp_path / 'shoal-backup.db'}"
        await check(copy)
        restored = Database.open(copy)
        assert await contents(restored) == saved
        async with restored.reading() as session:
            assert opens(await load_snapshot(session), filled.key) == "acme"
        await restored.close()

    asyncio.run(story())


def test_the_tables_go_back_a_version_and_forth_again(server, shell) -> None:
    url = url_of(server, "shoal")
    known = ScriptDirectory(str(MIGRATIONS))
    head = known.get_revision("head")
    back = blocks("upgrade.md")["Roll back"]
    named = re.findall(r"'(\d{4})'", back)
    assert len(named) == 1
    assert named[0] in {script.revision for script in known.walk_revisions()}

    async def version(database: Database) -> Any:
        async with database.reading() as session:
            return await session.scalar(text("SELECT version_num FROM alembic_version"))

    async def story() -> None:
        await upgrade(url)
        database = Database.open(url)
        filled = await fill(database)
        block = back.replace(named[0], str(head.down_revision))
        await asyncio.to_thread(shell, block, server.programs, SHOAL_DATABASE_URL=url)
        assert await version(database) == head.down_revision
        assert await tokens(database) == (18, 18)
        await upgrade(url)
        assert await version(database) == head.revision
        async with database.reading() as session:
            assert opens(await load_snapshot(session), filled.key) == "acme"
        await database.close()

    asyncio.run(story())
