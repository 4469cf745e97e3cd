import pytest

from gateway.errors import NotFound, RequestError
from gateway.services.register.aliases import list_aliases, remove_alias, set_alias
from gateway.services.register.models import NewModel, add_model, remove_model
from gateway.services.register.tenants import create_tenant, find_tenant

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def register(write):
    await write(create_tenant, "acme")
    await write(create_tenant, "other")
    await write(add_model, NewModel(id="org/m", aliases=("m",)))
    await write(add_model, NewModel(id="org/n"))


async def names(read, tenant="acme"):
    return {row.alias: row.model_id for row in await read(list_aliases, tenant)}


async def test_an_alias_is_one_tenants_and_means_a_models_id_whatever_it_was_named_by(write, read) -> None:
    await write(set_alias, "acme", "mine", "m")
    assert await names(read) == {"mine": "org/m"}
    assert await names(read, "other") == {}
    await write(set_alias, "other", "mine", "org/n")
    assert await names(read) == {"mine": "org/m"}


async def test_the_same_alias_again_takes_the_new_meaning_and_counts_once(write, read, events) -> None:
    for model in ("org/m", "m", "org/n"):
        await write(set_alias, "acme", "mine", model)
    assert await names(read) == {"mine": "org/n"}
    assert (await read(find_tenant, "acme")).version == 3
    assert [(event.before, event.after) for event in await events() if event.action == "alias.set"] == [
        ({"alias": "mine", "model": "org/m"}, {"alias": "mine", "model": "org/n"}),
        (None, {"alias": "mine", "model": "org/m"}),
    ]


async def test_everybodys_names_may_be_given_another_meaning(write, read) -> None:
    await write(set_alias, "acme", "m", "org/n")
    await write(set_alias, "acme", "org/n", "m")
    assert await names(read) == {"m": "org/n", "org/n": "org/m"}  # the register's names, not the tenant's own


async def test_an_alias_that_goes_is_gone_for_its_tenant_alone(write, read) -> None:
    for tenant in ("acme", "other"):
        await write(set_alias, tenant, "mine", "m")
    await write(remove_alias, "acme", "mine")
    assert (await names(read), await names(read, "other")) == ({}, {"mine": "org/m"})
    with pytest.raises(NotFound, match="The tenant 'acme' has no alias 'mine'; see: shoal alias list"):
        await write(remove_alias, "acme", "mine")


async def test_a_model_that_goes_takes_its_aliases_along_and_each_tenants_log_says_so(write, read, events) -> None:
    for tenant in ("acme", "other"):
        await write(set_alias, tenant, "mine", "m")
    await write(set_alias, "acme", "stays", "org/n")
    await write(remove_model, "m")
    assert (await names(read), await names(read, "other")) == ({"stays": "org/n"}, {})
    tenants = {(await read(find_tenant, name)).id for name in ("acme", "other")}
    assert {event.tenant_id for event in await events() if event.action == "alias.remove"} == tenants
    assert [(await read(find_tenant, name)).version for name in ("acme", "other")] == [4, 3]


@pytest.mark.parametrize(
    "alias", ["", "a b", "ä", "x:query", "x:document", "/x", "a//b", "a\u202eb", "x" * 201, "*", "a\n"]
)
async def test_what_no_model_may_be_called_is_no_alias(write, read, alias) -> None:
    with pytest.raises(RequestError, match="can not be an alias"):
        await write(set_alias, "acme", alias, "m")
    assert await names(read) == {}


@pytest.mark.parametrize("model", ["org/unheard-of", "", "\x00", "mine"])
async def test_an_alias_of_nothing_is_refused(write, read, model) -> None:
    await write(set_alias, "acme", "mine", "m")
    with pytest.raises(NotFound, match="No model is called"):
        await write(set_alias, "acme", "other", model)
    assert await names(read) == {"mine": "org/m"}
