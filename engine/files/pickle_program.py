"""What a pickle would build, worked out without running anything: an interpreter of the few steps that data takes.

A pickle is a program for a stack machine, which may call whatever it names. Here it can name only what the caller
allows, and gets the caller's own stand-in for it; plain containers, numbers and texts need no name. Every other step is
refused. Protocols 2 to 5 (PEP 307, PEP 3154).
"""

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


class PickleRefused(Exception):
    """The program names what is not allowed, or takes a step that data has no need of."""


@dataclass(frozen=True, slots=True)
class Made:
    """A stand-in for a function or class: `make` is what a call of it gives."""

    make: Callable[..., Any]


CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: Mapping[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
LITERALS = frozenset(
    {
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINSTRING", "SHORT_BINSTRING"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
    }
)
TUPLES: Mapping[str, int] = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def unpickle(program: bytes, known: Mapping[str, Any], persistent: Callable[[Any], Any]) -> Any:
    """What the program leaves on its stack. `known` has what it may name, by dotted name.

    `persistent` gives what a persistent id stands for. Raises PickleRefused; ValueError where it is no pickle.
    """
    machine = _Machine(known, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise ValueError(f"it is no pickle: {error}") from error
    raise ValueError("it is no pickle: it does not end")


class _Machine:
    def __init__(self, known: Mapping[str, Any], persistent: Callable[[Any], Any]) -> None:
        self._known = known
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []  # stacks below each mark
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        return self._stack.pop()

    def step(self, name: str, argument: Any) -> None:
        """One opcode, by pickletools' name."""
        if name in LITERALS:
            self._stack.append(argument)
        elif name in CONSTANTS:
            self._stack.append(CONSTANTS[name])
        elif name in EMPTY:
            self._stack.append(EMPTY[name]())
        elif name in TUPLES:
            count = TUPLES[name]
            self._stack[-count:] = [tuple(self._stack[-count:])]
        elif name in STEPS:
            STEPS[name](self, argument)
        elif name not in {"PROTO", "FRAME"}:
            raise PickleRefused(f"it takes the step {name}, which data has no need of")

    def name(self, dotted: str) -> None:
        if dotted not in self._known:
            raise PickleRefused(f"it names {dotted}, which is no tensor or plain container")
        self._stack.append(self._known[dotted])

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        self.name(f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else "something unreadable")

    def call(self) -> None:
        arguments, made = self.pop(), self.pop()
        if not isinstance(made, Made) or not isinstance(arguments, tuple):
            raise PickleRefused("it calls what is no function")
        self._stack.append(made.make(*arguments))

    def build(self) -> None:
        """Attributes of a dictionary, which say nothing of what is in it, are dropped."""
        self.pop()
        if not isinstance(self._stack[-1], dict):
            raise PickleRefused("it sets attributes of what is no dictionary")

    def mark(self) -> None:
        self._marked.append(self._stack)
        self._stack = []

    def marked(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items

    def tuple_(self) -> None:
        items = self.marked()
        self._stack.append(tuple(items))

    def memo(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def get(self, place: int) -> None:
        self._stack.append(self._memo[place])

    def append(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise PickleRefused("it appends to what is no list")
        self._stack[-1].extend(items)

    def put(self, items: list[Any]) -> None:
        # Keys are never hashed before they are known to be plain: a deep tuple's hash exhausts the stack.
        if not isinstance(self._stack[-1], dict) or not all(isinstance(key, str | int) for key in items[::2]):
            raise PickleRefused("it fills what is no dictionary of names")
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def stand_in(self) -> None:
        self._stack.append(self._persistent(self.pop()))

    def two(self) -> list[Any]:
        value, key = self.pop(), self.pop()
        return [key, value]


STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "GLOBAL": lambda machine, dotted: machine.name(dotted.replace(" ", ".")),
    "STACK_GLOBAL": lambda machine, _: machine.stack_name(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "MARK": lambda machine, _: machine.mark(),
    "TUPLE": lambda machine, _: machine.tuple_(),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.marked()),
    "SETITEM": lambda machine, _: machine.put(machine.two()),
    "SETITEMS": lambda machine, _: machine.put(machine.marked()),
    "BINPUT": lambda machine, place: machine.memo(place),
    "LONG_BINPUT": lambda machine, place: machine.memo(place),
    "MEMOIZE": lambda machine, _: machine.memo(None),
    "BINGET": lambda machine, place: machine.get(place),
    "LONG_BINGET": lambda machine, place: machine.get(place),
    "BINPERSID": lambda machine, _: machine.stand_in(),
}
