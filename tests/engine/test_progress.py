"""How far a load is: in the node's status, in bytes that were read, and in what the hub's library says."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub.utils import tqdm

from engine import weights
from engine.device import open_device
from engine.errors import SourceNotFound
from engine.files.checkpoint import read_header
from engine.loading.hub_bar import told_to
from engine.loading.plan import plan_load
from engine.loading.source import resolve
from engine.progress import Progress
from engine.protocol import ModelRef
from engine.settings import EngineSettings


def test_a_phase_counts_its_bytes_and_the_next_begins_at_none():
    progress = Progress()
    assert progress.stage == ("look", 0, 0)
    progress.enter("fetch", 10)
    progress.advance(4)
    progress.enter("fetch", 30)
    assert progress.stage == ("fetch", 4, 30)
    progress.enter("read", 8)
    assert progress.stage == ("read", 0, 8)


def test_threads_that_tell_at_once_lose_nothing():
    progress = Progress()
    progress.enter("fetch", 1)

    def tell():
        for _ in range(2000):
            progress.advance(1)

    threads = [threading.Thread(target=tell) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.stage.done == 16_000


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"], ids=["straight", "converted"])
def test_a_load_has_read_as_many_bytes_as_it_said_at_its_end(build_checkpoint, monkeypatch, dtype):
    """In many steps, each told by itself: with their sum a bar ends at its end."""
    folder = build_checkpoint().folder
    monkeypatch.setattr(weights, "FIRST_READ", 1000)
    monkeypatch.setattr(weights, "STEP", 500)
    stages = []

    class Watched(Progress):
        def advance(self, count):
            super().advance(count)
            stages.append(self.stage)

    progress = Watched()
    plan = plan_load(
        ModelRef(id="m", source=str(folder), dtype=dtype), open_device(EngineSettings(device="cpu")), progress
    )
    assert progress.stage.phase == "look"
    plan.load()
    assert len(stages) > 10
    assert {stage.phase for stage in stages} == {"read"}
    assert [stage.done for stage in stages] == sorted(stage.done for stage in stages)
    whole = sum(entry.nbytes for entry in read_header(folder / "model.safetensors").values())
    assert stages[-1].done == stages[-1].total
    assert 0 < stages[-1].total <= whole
    assert progress.stage == ("check", 0, 0)


def test_the_status_says_how_far_a_load_is_and_of_what_is_loaded_nothing(opened, run, build_checkpoint, before_load):
    ref = build_checkpoint().ref()
    reached, released = threading.Event(), threading.Event()

    def hold():
        reached.set()
        assert released.wait(20)

    before_load(ref.id, hold)

    async def work():
        async with opened() as runtime:
            loading = asyncio.create_task(runtime.load(ref))
            await asyncio.to_thread(reached.wait, 20)
            [model] = runtime.status().models
            assert (model.tier, model.progress.phase, model.progress.done) == ("loading", "wait", 0)
            began = model.progress.seconds
            released.set()
            [loaded] = (await loading).models
            assert began >= 0
            assert loaded.progress is None
            assert loaded.failure_code is None

    run(work())


def test_the_status_of_a_failed_load_says_which_error_it_is(opened, run):
    async def work():
        async with opened() as runtime:
            with pytest.raises(SourceNotFound):
                await runtime.load(ModelRef(id="m", source="/nowhere/at/all"))
            [model] = runtime.status().models
            assert (model.failure_code, model.progress) == ("model_not_found", None)

    run(work())


def test_of_the_hubs_bars_the_one_that_counts_bytes_is_listened_to(capfd):
    progress = Progress()
    bar = told_to(progress)
    other = bar(name="huggingface_hub.snapshot_download.transfer", unit="B", total=0, desc="x")
    files = bar(total=3, desc="Fetching 3 files")
    whole = bar(name="huggingface_hub.snapshot_download", unit="B", total=0, initial=0, unit_scale=True)
    assert issubclass(bar, tqdm)
    other.total = 7
    other.update(7)
    files.update(1)
    assert progress.stage == ("look", 0, 0)
    whole.total = (whole.total or 0) + 100
    whole.update(60)
    whole.total += 20
    whole.update(-10)
    whole.refresh()
    assert progress.stage == ("fetch", 50, 120)
    for one in (other, files, whole):
        one.close()
    assert capfd.readouterr() == ("", "")


def test_a_download_tells_its_load(monkeypatch, tmp_path):
    progress, seen = Progress(), []

    def download(_repo, *, tqdm_class, **_):
        bar = tqdm_class(name="huggingface_hub.snapshot_download", unit="B", total=0)
        bar.total = 40
        bar.update(15)
        seen.append(progress.stage)
        (tmp_path / "model.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve("someone/model", progress=progress)
    assert seen == [("fetch", 15, 40)]
    assert progress.stage == ("look", 0, 0)


HUB = b"""
import sys
from engine.progress import Progress
from engine.loading.source import resolve

class Watched(Progress):
    def advance(self, count):
        super().advance(count)
        print(*self.stage)

print(resolve("org/m", progress=Watched()), file=sys.stderr)
"""
FILES = {"config.json": b"{}" * 50, "model.safetensors": bytes(25_000_000)}


class Hub(BaseHTTPRequestHandler):
    """The calls of the hub that one small repository takes."""

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.wfile.write(self.answer())

    def answer(self):
        commit, path = "a" * 40, self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if "/tree/" in path:
            listed = [{"type": "file", "path": name, "size": len(FILES[name]), "oid": "b" * 40} for name in FILES]
            body = json.dumps(listed).encode()
        elif path.startswith("/api/models/"):
            body = json.dumps({"id": "org/m", "sha": commit, "siblings": []}).encode()
        else:
            body = FILES.get(name, b"")
        self.send_response(200 if body else 404)
        self.send_header("content-length", str(len(body)))
        self.send_header("etag", f'"{name}"')
        self.send_header("x-repo-commit", commit)
        self.end_headers()
        return body

    def log_message(self, *_):
        pass


def test_the_hubs_own_library_tells_bytes_as_they_come(tmp_path):
    """Of a download over HTTP, from a hub on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        serving = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        chosen = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        done = subprocess.run(
            [sys.executable, "-"], input=HUB, env=os.environ | chosen, capture_output=True, check=True, timeout=60
        )
        hub.shutdown()
        serving.join()
    stages = [line.split() for line in done.stdout.decode().splitlines()]
    whole = sum(map(len, FILES.values()))
    assert stages[-1] == ["fetch", str(whole), str(whole)]
    assert any(0 < int(count) < whole for _, count, _ in stages)
