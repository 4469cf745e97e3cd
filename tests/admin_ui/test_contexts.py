"""Templates and dataclasses agree: every field is shown somewhere, and nothing else is asked for.

A small typing of Jinja: from the dataclass that a template's `page` or `part` is, through loops, includes and the calls
of macros, to every attribute that is read.
"""

import importlib
import pkgutil
import types
import typing
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from jinja2 import nodes

from admin_ui import contexts
from admin_ui.contexts.frame import Shell
from admin_ui.rendering import HERE, environment

ENVIRONMENT = environment(lambda: 0.0)
CLASSES = sorted(
    {
        kind
        for module in pkgutil.iter_modules(contexts.__path__)
        for kind in vars(importlib.import_module(f"admin_ui.contexts.{module.name}")).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == f"admin_ui.contexts.{module.name}"
    },
    key=lambda kind: kind.__qualname__,
)
SHOWN = [kind for kind in CLASSES if hasattr(kind, "template")]


class Reader:
    """Walks a template with the types of its names; notes what is read of each dataclass of the contexts."""

    def __init__(self) -> None:
        self.read: dict[type, set[str]] = defaultdict(set)
        self.wrong: list[str] = []
        self._walked: set[Any] = set()

    def template(self, name: str, names: Mapping[str, Any]) -> None:
        mark = (name, tuple(sorted((key, repr(kind)) for key, kind in names.items())))
        if mark in self._walked:
            return
        self._walked.add(mark)
        tree = ENVIRONMENT.parse((HERE / "templates" / name).read_text())
        self._body(tree.body, dict(names), self._macros(tree, name), name)

    def _macros(self, tree: nodes.Template, name: str) -> dict[str, Any]:
        """The macros that a template defines or imports, with those that they see themselves."""
        found: dict[str, Any] = {}
        for made in tree.find_all(nodes.FromImport):
            other = made.template.value
            there = self._macros(ENVIRONMENT.parse((HERE / "templates" / other).read_text()), other)
            for wanted in made.names:
                old, new = wanted if isinstance(wanted, tuple) else (wanted, wanted)
                found[new] = there[old]
        for macro in tree.find_all(nodes.Macro):
            found[macro.name] = (macro, found, name)
        return found

    def _body(self, body: Sequence[nodes.Node], names: dict[str, Any], macros: dict[str, Any], where: str) -> None:
        for node in body:
            self._statement(node, names, macros, where)

    def _statement(self, node: nodes.Node, names: dict[str, Any], macros: dict[str, Any], where: str) -> None:  # noqa: C901 (a table)
        match node:
            case nodes.Macro() | nodes.FromImport():
                return
            case nodes.Extends():
                self.template(node.template.value, {name: names[name] for name in ("page", "shell") if name in names})
            case nodes.Include():
                self.template(node.template.value, names)
            case nodes.For():
                items = self._type(node.iter, names, macros, where)
                inside = {**names, **self._bound(node.target, _item(items))}
                if node.test is not None:
                    self._type(node.test, inside, macros, where)
                self._body(node.body, inside, macros, where)
                self._body(node.else_, dict(names), macros, where)
            case nodes.With():
                inside = dict(names)
                for target, value in zip(node.targets, node.values, strict=True):
                    inside |= self._bound(target, self._type(value, names, macros, where))
                self._body(node.body, inside, macros, where)
            case nodes.Assign():
                names.update(self._bound(node.target, self._type(node.node, names, macros, where)))
            case nodes.If():
                self._type(node.test, names, macros, where)
                for body in (node.body, *(other.body for other in node.elif_), node.else_):
                    self._body(body, names, macros, where)
                for other in node.elif_:
                    self._type(other.test, names, macros, where)
            case nodes.CallBlock():
                self._type(node.call, names, macros, where)
                self._body(node.body, dict(names), macros, where)
            case nodes.Block() | nodes.Scope() | nodes.FilterBlock() | nodes.AssignBlock():
                self._body(node.body, names if isinstance(node, nodes.AssignBlock) else dict(names), macros, where)
            case nodes.Output():
                for part in node.nodes:
                    self._type(part, names, macros, where)
            case _:
                for child in node.iter_child_nodes():
                    self._type(child, names, macros, where)

    def _type(self, node: nodes.Node | None, names: dict[str, Any], macros: dict[str, Any], where: str) -> Any:  # noqa: C901 (a table)
        """The type of an expression; None where it is not one that matters."""
        match node:
            case None:
                return None
            case nodes.Name():
                return names.get(node.name)
            case nodes.Getattr():
                return self._attribute(self._type(node.node, names, macros, where), node.attr, where)
            case nodes.Getitem():
                owner = self._type(node.node, names, macros, where)
                self._type(node.arg, names, macros, where)
                return _item(owner) if not isinstance(node.arg, nodes.Slice) else owner
            case nodes.Call():
                given = [self._type(argument, names, macros, where) for argument in node.args]
                named = {part.key: self._type(part.value, names, macros, where) for part in node.kwargs}
                if isinstance(node.node, nodes.Name) and node.node.name in macros:
                    self._call(macros[node.node.name], given, named, names)
                else:
                    self._type(node.node, names, macros, where)
                return None
            case nodes.CondExpr():
                self._type(node.test, names, macros, where)
                one = self._type(node.expr1, names, macros, where)
                return one or self._type(node.expr2, names, macros, where)
            case nodes.Filter():
                inner = self._type(node.node, names, macros, where)
                for argument in node.args:
                    self._type(argument, names, macros, where)
                return inner if node.name in {"list", "sort", "reverse"} else None
            case _:
                for child in node.iter_child_nodes():
                    self._type(child, names, macros, where)
                return None

    def _call(self, macro: Any, given: Sequence[Any], named: Mapping[str, Any], outer: Mapping[str, Any]) -> None:
        made, macros, where = macro
        inside = dict(zip((argument.name for argument in made.args), given, strict=False)) | dict(named)
        mark = (where, made.name, tuple(sorted((key, repr(kind)) for key, kind in inside.items())))
        if mark in self._walked:
            return
        self._walked.add(mark)
        seen = {name: kind for name, kind in outer.items() if name in {"page", "part"}} if "/" not in where else {}
        self._body(made.body, {**seen, **inside}, macros, where)

    def _attribute(self, kind: Any, name: str, where: str) -> Any:
        kind = _plain(kind)
        if not (isinstance(kind, type) and kind in CLASSES):
            return None
        hints = typing.get_type_hints(kind)
        if name not in hints:
            if not isinstance(getattr(kind, name, None), property):
                self.wrong.append(f"{where} reads {kind.__name__}.{name}")
                return None
            return typing.get_type_hints(getattr(kind, name).fget).get("return")
        self.read[kind].add(name)
        return hints[name]

    @staticmethod
    def _bound(target: nodes.Node, kind: Any) -> dict[str, Any]:
        if isinstance(target, nodes.Name):
            return {target.name: kind}
        parts = typing.get_args(_plain(kind))
        return {
            part.name: parts[place] if place < len(parts) else None
            for place, part in enumerate(target.items)
            if isinstance(part, nodes.Name)
        }


