import pytest

from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.adapters import list_adapters
from gateway.services.register.model_changes import ModelSettings, update_model
from gateway.services.register.model_facts import ModelFacts
from gateway.services.register.models import NewModel, add_model, find_model

pytestmark = pytest.mark.anyio

AS_IT_WAS = ModelSettings(pool="default", aliases=("a", "b"), dtype=None, max_tokens=None)
OTHER = ModelSettings(pool="l4", aliases=("b", "c"), dtype="float16", max_tokens=64)


@pytest.fixture
async def model(write):
    return await write(add_model, NewModel(id="org/m", aliases=("a", "b"), input_limit=512))


async def test_a_model_changes_its_place_and_names_with_one_event(write, read, events, model) -> None:
    changed = await write(update_model, "org/m", OTHER, version=model.version)
    assert (changed.pool, changed.aliases, changed.dtype, changed.max_tokens) == ("l4", ("b", "c"), "float16", 64)
    assert changed.version == model.version + 1
    assert await read(find_model, "c") == changed
    with pytest.raises(NotFound):
        await read(find_model, "a")
    event = (await events())[0]
    assert (event.action, event.target) == ("model.update", "org/m")
    assert event.before == {"pool": "default", "aliases": ["a", "b"], "dtype": None, "max_tokens": None}
    assert event.after == {"pool": "l4", "aliases": ["b", "c"], "dtype": "float16", "max_tokens": 64}


async def test_the_same_again_changes_nothing(write, events, model) -> None:
    assert (await write(update_model, "a", AS_IT_WAS)).version == model.version
    assert (await events())[0].action == "model.add"


async def test_who_saw_an_older_version_changes_nothing(write, read, model) -> None:
    await write(update_model, "org/m", OTHER, version=model.version)
    with pytest.raises(Conflict) as error:
        await write(update_model, "org/m", AS_IT_WAS, version=model.version)
    assert error.value.code == "version_conflict"
    assert (await read(find_model, "org/m")).pool == "l4"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"pool": "\u200b"}, "name"),
        ({"aliases": ("no way",)}, "id"),
        ({"aliases": ("x", "x")}, "alias"),
        ({"dtype": "int3"}, "dtype"),
        ({"max_tokens": 513}, "max_tokens"),
    ],
)
async def test_what_could_not_be_registered_is_refused(write, read, model, wrong, param) -> None:
    settings = {"pool": "l4", "aliases": (), "dtype": None, "max_tokens": None} | wrong
    with pytest.raises(RequestError) as error:
        await write(update_model, "org/m", ModelSettings(**settings))
    assert error.value.param == param
    assert await read(find_model, "org/m") == model


async def test_a_name_of_another_model_is_not_taken(write, read, model) -> None:
    await write(add_model, NewModel(id="other", aliases=("o",)))
    for name in ("other", "o"):
        with pytest.raises(Conflict, match="belongs to the model 'other'"):
            await write(update_model, "org/m", ModelSettings(pool="x", aliases=(name,), dtype=None, max_tokens=None))
    assert await read(find_model, "org/m") == model


async def test_adapters_follow_their_model_and_are_not_moved_alone(write, read, model) -> None:
    await write(
        add_model,
        NewModel(id="org/m:law", source="org/m", aliases=("law",), facts=ModelFacts(base="org/m", adapter="org/law")),
    )
    adapters = await read(list_adapters, "org/m")
    assert [(one.id, one.aliases) for one in adapters] == [("org/m:law", ("law",))]
    assert await read(list_adapters, "org/m:law") == []
    await write(update_model, "org/m", OTHER)
    moved = await read(find_model, "law")
    assert (moved.pool, moved.dtype, moved.max_tokens, moved.aliases) == ("l4", "float16", 64, ("law",))
    with pytest.raises(RequestError, match="is an adapter"):
        await write(update_model, "law", AS_IT_WAS)
