"""Every page of the console, from its own table of routes, with the states that people meet.

In addresses and forms `{tenant:str}` and the like stand for what `full_console` has; see there for `{fresh_…}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from admin_ui.app import PAGES
from admin_ui.navigation import PREFIX

FRAGMENTS = frozenset(
    {
        "/overview/attention",
        "/overview/traffic",
        "/overview/pools",
        "/models/now",
        "/models/where/{model:path}",
        "/models/inspection",
        "/nodes/now",
        "/nodes/at/{node:str}/now",
        "/upstreams/now",
        "/upstreams/at/{upstream:str}/now",
    }
)
"""Parts of pages: they are looked at within these."""
FILES = frozenset({"/usage/export", "/tenants/{tenant:str}/usage/export"})
DONE_AT_ONCE = frozenset(
    {
        "/theme",
        "/sign-out",
        "/account/sessions/end",
        "/account/sessions/end/{ref:str}",
        "/operators/at/{operator:str}/sessions/end",
        "/operators/at/{operator:str}/sessions/end/{ref:str}",
        "/operators/at/{operator:str}/tokens/{token:str}/revocation",
        "/tenants/{tenant:str}/resumption",
    }
)
"""Writes that need no more than a click: they show nothing themselves."""
ORDERS = ("/models/load/", "/models/unload/", "/models/pin/", "/models/unpin/")
"""What is wrong with them is said on the model's page."""
OUT_OF_DATE = {"version": "0"}


@dataclass(frozen=True)
class Shown:
    """Something that the console shows."""

    path: str
    """Below the prefix."""
    form: Mapping[str, str] | None = None
    """What is sent by POST; its token comes by itself."""
    operator: str | None = "ada"
    """Empty: a visitor; None: nobody, not even that."""
    note: str = ""
    status: int = 200
    """Of the answer, after redirects; 0: one that shows the form again."""
    empty: bool = False
    """Of a console that nothing was done with yet."""

    def __str__(self) -> str:
        said = f"{self.note}: " if self.note else ""
        method = "GET" if self.form is None else "POST"
        return f"{said}{method} {self.path}" + ("" if self.operator == "ada" else f" as {self.operator or 'a visitor'}")


def routes() -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """Method, path and `opt` of each route."""
    for handler in PAGES:
        for path in sorted(handler.paths):
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                yield method, path, handler.opt


def _reads() -> Iterator[Shown]:
    other = {"/{rest:path}": 404, "/sign-in/oidc": 502, "/sign-in/oidc/done": 401}
    for method, path, opt in routes():
        if method == "GET" and path not in FRAGMENTS | FILES:
            yield Shown(path, operator="" if opt.get("public") else "ada", status=other.get(path, 200))
            if opt.get("right") in {"tenant.look", "tenant.change"}:
                yield Shown(path, operator="tina")
            elif opt.get("right") == "fleet.look":
                yield Shown(path, operator="<i>eve")


def _writes() -> Iterator[Shown]:
    """Each form with nothing in it and out of date: it is shown again with all that is wrong, or with the conflict."""
    other = {"/sign-in": 401, "/{rest:path}": 404}
    for method, path, opt in routes():
        if method == "POST" and path not in DONE_AT_ONCE:
            status = 200 if path.startswith(ORDERS) else other.get(path, 0)
            operator = "" if opt.get("public") else "ada"
            yield Shown(path, OUT_OF_DATE, operator, "all wrong", status)


_TENANT = "/tenants/{tenant:str}"
_OTHER = "/tenants/{other_tenant:str}"
_KEY = f"{_TENANT}/keys/{{key:str}}"
_EMBED = {"task": "embed", "model": "org/small", "key": "", "texts": "one\ntwo", "kind": "", "dimensions": ""}


def _conflicts() -> Iterator[Shown]:
    """Forms that somebody else was faster with."""
    forms = {
        f"{_TENANT}/settings": {"name": "other", "lane": "bulk", "weight": "2"},
        f"{_TENANT}/models": {"allow": "org/*", "deny": "org/large"},
        f"{_TENANT}/limits": {"model_pattern": "*", "requests": "7", "tokens": "9000"},
        f"{_KEY}/settings": {"name": "other", "expires": "2099-01-01", "scopes": "rerank"},
        f"{_KEY}/models": {"allow": "org/small", "deny": ""},
        "/operators/at/{operator:str}/role": {"role": "tenant_admin", "tenant": "zenith"},
        "/models/settings/{model:path}": {"pool": "default", "aliases": "other", "dtype": "", "max_tokens": "64"},
    }
    for path, form in forms.items():
        yield Shown(path, form | OUT_OF_DATE, note="conflict", status=409)


