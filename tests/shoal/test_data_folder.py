"""The data folder: private files, one server at a time, and the way to the running engine."""

import stat

import pytest

from shoal import data_folder
from shoal.data_folder import DataFolder, RunningEngine, secret_key_from
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


def test_a_session_key_that_was_cut_short_is_made_anew(folder) -> None:
    (folder.path / "session.key").touch()
    assert len(folder.session_key()) == 32
    assert folder.session_key() == folder.session_key()


def test_the_secret_key_is_made_once_private_and_another_than_the_sessions(folder) -> None:
    key = folder.secret_key()
    assert len(key) == 32
    assert folder.secret_key() == key != folder.session_key()
    assert stat.S_IMODE((folder.path / "secret.key").stat().st_mode) == 0o600
    assert folder.secret_key("chosen" * 6) == secret_key_from("chosen" * 6) != folder.session_key("chosen" * 6)


def test_a_secret_key_that_was_cut_short_is_said_and_left_as_it_is(folder) -> None:
    (folder.path / "secret.key").write_bytes(b"short")
    with pytest.raises(StartFailure, match="5 bytes"):
        folder.secret_key()
    assert (folder.path / "secret.key").read_bytes() == b"short"


def test_keys_that_are_there_need_no_room_on_the_disk(folder, monkeypatch) -> None:
    kept = folder.session_key(), folder.secret_key()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_folder, "write_private", full)
    assert (folder.session_key(), folder.secret_key()) == kept


def test_a_file_that_could_not_be_written_is_not_there(folder, monkeypatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data_folder.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        folder.session_key()
    assert list(folder.path.iterdir()) == []


def test_an_announcement_that_was_cut_short_is_none(folder) -> None:
    (folder.path / "runtime.json").touch()
    assert folder.running_engine() is None


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


def test_a_chosen_session_key_is_the_same_in_every_folder(tmp_path) -> None:
    one, other = DataFolder.at(tmp_path / "one"), DataFolder.at(tmp_path / "other")
    assert one.session_key("secret" * 6) == other.session_key("secret" * 6) != one.session_key("another" * 6)
    assert len(one.session_key("secret" * 6)) >= 32
    assert one.session_key() != other.session_key()
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
