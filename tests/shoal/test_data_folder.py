"""The data folder: private files, one server at a time, and the way to the running engine."""

import stat

import pytest

from shoal.data_folder import DataFolder, RunningEngine
from shoal.failures import StartFailure

ENGINE = RunningEngine("http://127.0.0.1:9000", "a secret")


@pytest.fixture
def folder(tmp_path) -> DataFolder:
    return DataFolder.at(tmp_path / "new" / "data")


def test_a_second_server_is_kept_out_until_the_first_is_gone(folder) -> None:
    with folder.held(), pytest.raises(StartFailure, match="in use"), folder.held():
        pass
    with folder.held():
        pass


def test_the_session_key_is_made_once_and_private(folder) -> None:
    key = folder.session_key()
    assert len(key) == 32
    assert folder.session_key() == key
    assert stat.S_IMODE((folder.path / "session.key").stat().st_mode) == 0o600


def test_the_running_engine_is_announced_privately_and_only_while_it_runs(folder) -> None:
    assert folder.running_engine() is None
    with folder.announced(ENGINE):
        assert folder.running_engine() == ENGINE
        assert stat.S_IMODE((folder.path / "runtime.json").stat().st_mode) == 0o600
    assert folder.running_engine() is None


def test_what_a_killed_server_left_behind_is_replaced(folder) -> None:
    with folder.announced(ENGINE):
        later = RunningEngine("http://127.0.0.1:9001", "another")
        with folder.announced(later):
            assert folder.running_engine() == later


def test_a_folder_that_can_not_be_is_said(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailure, match="file"):
        DataFolder.at(tmp_path / "file" / "below")
