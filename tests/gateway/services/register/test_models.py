from dataclasses import fields

import pytest

from gateway.errors import Conflict, NotFound, RequestError
from gateway.services.register.models import ModelInfo, NewModel, add_model, find_model, list_models, remove_model

pytestmark = pytest.mark.anyio


async def test_a_model_is_found_by_its_id_and_by_every_alias(write, read) -> None:
    new = NewModel(
        id="org/model",
        source="/models/m",
        revision="abc",
        pool="l4",
        aliases=("m", "b"),
        dtype="float16",
        max_tokens=128,
        pinned=True,
        dimensions=384,
        input_limit=512,
    )
    added = await write(add_model, new)
    for name in ("org/model", "m", "b"):
        assert await read(find_model, name) == added
    assert await read(list_models) == [added]
    kept = {field.name: getattr(added, field.name) for field in fields(NewModel)}
    assert kept | {"aliases": new.aliases} == {field.name: getattr(new, field.name) for field in fields(NewModel)}


async def test_the_source_of_a_model_is_its_id_unless_said(write) -> None:
    assert (await write(add_model, NewModel(id="org/model"))).source == "org/model"


@pytest.mark.parametrize("taken", ["org/a", "alias-a"])
@pytest.mark.parametrize("as_alias", [False, True])
async def test_a_name_is_one_models_only_whether_id_or_alias(write, read, taken, as_alias) -> None:
    await write(add_model, NewModel(id="org/a", aliases=("alias-a",)))
    second = NewModel(id="org/b", aliases=("b", taken)) if as_alias else NewModel(id=taken)
    with pytest.raises(Conflict, match=f"The name '{taken}' belongs to the model 'org/a' already"):
        await write(add_model, second)
    assert len(await read(list_models)) == 1


async def test_removing_a_model_frees_all_of_its_names(write, read, events) -> None:
    await write(add_model, NewModel(id="org/a", aliases=("a",)))
    await write(remove_model, "a")
    assert await read(list_models) == []
    await write(add_model, NewModel(id="a", aliases=("org/a",)))
    [_, removed, _] = await events()
    assert (removed.action, removed.target, removed.before["aliases"], removed.after) == (
        "model.remove",
        "org/a",
        ["a"],
        None,
    )


@pytest.mark.parametrize("name", ["", "nothing", "\x00", "\ud800", "ORG/A"])
async def test_a_model_that_is_not_there_is_said_with_the_next_step(write, read, name) -> None:
    await write(add_model, NewModel(id="org/a"))
    with pytest.raises(NotFound, match=r"No model is called .*; see: shoal model list"):
        await read(find_model, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/../b",
        "ä",
        "a*",
        "a?",
        "a\n",
        "x" * 201,
        "<script>",
        "a:query",
        "a:document",
    ],
)
async def test_a_name_that_could_not_stand_in_a_url_or_pattern_is_refused(write, read, name) -> None:
    with pytest.raises(RequestError, match="can not be a model id"):
        await write(add_model, NewModel(id=name))
    with pytest.raises(RequestError, match="can not be an alias"):
        await write(add_model, NewModel(id="good", aliases=(name,)))
    assert await read(list_models) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"aliases": ("a", "a")}, "A name of the model 'org/m' is given twice"),
        ({"aliases": ("org/m",)}, "A name of the model 'org/m' is given twice"),
        ({"dtype": "int4"}, "'int4' is no number format of a model; use one of float32, bfloat16, float16"),
        ({"max_tokens": 0}, "0 tokens per input can not be kept; use 1 or more"),
        (
            {"max_tokens": 513, "input_limit": 512},
            "513 tokens per input can not be kept; use 1 to 512, which is what the model takes",
        ),
        ({"source": "  "}, "The model's source '  ' is empty, too long or has control characters"),
        ({"source": "http://169.254.169.254/latest/meta-data"}, "The model's source is a URL, and nodes fetch from"),
        ({"source": "https://huggingface.co/org/m"}, "The model's source is a URL"),
        ({"source": "file:///etc"}, "The model's source is a URL"),
        ({"revision": "a\nb"}, "The model's revision"),
        ({"revision": "../../refs"}, "'../../refs' is no revision; give a commit, a tag or a branch"),
        ({"revision": "/etc/passwd"}, "'/etc/passwd' is no revision"),
        ({"pool": ""}, "The pool name has 0 characters"),
    ],
)
async def test_what_can_not_be_served_is_refused_and_nothing_changes(write, read, options, said) -> None:
    with pytest.raises(RequestError, match=said):
        await write(add_model, NewModel(id="org/m", **options))
    assert await read(list_models) == []


@pytest.mark.parametrize("field", ["created_at", "tenant_id", "is_admin", "secret_sha256"])
def test_nothing_can_be_set_that_an_operator_may_not_say(field) -> None:
    with pytest.raises(TypeError):
        NewModel(id="org/m", **{field: "x"})


def test_what_is_told_of_a_model_has_all_that_was_said() -> None:
    assert {field.name for field in fields(NewModel)} <= {field.name for field in fields(ModelInfo)}
