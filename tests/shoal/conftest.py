"""The `shoal` command, run in this process on a data folder of the test's own."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from gateway.db.schema import upgrade
from gateway.db.session import Database
from gateway.services.register.audit import AuditEntry, list_events
from gateway.services.usage.recorder import UsageEvent, UsageRecorder
from gateway.settings import sqlite_url
from shoal.cli import main


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        return [line.split("\t") for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    asyncio.run(upgrade(sqlite_url(folder)))
    return folder


@pytest.fixture
def data_dir(migrated: Path, tmp_path: Path) -> Path:
    """A data folder with a migrated database."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(migrated / "shoal.db", folder)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Type `shoal` and these words."""
    for name in [name for name in os.environ if name.startswith("SHOAL_")]:
        monkeypatch.delenv(name)

    def typed(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["shoal", *words])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Done(int(ended.value.code or 0), out, err)

    return typed


@pytest.fixture
def shoal(run: Callable[..., Done], data_dir: Path) -> Callable[..., Done]:
    """The same, on the data folder; fails where the command does."""

    def typed(*words: str) -> Done:
        done = run(*words, "--data-dir", str(data_dir))
        assert done.code == 0, done.err
        return done

    return typed


@pytest.fixture
def refused(run: Callable[..., Done], data_dir: Path) -> Callable[..., str]:
    """The one sentence with which a command refuses."""

    def typed(*words: str) -> str:
        done = run(*words, "--data-dir", str(data_dir))
        assert done.code == 1
        assert done.out == ""
        [sentence] = [line for line in done.err.splitlines() if not line.endswith("…")]
        return sentence

    return typed


@pytest.fixture
def stored(data_dir: Path) -> Callable[..., Any]:
    """What a service finds in the database."""

    def call(service: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        async def find() -> Any:
            database = Database.open(sqlite_url(data_dir))
            async with database.reading() as session:
                found = await service(session, *arguments)
            await database.close()
            return found

        return asyncio.run(find())

    return call


@pytest.fixture
def events(stored: Callable[..., Any]) -> Callable[[], list[AuditEntry]]:
    """The audit log, newest first."""

    async def listed(session: AsyncSession) -> list[AuditEntry]:
        return list(await list_events(session))

    return lambda: stored(listed)


@pytest.fixture
def record(data_dir: Path) -> Callable[..., None]:
    """Write a request of seven tokens into the ledger, for a tenant's id, at each of these times."""

    def write(tenant_id: str, *times: datetime) -> None:
        async def enter() -> None:
            database = Database.open(sqlite_url(data_dir))
            recorder = UsageRecorder(database)
            for moment in times:
                recorder.record(
                    UsageEvent(
                        tenant_id=tenant_id,
                        tenant_name="acme",
                        key_id="key1",
                        model="org/m",
                        revision=None,
                        endpoint="/v1/embeddings",
                        status=200,
                        inputs=2,
                        tokens=7,
                        bytes_in=5,
                        latency_ms=1,
                        time=moment,
                    )
                )
            await recorder.close()
            await database.close()

        asyncio.run(enter())

    return write
