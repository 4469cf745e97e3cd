"""The write-ahead file by itself: what survives what, and what is refused before it is lost."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.services.usage import segment as segments
from gateway.services.usage.backlog import Backlog
from gateway.services.usage.segment import HEADER
from gateway.services.usage.spool import NoRoom, Spool, SpoolUnusable

SMALL = 64 * 1024
IN_FLIGHT = SMALL // 2 // 308 - 1
"""Records for which a segment's reserve has room in any case."""


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "usage"


def opened(folder, limit=64 * SMALL, segment_bytes=SMALL) -> Spool:
    return Spool.open(folder, limit, segment_bytes)


def taken(backlog, most=100) -> list[bytes]:
    """Everything that waits, released."""
    found = []
    while (batch := backlog.read(most)) is not None:
        found += batch.found.payloads
        backlog.release(batch)
    return found


def record(number: int, size: int = 300) -> bytes:
    return number.to_bytes(4, "big") * (size // 4)


def fill(spool, count, start=0) -> list[bytes]:
    records = [record(number) for number in range(start, start + count)]
    for one in records:
        spool.append(one)
        make_room(spool)
    return records


def make_room(spool) -> None:
    """As `keep`, which is called every so often, but only where it matters here: it waits for the disk."""
    if spool._spare is None:
        spool.keep()


def died(spool) -> None:
    """As a process that is killed: nothing is finished, the lock goes."""
    os.close(spool._lock)


def wal(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.wal"))


def test_records_come_out_as_they_went_in_over_many_segments(folder) -> None:
    spool = opened(folder)
    records = fill(spool, 1000)
    assert (spool.waiting, len(wal(folder))) == (1000, 6)
    assert spool.waiting_bytes == sum(len(one) + 8 for one in records)
    assert taken(spool) == records
    assert (spool.waiting, spool.waiting_bytes, len(wal(folder))) == (0, 0, 2)
    spool.close()
    assert wal(folder) == []


def test_what_was_appended_is_there_after_the_process_was_killed(folder) -> None:
    program = (
        "import sys, pathlib, time\nfrom gateway.services.usage.spool import Spool\n"
        "spool = Spool.open(pathlib.Path(sys.argv[1]))\n"
        "for number in range(10 ** 6):\n"
        "    spool.append(b'%d' % number)\n"
        "    print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE) as process:
        said = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        said += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    spool = opened(folder, limit=2**30)
    found = [int(payload) for payload in taken(spool)]
    assert found == list(range(len(found)))
    assert said[-1] in found
    spool.close()


def test_what_was_released_does_not_come_again(folder) -> None:
    spool = opened(folder)
    records = fill(spool, 500)
    spool.release(spool.read(100))
    batch = spool.read(100)
    assert batch.found.payloads == records[100:200]
    died(spool)
    after = opened(folder)
    assert after.waiting == 400
    assert taken(after) == records[100:]
    after.close()


def test_a_process_that_starts_again_claims_what_it_left_and_the_room_it_never_used_is_given_back(folder) -> None:
    records = []
    for generation in range(20):
        spool = opened(folder, limit=8 * SMALL)
        assert spool.slot == folder / "0"
        records += fill(spool, 5, start=5 * generation)
        died(spool)
    spool = opened(folder, limit=8 * SMALL)
    assert spool.waiting == 100
    assert taken(spool) == records
    spool.close()


def test_two_processes_on_one_folder_have_slots_of_their_own(folder) -> None:
    first, second = opened(folder), opened(folder)
    assert (first.slot.name, second.slot.name) == ("0", "1")
    fill(first, 3)
    fill(second, 2)
    assert first.abandoned() == [second.slot]
    assert Backlog.adopt(second.slot) is None
    assert (first.waiting, second.waiting) == (3, 2)
    first.close()
    second.close()


def test_a_slot_is_adopted_from_the_dead_and_its_next_process_takes_another_meanwhile(folder) -> None:
    dead, living = opened(folder), opened(folder)
    records = fill(dead, 700)
    died(dead)
    [slot] = living.abandoned()
    adopted = Backlog.adopt(slot)
    returned = opened(folder)
    assert returned.slot.name == "2"
    assert taken(adopted) == records
    adopted.close()
    assert living.abandoned() == [returned.slot]
    assert Spool.open(folder, 64 * SMALL, SMALL).slot == slot
    for spool in (living, returned):
        spool.close()


def test_an_adoption_that_is_broken_off_leaves_the_rest(folder) -> None:
    dead, living = opened(folder), opened(folder)
    records = fill(dead, 300)
    died(dead)
    adopted = Backlog.adopt(dead.slot)
    adopted.release(adopted.read(100))
    adopted.close()
    again = Backlog.adopt(dead.slot)
    assert taken(again) == records[100:]
    again.close()
    assert living.abandoned() == []
    living.close()


def test_a_torn_last_record_is_cut_off_and_said(folder) -> None:
    spool = opened(folder)
    records = fill(spool, 10)
    died(spool)
    [path] = [folder / name for name in wal(folder) if (folder / name).read_bytes()[HEADER.size]]
    content = path.read_bytes().rstrip(b"\0")
    path.write_bytes(content[:-7] + bytes(1000))
    with capture_logs() as logs:
        after = opened(folder)
    assert taken(after) == records[:-1]
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == (
        "the last record of a file was torn; its answer never left", "warning",
    )  # fmt: skip
    after.close()
    assert [path.name for path in folder.rglob("*.*")] == []


@pytest.mark.parametrize("place", ["in the middle", "in the header", "everywhere"])
def test_a_damaged_segment_is_said_aloud_the_rest_is_read_and_the_file_kept(folder, place) -> None:
    spool = opened(folder)
    records = fill(spool, 400)
    died(spool)
    path = folder / wal(folder)[0]
    content = bytearray(path.read_bytes())
    if place == "in the middle":
        content[1000:1400] = b"\x55" * 400
    elif place == "in the header":
        content[: HEADER.size] = b"\xff" * HEADER.size
    else:
        content[:] = b"\x55" * len(content)
    path.write_bytes(content)
    with capture_logs() as logs:
        after = opened(folder)
        found = taken(after)
    lost = {"in the middle": 2, "in the header": 0, "everywhere": SMALL // 308}[place]
    assert found == ([*records[:3], *records[5:]] if lost == 2 else records[lost:])
    entry = next(entry for entry in logs if entry["log_level"] == "error")
    assert entry["event"].startswith("usage is damaged")
    assert entry["file"] == str(path)
    kept = path.with_suffix(".damaged").read_bytes()
    assert kept[HEADER.size :] == content[HEADER.size :]
    after.close()
    fresh = opened(folder)
    fill(fresh, 3)
    assert not path.exists()
    fresh.close()


def test_a_segment_whose_making_was_cut_off_is_nothing(folder) -> None:
    spool = opened(folder)
    fill(spool, 2)
    died(spool)
    (spool.slot / "00000009.wal").write_bytes(b"")
    (spool.slot / "00000010.wal").write_bytes(bytes(SMALL))
    (spool.slot / "00000011.wal").write_bytes(b"SHOAL")
    with capture_logs():
        after = opened(folder)
    assert len(taken(after)) == 2
    after.close()


def admitted_until_refused(spool) -> int:
    """Requests that were let in before the first was refused, each recorded; `keep` runs as ever."""
    for number in range(100_000):
        if not spool.has_room:
            return number
        spool.append(record(number))
        make_room(spool)
    raise AssertionError("never refused")


def test_at_its_limit_it_refuses_while_what_is_in_flight_still_has_room_and_recovers_by_itself(folder) -> None:
    spool = opened(folder, limit=4 * SMALL)
    with capture_logs() as logs:
        admitted = admitted_until_refused(spool)
        assert sum(path.stat().st_size for path in folder.rglob("*.wal")) <= 4 * SMALL
        in_flight = fill(spool, IN_FLIGHT, start=admitted)
        assert not spool.has_room
        found = taken(spool)
        assert not spool.has_room
        spool.keep()
        assert spool.has_room
    assert found == [record(number) for number in range(admitted + len(in_flight))]
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("error", "no more usage can be kept, so requests are refused"),
        ("info", "usage is kept again, and requests are served"),
    ]
    assert f"the limit is {4 * SMALL:,}" in logs[0]["why"]
    spool.append(b"again")
    assert taken(spool) == [b"again"]
    spool.close()


def test_past_all_room_an_append_is_refused_and_leaves_no_record(folder) -> None:
    spool = opened(folder, limit=2 * SMALL)
    with capture_logs(), pytest.raises(NoRoom) as refused:
        fill(spool, 10_000)
    assert (refused.value.status, refused.value.retry_after) == (503, 1.0)
    left = spool.waiting
    assert taken(spool) == [record(number) for number in range(left)]
    assert left == 2 * (SMALL // 308)
    spool.close()


def full_disk(monkeypatch, function: str) -> list[bool]:
    """Let an operating system's function fail as it does on a full disk while the list says so."""
    full = [True]
    original = getattr(os, function)

    def failing(*arguments):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*arguments)

    monkeypatch.setattr(segments.os, function, failing)
    return full


def test_on_a_full_disk_it_refuses_before_anything_is_lost_and_recovers_by_itself(folder, monkeypatch) -> None:
    spool = opened(folder)
    records = fill(spool, 10)
    full = full_disk(monkeypatch, "posix_fallocate")
    with capture_logs() as logs:
        admitted = admitted_until_refused(spool)
        fill(spool, IN_FLIGHT, start=admitted)
        assert logs[0]["why"] == "No space left on device"
        full[0] = False
        spool.keep()
        assert spool.has_room
    assert len(taken(spool)) == len(records) + admitted + IN_FLIGHT
    spool.close()


def test_a_process_starts_on_a_full_disk_to_ship_what_waits_and_serves_when_there_is_room(folder, monkeypatch) -> None:
    before = opened(folder)
    records = fill(before, 10)
    died(before)
    full = full_disk(monkeypatch, "posix_fallocate")
    with capture_logs():
        spool = opened(folder)
        assert not spool.has_room
        assert taken(spool) == records
        full[0] = False
        spool.keep()
    assert spool.has_room
    spool.close()


def test_a_write_that_fails_goes_to_the_next_segment(folder, monkeypatch) -> None:
    spool = opened(folder)
    fill(spool, 3)
    fails = [1]
    original = os.pwrite

    def failing(descriptor, data, offset):
        if fails[0]:
            fails[0] -= 1
            original(descriptor, data[:9], offset)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(descriptor, data, offset)

    monkeypatch.setattr(segments.os, "pwrite", failing)
    with capture_logs() as logs:
        spool.append(b"fourth")
    assert [(entry["event"], entry["why"]) for entry in logs] == [("usage can not be written", "Input/output error")]
    died(spool)
    with capture_logs():
        after = opened(folder)
    assert taken(after) == [record(0), record(1), record(2), b"fourth"]
    after.close()


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 256 KiB; its free bytes can be taken with a file on it."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a tiny disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_real_disk_that_fills_up(tiny_disk) -> None:
    spool = opened(tiny_disk / "usage")
    records = fill(spool, 50)
    with capture_logs() as logs:
        free = os.statvfs(tiny_disk)
        (tiny_disk / "others").write_bytes(bytes(free.f_bavail * free.f_frsize))
        admitted = admitted_until_refused(spool)
        fill(spool, IN_FLIGHT, start=admitted)
        assert [entry["why"] for entry in logs] == ["No space left on device"]
        (tiny_disk / "others").unlink()
        spool.keep()
    assert spool.has_room
    assert len(taken(spool)) == len(records) + admitted + IN_FLIGHT
    spool.close()


def test_a_folder_that_can_not_be_written_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable) as refused:
        Spool.open(tmp_path / "file" / "usage")
    assert refused.value.message == (
        f"Usage can not be kept in {tmp_path}/file/usage: Not a directory. Choose another folder with --usage-spool."
    )
    with pytest.raises(SpoolUnusable, match=r"needs at least 8,388,608 bytes, more than 1,000"):
        Spool.open(tmp_path / "usage", limit=1000)


def insist(spool, payload: bytes) -> None:
    """Append, however often it is refused: the thread that makes room is slower than a loop that does nothing else."""
    while True:
        try:
            spool.append(payload)
        except NoRoom:
            continue
        return


def test_appending_while_other_threads_read_and_keep_loses_and_doubles_nothing(folder) -> None:
    spool = opened(folder, limit=1024 * SMALL)
    found: list[bytes] = []
    ended = threading.Event()

    def until_ended(work) -> None:
        while not ended.is_set():
            work()

    works = (lambda: found.extend(taken(spool)), spool.keep)
    threads = [threading.Thread(target=until_ended, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for number in range(8_000):
        insist(spool, record(number))
    ended.set()
    for thread in threads:
        thread.join()
    found += taken(spool)
    assert found == [record(number) for number in range(8_000)]
    spool.close()


def test_segments_that_wait_hold_no_descriptors(folder) -> None:
    spool = opened(folder)
    before = len(list(Path("/proc/self/fd").iterdir()))
    fill(spool, 3000)
    assert len(wal(folder)) > 12
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    spool.close()


def test_while_the_disk_does_not_confirm_what_was_written_no_room_is_made(folder, monkeypatch) -> None:
    spool = opened(folder)
    records = fill(spool, 3)
    full = full_disk(monkeypatch, "fdatasync")
    with capture_logs() as logs:
        admitted = admitted_until_refused(spool)
        assert [entry["event"] for entry in logs] == ["no more usage can be kept, so requests are refused"]
        full[0] = False
        spool.keep()
    assert spool.has_room
    assert len(taken(spool)) == len(records) + admitted
    spool.close()
