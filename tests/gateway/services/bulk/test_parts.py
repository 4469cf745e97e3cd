"""The parts of bulk work that need no server: reading lines, grouping requests, sharing tokens, breathing."""

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine_client import EmbedReply, EmbedRequest, ModelRef
from gateway.errors import CostTooHigh, EngineFailed, EngineOverloaded, QuotaExceeded, QuotaSpent, Unavailable
from gateway.services.bulk import breathing
from gateway.services.bulk.allowance import Allowance, Allowances
from gateway.services.bulk.asking import TRIES, waiting
from gateway.services.bulk.breathing import TURN, Breather
from gateway.services.bulk.grouping import GROUP_COST, GROUP_INPUTS, Item, apart, groups, together
from gateway.services.bulk.held import Place
from gateway.services.bulk.reading import LineTooLong, stretches
from gateway.services.bulk.wire import Work
from gateway.services.snapshot.entries import ModelEntry

BEGINNING = Place()
MODEL = ModelEntry("m", (), "s", None, "default", None, None, False, 0, 4, 512)


async def pieces(content, sizes):
    while content:
        size = next(sizes)
        yield content[:size]
        content = content[size:]


def read(content, start=BEGINNING, *, seed=0, longest=10**6):
    sizes = iter(lambda: random.Random(seed).choice((1, 2, 3, 7, 4096)), None)

    async def collect():
        found = [one async for one in stretches(pieces(content[start.position :], sizes), start, longest)]
        return [line for one in found for line in one.lines], [one.end for one in found]

    return asyncio.run(collect())


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20), max_size=20), st.booleans()
)
def test_lines_are_those_of_the_file_however_it_comes(texts, ends):
    content = "\n".join(texts).encode() + (b"\n" if ends and texts else b"")
    lines, _ = read(content)
    expected = [(number, raw.strip()) for number, raw in enumerate(content.split(b"\n"), 1)]
    expected = [(number, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw) for number, raw in expected]
    assert [tuple(line) for line in lines] == [(number, raw) for number, raw in expected if raw]


def test_reading_goes_on_at_every_place_that_it_named():
    content = b"".join(b'{"n": %d}\r\n%b' % (number, b"\n" * (number % 3)) for number in range(1000))
    whole, ends = read(content)
    assert [line.content for line in whole] == [b'{"n": %d}' % number for number in range(1000)]
    assert len(ends) == 4
    for end in ends:
        rest, _ = read(content, end)
        assert rest == [line for line in whole if line.number > end.line]


def test_a_line_without_an_end_is_not_kept_in_memory():
    with pytest.raises(LineTooLong):
        read(b"x" * 10_001, longest=10_000)


def test_a_file_of_nothing_but_line_ends_leaves_the_loop_to_others():
    async def play():
        async def content():
            yield b"\n" * 200_000

        others, reading = 0, asyncio.create_task(anext(stretches(content(), BEGINNING, 100), None))
        while not reading.done():
            await asyncio.sleep(0)
            others += 1
        assert reading.result() is None
        return others

    assert asyncio.run(play()) > 1000


def item(number, texts, cost=10, model=MODEL, **options):
    request = EmbedRequest(ModelRef(model.id, "s"), texts, **options)
    return Item(number, f"r{number}", b"", Work(model, model.id, request, cost, lambda reply: b""))


def answer(request):
    """Each text's own length, as vectors of two bytes."""
    return EmbedReply(
        2,
        b"".join(bytes((len(text), 7)) for text in request.inputs),
        [len(text) for text in request.inputs],
        [index for index, text in enumerate(request.inputs) if len(text) > 5],
        None,
        sparse=list(request.inputs),
        multi=None,
    )


