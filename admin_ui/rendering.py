"""The templates' environment: everything is escaped, and a name that is not in the context is an error.

What nodes, providers and callers say is shown, too, so whatever turns the direction of writing or controls a terminal
stands there as a mark: no text can make the words beside it read otherwise. What must stay as it is, because it is sent
or copied again, says so: `{{ text | e }}`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar.plugins.jinja import JinjaTemplateEngine
from markupsafe import Markup

from admin_ui import wording
from admin_ui.navigation import PREFIX

HERE = Path(__file__).parent
STATIC = HERE / "static"


def template_engine(clock: Callable[[], float]) -> JinjaTemplateEngine:
    """Jinja as the console uses it. `clock` gives Unix seconds."""
    return JinjaTemplateEngine.from_environment(environment(clock))


def environment(clock: Callable[[], float]) -> Environment:
    """What templates know: filters for what people read, and the addresses of files."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_plain,
    )
    made.globals.update(
        prefix=PREFIX,
        static=file_addresses(),
        now=lambda: datetime.fromtimestamp(clock(), UTC),
        plural=wording.plural_text,
    )
    made.filters.update(
        bytes=wording.bytes_text,
        number=wording.number_text,
        compact=wording.compact_text,
        millis=wording.millis_text,
        span=wording.span_text,
        ago=wording.ago_text,
        moment=wording.moment_text,
        day=wording.day_text,
        percent=wording.percent_text,
        value=wording.value_text,
    )
    return made


def _plain(value: Any) -> Any:
    """What is about to be shown, without what misleads whoever reads it; markup of our own as it is."""
    return wording.plain_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def file_addresses() -> dict[str, str]:
    """Where each static file is. The address of a changed file changes, so that browsers may keep it for good."""
    return {
        file.name: f"{PREFIX}/static/{file.name}?v={sha256(file.read_bytes()).hexdigest()[:12]}"
        for file in STATIC.iterdir()
        if file.is_file()
    }
