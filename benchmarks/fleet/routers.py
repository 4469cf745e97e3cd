"""Ways to choose a node, each with what one gateway knows: Shoal's and those that it is compared with."""

import random
from bisect import bisect, insort
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from typing import Protocol

import numpy as np

from policies.fleet import Fleet, NodeFacts
from policies.routing import LOAD_BOUND, choose_node

POINTS = 128
"""Of each node on the ring of consistent hashing."""


class Router(Protocol):
    """What one gateway knows of the nodes, and which one it asks."""

    def learn(self, facts: NodeFacts, /) -> None:
        """A node said how it is."""

    def judge(self, url: str, healthy: bool, /) -> None:
        """A node may be asked, or not."""

    def choose(self, model: str, now: float, exclude: Collection[str], /) -> str | None:
        """The node for a request."""

    def begin(self, url: str, model: str, now: float, /) -> None:
        """A request goes there."""

    def end(self, url: str, served: str | None, /) -> None:
        """It is over; the model that answered it."""


class Shoal:
    """`policies.routing.choose_node`."""

    def __init__(self) -> None:
        self.fleet = Fleet()

    def learn(self, facts: NodeFacts, /) -> None:
        """Take in a status."""
        self.fleet.update(facts)

    def judge(self, url: str, healthy: bool, /) -> None:
        """Ask it, or not."""
        self.fleet.set_healthy(url, healthy)

    def choose(self, model: str, now: float, exclude: Collection[str], /) -> str | None:
        """By the rule of the class."""
        choice = choose_node(self.fleet, model, now=now, exclude=exclude)
        return None if choice is None else choice.url

    def begin(self, url: str, model: str, now: float, /) -> None:
        """Count it."""
        self.fleet.begin(url, model, now)

    def end(self, url: str, served: str | None, /) -> None:
        """Count it."""
        self.fleet.end(url, served)


class Plain:
    """What the others have in common: they know who is there, and look at no model's whereabouts."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.healthy: dict[str, int] = {}
        """With the place in `urls`."""
        self.urls: list[str] = []

    def learn(self, facts: NodeFacts, /) -> None:
        """Take in a status."""
        if facts.url not in self.healthy:
            self.judge(facts.url, True)

    def judge(self, url: str, healthy: bool, /) -> None:
        """Ask it, or not."""
        if healthy and url not in self.healthy:
            self.healthy[url] = len(self.urls)
            self.urls.append(url)
        elif not healthy and url in self.healthy:
            place, last = self.healthy.pop(url), self.urls.pop()
            if last != url:
                self.urls[place], self.healthy[last] = last, place

    def begin(self, _url: str, _model: str, _now: float, /) -> None:
        """It does not matter."""

    def end(self, _url: str, _served: str | None, /) -> None:
        """It does not matter."""


class Random(Plain):
    """Any node."""

    def choose(self, _model: str, _now: float, exclude: Collection[str], /) -> str | None:
        """By the rule of the class."""
        while True:
            url = self.source.choice(self.urls)
            if url not in exclude:
                return url


class RoundRobin(Plain):
    """The next node; every gateway begins elsewhere."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._next = self.source.randrange(1 << 20)

    def choose(self, _model: str, _now: float, exclude: Collection[str], /) -> str | None:
        """By the rule of the class."""
        while True:
            self._next += 1
            url = self.urls[self._next % len(self.urls)]
            if url not in exclude:
                return url


class LeastLoaded(Plain):
    """The node with the least to do, by what it said last and what this gateway has sent since, as Shoal counts it."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._fleet = Fleet()
        self._places: dict[str, int] = {}
        self._all: list[str] = []
        self._loads = np.zeros(0)

    def learn(self, facts: NodeFacts, /) -> None:
        """Take in a status."""
        self._fleet.update(facts)
        if facts.url not in self._places:
            self._places[facts.url] = len(self._all)
            self._all.append(facts.url)
            self._loads = np.append(self._loads, 0.0)
        self._note(facts.url)

    def judge(self, url: str, healthy: bool, /) -> None:
        """Ask it, or not."""
        self._fleet.set_healthy(url, healthy)
        self._note(url)

    def choose(self, _model: str, _now: float, exclude: Collection[str], /) -> str | None:
        """By the rule of the class."""
        loads = self._loads
        for url in exclude:
            loads = loads.copy()
            loads[self._places[url]] = np.inf
        least = np.flatnonzero(loads == loads.min())  # one of those alike, so that gateways do not all take the first
        return self._all[int(least[self.source.randrange(len(least))])]

    def begin(self, url: str, model: str, now: float, /) -> None:
        """Count it."""
        self._fleet.begin(url, model, now)
        self._note(url)

    def end(self, url: str, served: str | None, /) -> None:
        """Count it."""
        self._fleet.end(url, served)
        self._note(url)

    def _note(self, url: str) -> None:
        node = self._fleet.nodes[url]
        self._loads[self._places[url]] = node.load if node.healthy else np.inf


class ConsistentHashing(Plain):
    """The next node on a ring from the model's point, whatever it has to do."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._ring: list[tuple[int, str]] = []

    def judge(self, url: str, healthy: bool, /) -> None:
        """Ask it, or not."""
        points = [(_point(f"{url} {number}"), url) for number in range(POINTS)]
        if healthy and url not in self.healthy:
            for point in points:
                insort(self._ring, point)
        elif not healthy and url in self.healthy:
            for point in points:
                del self._ring[bisect(self._ring, point) - 1]
        super().judge(url, healthy)

    def choose(self, model: str, _now: float, exclude: Collection[str], /) -> str | None:
        """By the rule of the class."""
        place = bisect(self._ring, (_point(model), ""))
        while (url := self._ring[place % len(self._ring)][1]) in exclude or self.is_full(url):
            place += 1
        return url

    def is_full(self, _url: str, /) -> bool:
        """Nobody is."""
        return False


class BoundedHashing(ConsistentHashing):
    """The same ring; a node to which this gateway has sent `LOAD_BOUND` times the mean is passed over (CHWBL)."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._sent: dict[str, int] = {}
        self._all = 0

    def begin(self, url: str, _model: str, _now: float, /) -> None:
        """Count it."""
        self._sent[url] = self._sent.get(url, 0) + 1
        self._all += 1

    def end(self, url: str, _served: str | None, /) -> None:
        """Count it."""
        self._sent[url] -= 1
        self._all -= 1

    def is_full(self, url: str, /) -> bool:
        """Whether it has its share."""
        return self._sent.get(url, 0) + 1 > LOAD_BOUND * (self._all + 1) / len(self.healthy) + 1


def _point(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())


ROUTERS: Mapping[str, Callable[[int], Router]] = {
    "Shoal": lambda _: Shoal(),
    "bounded consistent hashing": BoundedHashing,
    "consistent hashing": ConsistentHashing,
    "least loaded": LeastLoaded,
    "random": Random,
    "round robin": RoundRobin,
}
"""Each makes one for a gateway from a seed."""
