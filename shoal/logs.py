"""How this process logs: one line an event on stderr, for people on a terminal, as JSON elsewhere.

What libraries log at WARNING and above goes the same way, and so do warnings and what ends a thread or the process.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

import structlog
from structlog.typing import Processor

LogFormat = Literal["auto", "json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

MOST_ALIKE = 20
"""Lines of one kind that are written in a row of WINDOW seconds; how many were left out is said with the next one."""
WINDOW = 10.0
MOST_KINDS = 1000

OURS = ("shoal", "gateway", "engine", "admin_ui")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What an operator may choose about logs."""

    format: LogFormat = "auto"
    """`auto`: text on a terminal, JSON elsewhere."""
    level: LogLevel = "info"
    every_request: bool = False
    """Lines of the access log are written however many there are."""


def configure_logs(settings: LogSettings | None = None) -> None:
    """Set structlog up, and send what libraries log the same way. May be called again, with other settings."""
    settings = settings or LogSettings()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    people = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    # Its other tracebacks show local variables: callers' headers, their keys among them.
    for_people = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    render = for_people if people else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    tracebacks: list[Processor] = [] if people else [structlog.processors.format_exc_info]
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats({"shoal.access"} if settings.every_request else set()))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tracebacks, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for ours in OURS:
        logging.getLogger(ours).setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_end
    threading.excepthook = _log_thread_end


class Repeats(logging.Filter):
    """Lets through so many lines of a kind in a time; a kind is an event of a logger, with its status if it has one."""

    def __init__(self, unbounded: set[str], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._unbounded = unbounded
        self._clock = clock
        self._seen: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; the first one after some were not says how many."""
        if record.name in self._unbounded:
            return True
        fields = record.msg if isinstance(record.msg, dict) else {}
        kind = (record.name, record.levelno, fields.get("event", record.msg), fields.get("status"))
        now = self._clock()
        began, count = self._seen.get(kind, (now, 0))
        left_out = 0
        if now - began >= WINDOW:
            began, count, left_out = now, 0, max(0, count - MOST_ALIKE)
        if kind not in self._seen and len(self._seen) >= MOST_KINDS:
            self._seen.clear()
        self._seen[kind] = began, count + 1
        if left_out and isinstance(record.msg, dict):
            record.msg["left_out"] = left_out
        return count < MOST_ALIKE


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    structlog.get_logger("shoal").critical("ended by an error", exc_info=(kind, error, traceback))


def _log_thread_end(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is None or issubclass(failure.exc_type, SystemExit):
        return
    reason = (failure.exc_type, failure.exc_value, failure.exc_traceback)
    name = failure.thread.name if failure.thread is not None else None
    structlog.get_logger("shoal").critical("a thread ended by an error", thread=name, exc_info=reason)
