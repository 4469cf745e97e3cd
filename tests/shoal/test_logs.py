"""What this process logs holds no more than was meant to be said."""

import json
import logging
import sys
import threading
import warnings

import pytest
import structlog

from shoal.logs import MOST_ALIKE, MOST_KINDS, WINDOW, LogSettings, Repeats, configure_logs


@pytest.fixture
def logs_as_they_were():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configured = structlog.get_config()
    hooks = sys.excepthook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in ("shoal", "gateway", "engine", "admin_ui")}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**configured)
    logging.captureWarnings(capture=False)
    sys.excepthook, threading.excepthook = hooks


def fail(credential: str) -> None:
    words = {"authorization": credential}
    raise ValueError("it failed") if words else KeyError


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
@pytest.mark.usefixtures("logs_as_they_were")
def test_a_traceback_shows_no_local_variables(terminal, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    configure_logs()
    try:
        fail("nobody may read this".upper())  # as no line of this file has it
    except ValueError as error:
        structlog.get_logger("shoal.test").error("a request failed", exc_info=error)
    logged = capsys.readouterr().err
    assert "a request failed" in logged
    assert "ValueError: it failed" in logged
    assert "NOBODY MAY READ" not in logged


@pytest.fixture
def lines(capsys):
    def read():
        return [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    return read


@pytest.mark.usefixtures("logs_as_they_were")
def test_every_line_is_json_whoever_says_it(lines) -> None:
    configure_logs(LogSettings(format="json"))
    structlog.contextvars.bind_contextvars(request_id="req_1")
    structlog.get_logger("gateway.test").info("an event", size=3)
    structlog.contextvars.clear_contextvars()
    logging.getLogger("some.library").warning("said %s", "so")
    logging.getLogger("asyncio").error("slow")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("take care", UserWarning, stacklevel=1)
    thread = threading.Thread(target=fail, args=("a word of ours",), name="worker")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread.start()
        thread.join()
    mine, theirs, loop, warning, died = lines()
    assert (mine["event"], mine["size"], mine["request_id"], mine["level"]) == ("an event", 3, "req_1", "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("said so", "some.library", "warning")
    assert loop["event"] == "slow"
    assert "take care" in warning["event"]
    assert (died["event"], died["thread"]) == ("a thread ended by an error", "worker")
    assert "ValueError: it failed" in died["exception"]
    assert "timestamp" in mine


@pytest.mark.usefixtures("logs_as_they_were")
def test_the_level_is_a_choice_and_libraries_stay_quiet(lines) -> None:
    configure_logs(LogSettings(format="json", level="debug"))
    structlog.get_logger("shoal.test").debug("fine print")
    logging.getLogger("httpcore").info("chatter")
    assert [line["event"] for line in lines()] == ["fine print"]
    configure_logs(LogSettings(format="json", level="error"))
    structlog.get_logger("shoal.test2").warning("not said")
    assert lines() == []


def record(event: str, *, name: str = "shoal.nodes", **fields: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, {"event": event, **fields}, (), None)


def test_what_repeats_is_bounded_and_counted() -> None:
    now = 0.0
    repeats = Repeats(set(), lambda: now)
    assert sum(repeats.filter(record("node is away", node=str(number))) for number in range(1000)) == MOST_ALIKE
    assert repeats.filter(record("something else"))
    assert repeats.filter(record("node is away", status=503))
    now = WINDOW
    again = record("node is away")
    assert repeats.filter(again)
    assert again.msg["left_out"] == 1000 - MOST_ALIKE
    later = record("node is away")
    assert repeats.filter(later)
    assert "left_out" not in later.msg


def test_who_wants_every_request_gets_every_request() -> None:
    repeats = Repeats({"shoal.access"})
    assert all(repeats.filter(record("request", name="shoal.access")) for _ in range(1000))


def test_kinds_that_never_end_take_no_memory_that_never_ends() -> None:
    repeats = Repeats(set())
    assert all(repeats.filter(record(f"event {number}")) for number in range(5000))
    assert len(repeats._seen) <= MOST_KINDS
