"""What is read of a model folder: its JSON files, its `modules.json`, and the paths that they name.

`modules.json` is sentence-transformers' list of what a text goes through: `[{idx, name, path, type}]`. The types are
dotted names, which moved between its versions; only their last part is looked at.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import CheckpointCorrupt, FolderIncomplete, ModelInvalid

MODULE_PACKAGES = ("sentence_transformers.", "pylate.")
"""Whose modules are known by their last name. Other packages' are remote code."""


class Module(NamedTuple):
    """One step of `modules.json`."""

    kind: str
    """Such as `Transformer`, `Pooling`, `Dense`; whole where the type is of a package that is not known."""
    path: str
    """Inside the model folder."""


def read_modules(folder: Path) -> tuple[Module, ...]:
    """The modules in their order; without `modules.json` none."""
    if not (folder / "modules.json").is_file():
        return ()
    listed = parse(folder / "modules.json")
    try:
        return tuple(Module(kind_of(str(module["type"])), str(module["path"])) for module in listed)
    except (TypeError, KeyError) as error:
        raise ModelInvalid(f"{folder / 'modules.json'} is not a list of modules with a type and a path.") from error


def kind_of(dotted: str) -> str:
    """A module's kind by its type's name."""
    return dotted.rsplit(".", 1)[-1] if dotted.startswith(MODULE_PACKAGES) else dotted


def inside(folder: Path, part: str) -> Path:
    """A module's folder; it may be the model folder itself, and nothing outside of it."""
    if Path(part).is_absolute() or ".." in Path(part).parts:
        raise ModelInvalid(f"modules.json points outside of the model folder: {part!r}.")
    return folder / part


def read_object(folder: Path, name: str) -> Mapping[str, Any]:
    """A JSON object that must be there."""
    if not (folder / name).is_file():
        raise FolderIncomplete(f"{folder} has no {name}.")
    parsed = parse(folder / name)
    if not isinstance(parsed, dict):
        raise ModelInvalid(f"{folder / name} is not a JSON object.")
    return parsed


def read_optional(folder: Path, name: str) -> Mapping[str, Any]:
    """A JSON object, empty where there is no such file."""
    return read_object(folder, name) if (folder / name).is_file() else {}


def parse(file: Path) -> Any:
    """What a JSON file holds."""
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointCorrupt(f"{file} is not JSON.") from error


def positive(config: Mapping[str, Any], key: str) -> int:
    """A number of a config that must be there."""
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise ModelInvalid(f"config.json says {key} is {value!r}; a positive number is needed.")
    return value