def _answers() -> Iterator[Shown]:
    """What is shown once, and what came of something."""
    new_key = {"name": "{fresh}", "expires": "30d"}
    yield Shown(f"{_TENANT}/keys", new_key, note="key made", status=201)
    yield Shown(f"{_TENANT}/keys", new_key | {"scopes": "rerank"}, "tina", "key for one task made", 201)
    yield Shown(f"{_TENANT}/keys/{{fresh_key:str}}/rotation", {"overlap": "24h"}, note="key rotated", status=201)
    yield Shown("/operators", {"name": "{fresh}", "role": "viewer"}, note="operator made", status=201)
    yield Shown("/operators/at/{fresh_operator:str}/password", {}, note="password made", status=201)
    token = {"name": "{fresh}", "expires": "90d", "read_only": "on"}
    yield Shown("/operators/at/{operator:str}/tokens", token, note="token made", status=201)
    yield Shown("/tenants", {"name": "{fresh}", "allow": "*", "lane": "bulk", "weight": "1"}, note="said after a form")
    for source in ("good", "bad", "slow"):
        yield Shown("/models/inspections", {"source": f"org/{source}"}, note=f"a {source} source")
    play = f"{_TENANT}/playground"
    yield Shown(play, _EMBED, note="embedded")
    yield Shown(play, _EMBED | {"model": "org/failing"}, note="the API refused")
    texts = {"texts": "Ada met Charles.\nThe bank opens."}
    yield Shown(play, {"task": "rerank", "model": "org/rank", "query": "who?"} | texts, note="ranked")
    yield Shown(play, {"task": "classify", "model": "org/rank", "labels": "a\nb"} | texts, note="classified")
    yield Shown(play, {"task": "extract", "model": "org/rank", "labels": "person"} | texts, "tina", "extracted")


def _states() -> Iterator[Shown]:
    """Lists of which nothing is left, tenants that have nothing, the steps of a form that begins in the address."""
    for path in ("/tenants", "/models", "/nodes", "/operators", f"{_TENANT}/keys", "/playground"):
        yield Shown(f"{path}?q=none-of-them", note="nothing found")
    yield Shown("/audit?actor=none-of-them", note="nothing found")
    yield Shown("/audit?from=yesterday&about=weather", note="wrong filter", status=422)
    for rest in ("", "/keys", "/models", "/limits", "/usage", "/playground", "/audit"):
        yield Shown(f"{_OTHER}{rest}", note="empty tenant")
    for by in ("key", "day"):
        yield Shown(f"{_TENANT}/usage?by={by}")
    for query in ("by=model", "by=key", "by=day", "q=none-of-them", "period=2020"):
        yield Shown(f"/usage?{query}")
    yield Shown("/usage?period=yesterday", note="wrong time", status=422)
    yield Shown(f"{_TENANT}/usage?from=2020-01-01&until=2019-01-01", note="wrong time", status=422)
    for key in ("ended_key", "soon_key"):
        yield Shown(f"{_TENANT}/keys/{{{key}:str}}", note=key.replace("_", " "))
    yield Shown(f"{_TENANT}/limits?of=org/*")
    for task in ("rerank", "classify", "extract"):
        yield Shown(f"{_TENANT}/playground?task={task}")
    for node in ("failing_node", "away_node", "stale_node", "upstream_node", "new_node"):
        yield Shown(f"/nodes/at/{{{node}:str}}", note=node.replace("_", " "))
    for model in ("failed_model", "loading_model", "adapter", "upstream_model", "lost_model"):
        yield Shown(f"/models/at/{{{model}:path}}", note=model.replace("_", " "))
    yield Shown("/models/new?source=org/unseen&unseen=1", note="not looked at")
    yield Shown("/models/new?pool=others", note="of an upstream")
    yield Shown("/operators/at/{other_operator:str}", note="another operator")


def _gates() -> Iterator[Shown]:
    """Errors, and what visitors see."""
    yield Shown("/theme", {"csrf_token": "wrong"}, note="forged", status=403)
    yield Shown("/tenants/new", operator="<i>eve", note="looks only", status=403)
    yield Shown("/tenants", operator="tina", note="not there", status=404)
    yield Shown("/tenants", {"name": "typed", "allow": "*"}, None, "session over", 401)
    yield Shown("/sign-in?next=/admin/audit", operator="", note="on the way")
    held = {"name": "ada", "password": "{password}", "held_action": "/admin/tenants", "held_fields": "name=typed"}
    yield Shown("/sign-in", held, "", "signed in again")


def _beginnings() -> Iterator[Shown]:
    for path in ("/", "/tenants", "/models", "/models/new", "/nodes", "/playground", "/audit", "/operators"):
        yield Shown(path, note="nothing there yet", empty=True)


SHOWN: tuple[Shown, ...] = (
    *_reads(),
    *_writes(),
    *_conflicts(),
    *_answers(),
    *_states(),
    *_gates(),
    *_beginnings(),
)


def address(path: str) -> str:
    """With the prefix."""
    return f"{PREFIX}{'' if path == '/' else path}"
