"""The templates' environment: everything is escaped, and a name that is not in the context is an error."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar.plugins.jinja import JinjaTemplateEngine

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


def file_addresses() -> dict[str, str]:
    """Where each static file is. The address of a changed file changes, so that browsers may keep it for good."""
    return {
        file.name: f"{PREFIX}/static/{file.name}?v={sha256(file.read_bytes()).hexdigest()[:12]}"
        for file in STATIC.iterdir()
        if file.is_file()
    }
