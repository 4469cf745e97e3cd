"""What this process logs holds no more than was meant to be said."""

import logging
import sys

import pytest
import structlog

from shoal.logs import configure_logs


@pytest.fixture
def logs_as_they_were():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configured = structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in ("shoal", "gateway", "engine", "admin_ui")}
    yield
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    structlog.configure(**configured)


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
