from gateway.services.register.grants import GrantInfo
from gateway.services.snapshot.entries import ModelEntry
from gateway.services.snapshot.reach import models_granted


def entry(id_: str, *aliases: str) -> ModelEntry:
    return ModelEntry(id_, aliases, id_, None, "default", None, None, False, 0, 384, 512)


def models(*entries: ModelEntry) -> dict[str, ModelEntry]:
    return {name: one for one in entries for name in one.names}


def grant(pattern: str, *, deny: bool = False, key: str | None = None) -> GrantInfo:
    return GrantInfo("tn_1", key, pattern, deny)


ALL = models(entry("b/two", "second"), entry("a/one"), entry("a/secret"))


def test_models_are_matched_by_id_or_alias_once_and_in_order() -> None:
    assert [model.id for model in models_granted(ALL, [grant("*")])] == ["a/one", "a/secret", "b/two"]
    assert [model.id for model in models_granted(ALL, [grant("second"), grant("b/*")])] == ["b/two"]


def test_nothing_is_allowed_until_something_allows_it_and_deny_wins() -> None:
    assert models_granted(ALL, []) == []
    assert [model.id for model in models_granted(ALL, [grant("a/*"), grant("a/s*", deny=True)])] == ["a/one"]


def test_a_key_narrows_and_never_widens() -> None:
    assert [model.id for model in models_granted(ALL, [grant("a/*")], [grant("*", key="k")])] == ["a/one", "a/secret"]
    only_denies = [grant("a/secret", deny=True, key="k")]
    assert [model.id for model in models_granted(ALL, [grant("a/*")], only_denies)] == ["a/one"]
