"""Every page and every live part of the console, from its own table of routes, each asked for what costs most."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import quote, urlencode

from admin_ui.app import PAGES
from admin_ui.navigation import PREFIX
from benchmarks.processes import NotMeasurable

EVERYTHING_ELSE = "/{rest:path}"
"""The route of what there is not."""


@dataclass(frozen=True, slots=True)
class Address:
    """One to ask for."""

    route: str
    """As the table has it, with what is asked."""
    url: str
    streams: bool = False
    """A file, as long as it may be: its first bytes count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subjects:
    """What pages are asked about: where there is most to show."""

    tenant: str
    alias: str
    """Of that tenant."""
    key: str
    model: str
    node: str
    upstream: str
    operator: str
    token: str
    """Of that operator."""
    year: str
    """The last that is over, or this one: `2026`."""
    month: str
    day: str
    search: str
    """A part of many tenants' names."""
    halfway: str
    """A tenant's name in the middle of the list."""

    @property
    def in_paths(self) -> Mapping[str, str]:
        """By the names that routes have for them."""
        return {
            "tenant:str": self.tenant,
            "alias:path": f"/{self.alias}",
            "key:str": self.key,
            "model:path": f"/{self.model}",
            "node:str": self.node,
            "upstream:str": self.upstream,
            "operator:str": self.operator,
            "token:str": self.token,
        }


def addresses(subjects: Subjects) -> Iterator[Address]:
    """Each GET of the table, and once more with each of the queries that are worth it.

    Raises NotMeasurable for a route of which nobody has said what to ask, so that none is forgotten.
    """
    asked = queries(subjects)
    routes = sorted({path for handler in PAGES if "GET" in handler.http_methods for path in handler.paths})
    for unknown in asked.keys() - set(routes):
        raise NotMeasurable(f"Nothing in the console is at {unknown}.")
    for route in routes:
        if route == EVERYTHING_ELSE:
            continue
        path = PREFIX + route.rstrip("/")
        for name, value in subjects.in_paths.items():
            path = path.replace(f"/{{{name}}}", "/" + quote(value.lstrip("/"), safe="/|:~.@+"))
        if "{" in path:
            raise NotMeasurable(f"What to ask of {route} is not said in benchmarks/console/addresses.py.")
        for query in ({}, *asked.get(route, ())):
            text = f"?{urlencode(query)}" if query else ""
            yield Address(route + text, path + text, streams=route.endswith("/export"))


def queries(subjects: Subjects) -> Mapping[str, list[dict[str, str]]]:
    """What is asked besides the plain page: searches, later pages, long times."""
    a_year_ago = date.fromisoformat(subjects.day) - timedelta(days=365)
    of_year = {"from": a_year_ago.isoformat(), "until": subjects.day}
    search, later = {"q": subjects.search}, {"after": subjects.halfway}
    return {
        "/tenants": [search, later, {"q": "nobody is called so"}],
        "/playground": [search, later],
        "/models": [{"q": "rerank"}, {"after": subjects.model}],
        "/models/now": [{"q": "rerank"}],
        "/models/new": [{"source": subjects.model, "unseen": "1"}],
        "/nodes": [{"q": "gpu"}],
        "/audit": [
            {"about": "key"}, {"actor": "operator-0003"}, {"target": subjects.tenant}, {"after": "9000"},
            {"actor": "nobody"}, {"from": subjects.month + "-01", "until": subjects.day},
        ],
        "/tenants/{tenant:str}/usage": [{"by": by, **of_year} for by in ("model", "key", "day")],
        "/usage": [
            {"period": period, "by": by}
            for period in (subjects.year, subjects.month, subjects.day)
            for by in ("tenant", "model", "key")
        ]
        + [
            {"period": subjects.year, "by": "month"},
            {"period": subjects.year, "by": "key", "q": subjects.search},
            {"period": subjects.year, "by": "key", "after": f"5000~{subjects.tenant}/{subjects.key}"},
        ],
        "/usage/export": [{"period": subjects.year}],
    }  # fmt: skip