@given(st.lists(st.tuples(st.lists(st.text(max_size=9), min_size=1, max_size=5), st.integers(0, 2)), max_size=60))
def test_what_is_asked_together_is_what_would_be_asked_alone(drawn):
    items = [item(number, texts, dimensions=kind or None) for number, (texts, kind) in enumerate(drawn)]
    seen = []
    for group in groups(items):
        assert len({one.work.request.dimensions for one in group}) == 1
        assert [one.number for one in group] == sorted(one.number for one in group)
        for one, reply in zip(group, apart(group, answer(together(group))), strict=True):
            assert reply == answer(one.work.request)
            seen.append(one.number)
    assert sorted(seen) == list(range(len(items)))


def test_groups_are_bounded_and_what_a_call_may_change_goes_alone():
    sizes = [len(group) for group in groups([item(number, ["x"]) for number in range(300)])]
    assert sizes == [GROUP_INPUTS, GROUP_INPUTS, 300 - 2 * GROUP_INPUTS]
    costly = [len(group) for group in groups([item(number, ["x"], cost=GROUP_COST // 3) for number in range(7)])]
    assert costly == [3, 3, 1]
    assert [len(group) for group in groups([item(0, ["x"] * 1000), item(1, ["y"])])] == [1, 1]
    assert [len(group) for group in groups([item(n, ["x"], output_dtype="int8") for n in range(3)])] == [1, 1, 1]
    other = replace(MODEL, id="n")
    mixed = [item(0, ["x"]), item(1, ["x"], model=other), item(2, ["x"], input_type="query"), item(3, ["x"])]
    assert [[one.number for one in group] for group in groups(mixed)] == [[0, 3], [1], [2]]


def test_tokens_are_shared_in_the_order_of_asking_and_none_is_lost():
    async def play():
        allowance, order, most, held = Allowance(100), [], 0, 0

        async def take(name, tokens, seconds):
            nonlocal held, most
            async with allowance.taken(tokens):
                order.append(name)
                held += min(tokens, 100)
                most = max(most, held)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    held -= min(tokens, 100)

        first = asyncio.create_task(take("first", 90, 10))
        await asyncio.sleep(0)
        others = [asyncio.create_task(take(name, tokens, 0)) for name, tokens in (("large", 500), ("a", 5), ("b", 5))]
        await asyncio.sleep(0)
        assert order == ["first"]  # nobody overtakes the large one, which would wait for ever
        gone = asyncio.create_task(take("gone", 50, 0))
        await asyncio.sleep(0)
        gone.cancel()
        first.cancel()
        await asyncio.gather(*others)
        assert order == ["first", "large", "a", "b"]
        assert most <= 100
        async with asyncio.timeout(1), allowance.taken(100):
            pass

    asyncio.run(play())


def test_what_waits_at_one_pool_holds_nobody_up_at_another():
    async def play():
        allowances = Allowances(100)
        async with allowances.of("away").taken(100), asyncio.timeout(1):
            async with allowances.of("here").taken(100):
                pass
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01), allowances.of("away").taken(1):
                    pass

    asyncio.run(play())


def test_work_takes_at_most_half_of_the_loop(monkeypatch):
    now, slept = [0.0], []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(breathing, "asyncio", SimpleNamespace(sleep=sleep))

    async def work():
        breather = Breather(lambda: now[0])
        for _ in range(1000):
            now[0] += 0.0003
            await breather.breathe()

    asyncio.run(work())
    assert sum(slept) >= 0.99 * 0.3
    assert max(slept) < 2 * TURN


def test_what_is_waited_for_and_what_is_not():
    for error in (QuotaExceeded("q"), QuotaSpent("q"), EngineOverloaded("o"), Unavailable("u")):
        assert all(waiting(error, tries) is not None for tries in range(1, 1000))
    assert waiting(QuotaExceeded("q", retry_after=0.3), 1) == 0.3
    assert 12.0 <= waiting(Unavailable("u", retry_after=12.0), 1) <= 30.0
    for error in (EngineFailed("e"), Unavailable("slow", code="engine_timeout")):
        assert [waiting(error, tries) is not None for tries in range(1, 6)] == [True] * (TRIES - 1) + [False] * 2
    assert waiting(CostTooHigh("c"), 1) is None
