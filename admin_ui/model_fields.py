"""Fields that the forms of models have, checked as the register checks them, so that all errors are seen at once."""

from admin_ui.forms import Form
from admin_ui.views.models import pools_of
from admin_ui.visit import Visit
from admin_ui.wording import plural_text
from gateway.errors import RequestError
from gateway.services.register.models import DTYPES
from gateway.services.register.names import checked_model_name

OWN_DTYPE = (("", "the node's best"), *((name, name) for name in DTYPES))
DTYPE_NAMES = tuple(name for name, _ in OWN_DTYPE)
MOST_TOKENS = 10_000_000
FIELDS = {"alias": "aliases", "name": "pool"}
"""Parameters that the register blames, and the fields of forms that they come from."""


def pool_choices(visit: Visit, *extra: str) -> list[tuple[str, str]]:
    """Pools of engine nodes, and what is to be said of each; `extra`: what else may be chosen."""
    upstreams = visit.services.feed.current.upstreams
    pools = {name: nodes for name, nodes in pools_of(visit).items() if name not in upstreams}
    found = {name: f"{name} ({plural_text(len(nodes), 'node')})" for name, nodes in pools.items()}
    for name in (*extra, *(() if found else ("default",))):
        found.setdefault(name, f"{name} (upstream servers)" if name in upstreams else f"{name} (no node now)")
    return sorted(found.items())


def read_aliases(form: Form) -> tuple[str, ...]:
    """Other names, one a line, each once; those that can be none are blamed together."""
    good: dict[str, None] = {}
    wrong = []
    for line in form.lines("aliases"):
        try:
            good[checked_model_name(line, "an alias")] = None
        except RequestError:
            wrong.append(line)
    if wrong:
        shown = ", ".join(repr(line[:60]) for line in wrong[:5])
        form.refuse("aliases", f"No name of a model: {shown}. Use letters, digits and ._:/@+-, at most 200.")
    return tuple(good)


def read_max_tokens(form: Form, limit: int | None) -> int | None:
    """Where inputs are cut; None: where the model itself does."""
    return form.whole("max_tokens", at_least=1, at_most=limit or MOST_TOKENS)
