"""Which registered model a request means, and whether this key may use it. Unknown and forbidden look alike."""

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from gateway.api.input_types import of_suffix
from gateway.call import Call
from gateway.engine_client import InputType
from gateway.errors import ModelNotFound, RequestError
from gateway.services.snapshot.entries import KeyEntry, ModelEntry, PolicySnapshot, TenantEntry
from gateway.services.snapshot.reach import models_within, names_for
from policies.allowlist import permitted

COMPARED_NAMES = 100
"""Names that are searched for one like the unknown name: comparing is slow, and anybody with a key can ask for it."""
LONGEST_NAME = 200
"""Characters of an unknown name that are compared and repeated."""


class Chosen(NamedTuple):
    """The model of a request."""

    model: ModelEntry
    name: str
    """What the caller says for it, and the reply must echo."""
    input_type: InputType | None = None
    """What the name says of the texts."""


def choose_model(call: Call, name: str | None) -> Chosen:
    """The model that a name means, the name of no model being one's with `:query` or `:document`. Noted on the call.

    A name in the path goes before the given one. Raises RequestError if there is none, ModelNotFound if the key may not
    use it.
    """
    name = call.path_model or name
    if not name:
        raise RequestError("you must provide a model parameter", param="model")
    snapshot, key = call.policies, key_of(call)
    stem, input_type = of_suffix(name)
    if input_type is not None and _usable(snapshot, key, name) is None:
        call.model = _usable(snapshot, key, stem)
    if call.model is None:
        call.model, input_type = find_model(snapshot, key, name), None
    return Chosen(call.model, name, input_type)


def find_model(snapshot: PolicySnapshot, key: KeyEntry, name: str) -> ModelEntry:
    """The model that the key's tenant means by this name, if the key may use it.

    A tenant's own aliases come first. They are not among the names that patterns are held against: whoever may not use
    a model does not get to it by calling it something else.
    """
    model = _usable(snapshot, key, name)
    if model is None:
        name = name[:LONGEST_NAME]
        raise ModelNotFound(name, _most_similar(name, key.tenant, usable_models(snapshot, key)))
    return model


def usable_models(snapshot: PolicySnapshot, key: KeyEntry) -> Iterator[ModelEntry]:
    """Every model that the key may use, once."""
    return models_within(snapshot.models, key.tenant.grants, key.grants)


def key_of(call: Call) -> KeyEntry:
    """The caller's key, on routes that ask for one."""
    if call.key is None:
        raise RuntimeError(f"the route {call.endpoint} is open and has no caller")
    return call.key


def _usable(snapshot: PolicySnapshot, key: KeyEntry, name: str) -> ModelEntry | None:
    model = snapshot.models.get(key.tenant.aliases.get(name, name))
    return model if model is not None and permitted(key.tenant.grants, key.grants, model.names) else None


def _most_similar(name: str, tenant: TenantEntry, models: Iterator[ModelEntry]) -> str | None:
    names = islice((known for model in models for known in names_for(tenant, model)), COMPARED_NAMES)
    return next(iter(get_close_matches(name, names, n=1)), None)
