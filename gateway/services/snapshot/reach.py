"""Which models grants let somebody use, and under which names: the one rule for requests and for those who look."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gateway.services.register.grants import GrantInfo
from gateway.services.snapshot.entries import ModelEntry, TenantEntry
from policies.allowlist import Grant, permitted

Models = Mapping[str, ModelEntry]
"""By id and by alias."""


def models_within(models: Models, tenant: Sequence[Grant], key: Sequence[Grant]) -> Iterator[ModelEntry]:
    """Every model that a tenant's grants and those of a key allow together, once."""
    for name, model in models.items():
        if name == model.id and permitted(tenant, key, model.names):
            yield model


def models_granted(models: Models, tenant: Sequence[GrantInfo], key: Sequence[GrantInfo] = ()) -> Sequence[ModelEntry]:
    """The same by grants as the register has them, or as somebody is about to set them; by id."""
    found = models_within(models, _grants(tenant), _grants(key))
    return sorted(found, key=lambda model: model.id)


def tenants_allowed(tenants: Iterable[TenantEntry], names: Sequence[str]) -> Iterator[TenantEntry]:
    """The tenants whose grants let them use the model that bears these names."""
    return (tenant for tenant in tenants if permitted(tenant.grants, (), names))


def names_for(tenant: TenantEntry, model: ModelEntry) -> Iterator[str]:
    """What the tenant may call the model: everybody's names for it, unless they mean another here, and its own."""
    for name in dict.fromkeys((*model.names, *tenant.aliases)):
        if tenant.aliases.get(name, model.id) == model.id:
            yield name


def _grants(grants: Sequence[GrantInfo]) -> list[Grant]:
    return [Grant(grant.pattern, grant.deny) for grant in grants]
