"""The one place that reads the environment, beside the options that may come from it."""

import os


def inherited_environment() -> dict[str, str]:
    """The environment of a child process: ours less the settings, which a child is told in other ways."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}  # noqa: TID251 (the one place)


def upstream_key() -> str | None:
    """The API key of an upstream, for commands that take one: never an argument, which every user could read."""
    return os.environ.get("SHOAL_UPSTREAM_KEY")  # noqa: TID251 (the one place)


def child_environment(engine_secret: str, otlp_headers: str | None = None) -> dict[str, str]:
    """The environment of a supervised engine: with what is secret; its other settings are said as options."""
    told = {"SHOAL_ENGINE_SECRET": engine_secret}
    if otlp_headers is not None:
        told["SHOAL_OTLP_HEADERS"] = otlp_headers
    return {**inherited_environment(), **told}