def _plain(kind: Any) -> Any:
    """The type without None."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _item(kind: Any) -> Any:
    """What a sequence is made of, or the values of a mapping."""
    kind = _plain(kind)
    parts = [part for part in typing.get_args(kind) if part is not Ellipsis]
    return parts[-1] if parts and typing.get_origin(kind) is not typing.Literal else None


def read_by(kinds: Sequence[type]) -> Reader:
    reader = Reader()
    for kind in kinds:
        name = "page" if kind.__name__.endswith("Page") else "part"
        reader.template(kind.template, {name: kind, "shell": Shell})
    return reader


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_a_template_asks_for_nothing_that_its_page_has_not(kind) -> None:
    assert read_by([kind]).wrong == []


def test_every_field_of_every_page_is_shown() -> None:
    read = read_by(SHOWN).read
    unread = {
        kind.__name__: missing
        for kind in CLASSES
        if (missing := {field.name for field in fields(kind) if field.name != "template"} - read[kind])
    }
    assert unread == {}


def test_every_template_is_a_page_a_part_or_a_component() -> None:
    found = {str(path.relative_to(HERE / "templates")) for path in (HERE / "templates").rglob("*.html")}
    named = {kind.template for kind in SHOWN}
    assert {name for name in found if not name.startswith("components/")} - named == {"base.html"}


def test_the_reader_sees_what_is_missing_and_what_is_not_read() -> None:
    """It follows loops, macros and includes: the proof is a page of which nothing is left out."""
    page = next(kind for kind in SHOWN if kind.template == "audit.html")
    reader = read_by([page])
    [line] = [kind for kind in CLASSES if kind.__name__ == "AuditLine"]
    [pager] = [kind for kind in CLASSES if kind.__name__ == "Pager"]
    assert "changes" in reader.read[line]
    assert reader.read[pager] == {"first", "next"}
    reader._attribute(line, "secret", "here")
    assert reader.wrong == ["here reads AuditLine.secret"]
