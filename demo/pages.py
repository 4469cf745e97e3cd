"""Every page of the console: by its own table of routes, so that none can be forgotten, and what shows after a form."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from playwright.sync_api import Page

from admin_ui.app import PAGES
from admin_ui.navigation import PREFIX
from benchmarks.served import starter_folder
from demo.customers import PASSWORD

NO_PAGES = frozenset(
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
        "/usage/export",
        "/tenants/{tenant:str}/usage/export",
        "/sign-in/oidc",
        "/sign-in/oidc/done",
    }
)
"""Parts of pages, files, and ways to elsewhere."""
Deed = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """A page as it is to be seen."""

    name: str
    address: str
    """Below the console's prefix; names in braces are parameters of the place."""
    deed: Deed | None = None
    """What is done there first."""
    operator: str = "ada"


def routes() -> Sequence[str]:
    """Of everything that a browser can GET."""
    return sorted({path for handler in PAGES if "GET" in handler.http_methods for path in handler.paths})


def shots() -> Sequence[Shot]:
    """All of them."""
    plain = [Shot(name_of(route), route) for route in routes() if route not in NO_PAGES]
    return (*plain, *AFTER_DEEDS)


def name_of(route: str) -> str:
    """What the picture of a route is called."""
    return re.sub(r"\{(\w+):\w+\}", r"\1", route).strip("/").replace("/", "-") or "overview"


def filled(address: str, parameters: Mapping[str, str]) -> str:
    """A route or an address with values in the place of its parameters."""
    return PREFIX + re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: parameters[found[1]], address)


def _sent(button: str, **typed: str) -> Deed:
    """Fill the fields of these names, and press a button."""

    def deed(page: Page) -> None:
        for name, text in typed.items():
            page.locator(f"[name={name}]").fill(text)
        page.get_by_role("button", name=button, exact=True).click()

    return deed


def _look_at(source: str, *, then: str) -> Deed:
    def deed(page: Page) -> None:
        page.get_by_label("Hub id or folder").fill(source)
        page.get_by_role("button", name="Look at it").click()
        page.get_by_text(then).first.wait_for()

    return deed


def _ask(model: str, **typed: str) -> Deed:
    def deed(page: Page) -> None:
        page.get_by_label("Model", exact=True).select_option(model)
        _sent("Ask", **typed)(page)

    return deed


def _change_in_two_tabs(page: Page) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    weight = other.get_by_label("Weight")
    weight.fill("4" if weight.input_value() != "4" else "3")
    other.get_by_role("button", name="Save").click()
    other.close()
    page.get_by_label("Weight").fill("2.5")
    page.get_by_role("button", name="Save").click()


def _lose_the_session(page: Page) -> None:
    page.get_by_label("Name").fill("Saltworks")
    page.context.clear_cookies(name="shoal_console")
    page.get_by_role("button", name="Make the tenant").click()


def _come_back(page: Page) -> None:
    _lose_the_session(page)
    page.get_by_label("Operator").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def _press(role: str, name: str) -> Deed:
    def deed(page: Page) -> None:
        page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]

    return deed


def _open_menu(page: Page) -> None:
    page.locator("details.menu > summary").first.click()


def _open_models(page: Page) -> None:
    page.locator("details.models > summary").first.click()


SENTENCES = "How do I get a refund?\nI want my money back.\nWhen does the ferry to Turin leave?\nFerries leave at noon."
AFTER_DEEDS = (
    Shot("overview-node-opened", "/", _open_models),
    Shot("overview-menu", "/", _open_menu),
    Shot("overview-of-a-viewer", "/", operator="vera"),
    Shot("tenant-of-its-own-admin", "/", operator="noor"),
    Shot("sign-in-refused", "/sign-in", _sent("Sign in", name="ada", password="not the one")),  # noqa: S106
    Shot("session-ended", "/tenants/new", _lose_the_session),
    Shot("session-ended-go-on", "/tenants/new", _come_back),
    Shot("new-tenant-wrong", "/tenants/new", _sent("Make the tenant", name="", allow="a b\n[x", weight="heavy")),
    Shot("tenant-conflict", "/tenants/{tenant}/settings", _change_in_two_tabs),
    Shot("tenant-suspended", "/tenants/{suspended}"),
    Shot("tenant-dialog", "/tenants/{tenant}", _press("link", "Suspend")),
    Shot("limits-wrong", "/tenants/{tenant}/limits", _sent("Save", requests="-4", tokens="many", concurrency="1e9")),
    Shot("key-made", "/tenants/{tenant}/keys/new", _sent("Make the key", name="mobile-app", expires="90d")),
    Shot("key-rotated", "/tenants/{tenant}/keys/{key}/rotation", _press("button", "Make the new key")),
    Shot("key-revocation-dialog", "/tenants/{tenant}/keys/{key}", _press("link", "Revoke")),
    Shot("usage-by-model", "/tenants/{tenant}/usage?by=model"),
    Shot("usage-by-key", "/tenants/{tenant}/usage?by=key"),
    Shot("model-found", "/models/new", _look_at(str(starter_folder()), then="Tokens per input")),
    Shot("model-not-found", "/models/new", _look_at("/nowhere/at/all", then="nothing was registered")),
    Shot("model-of-an-upstream", "/models/new?pool=chat"),
    Shot("model-that-failed", "/models/at/MoritzLaurer/deberta-v3-base-zeroshot"),
    Shot("node-away", "/nodes/at/{away}"),
    Shot("node-of-an-upstream", "/nodes/at/{upstream_node}"),
    Shot(
        "playground-embed",
        "/tenants/{tenant}/playground",
        _ask("BAAI/bge-m3", texts=SENTENCES),
    ),
    Shot(
        "playground-rerank",
        "/tenants/{tenant}/playground?task=rerank",
        _ask("BAAI/bge-reranker-v2-m3", query="When does the ferry leave?", texts=SENTENCES),
    ),
    Shot(
        "playground-classify",
        "/tenants/{tenant}/playground?task=classify",
        _ask(
            "cardiffnlp/twitter-roberta-sentiment",
            texts="My parcel is late and the box is broken.\nI love it, thank you!",
            labels="complaint\nquestion\npraise",
        ),
    ),
    Shot(
        "playground-extract",
        "/tenants/{tenant}/playground?task=extract",
        _ask(
            "urchade/gliner_multi-v2.1",
            texts="Ada Lovelace met Charles Babbage in London in June 1833, years before the Analytical Engine.",
            labels="person\nplace\ndate\nmachine",
        ),
    ),
    Shot("audit-filtered-to-nothing", "/audit?actor=nobody"),
    Shot("models-searched", "/models?q=rerank"),
    Shot("token-made", "/operators/at/{operator}/tokens/new", _sent("Make the token", name="backup")),
    Shot("password-shown", "/operators/at/lena/password", _press("button", "Make a new password")),
)
OF_AN_EMPTY_FLEET = tuple(
    Shot(f"empty-{name_of(route)}", route)
    for route in ("/", "/tenants", "/models", "/nodes", "/playground", "/audit", "/operators")
)
