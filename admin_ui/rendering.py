"""The templates' environment: everything is escaped, and a name that is not in the context is an error."""

from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar.plugins.jinja import JinjaTemplateEngine

from admin_ui.access import PREFIX

HERE = Path(__file__).parent
STATIC = HERE / "static"
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def template_engine() -> JinjaTemplateEngine:
    """Jinja as the console uses it."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The name of a changed file changes, so that browsers may keep it for good.
    version = sha256((STATIC / "app.css").read_bytes()).hexdigest()[:12]
    environment.globals.update(prefix=PREFIX, stylesheet=f"{PREFIX}/static/app.css?v={version}")
    environment.filters.update(bytes=bytes_text, number=number_text)
    return JinjaTemplateEngine.from_environment(environment)


def bytes_text(count: int) -> str:
    """Bytes for people: `1.5 GiB`."""
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.3g} {UNITS[unit]}"


def number_text(count: float) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{count:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
