"""What is read of a model folder: its JSON files, its `modules.json`, and the paths that they name.

`modules.json` is sentence-transformers' list of what a text goes through: `[{idx, name, path, type}]`. The types are
dotted names, which moved between its versions; only their last part is looked at. A `Router` among them stands for two
lists, of which its `router_config.json` tells: `{types: {path: type}, structure: {query: [path], document: [path]}}`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.architectures import Architecture
from engine.errors import ArchitectureUnknown, CheckpointCorrupt, FolderIncomplete, ModelInvalid
from engine.files.checkpoint import TensorEntry

MODULE_PACKAGES = ("sentence_transformers.", "pylate.")
"""Whose modules are known by their last name. Other packages' are remote code."""


ROUTERS = ("Router", "Asym")
NETWORKS = ("Transformer", "MLMTransformer")
"""Kinds of modules that hold a network."""


class Module(NamedTuple):
    """One step of `modules.json`."""

    kind: str
    """Such as `Transformer`, `Pooling`, `Dense`; whole where the type is of a package that is not known."""
    path: str
    """Inside the model folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """What a reader looks at."""

    path: Path
    network: Path
    """Where the network and its tokenizer lie."""
    modules: tuple[Module, ...]
    """What a text goes through; empty without `modules.json`."""
    queries: tuple[Module, ...]
    """What a query goes through; the same but in models with two sides."""
    architecture: Architecture
    config: Mapping[str, Any]
    """The network's `config.json`, under the common names of its keys."""
    settings: Mapping[str, Any]
    """`config_sentence_transformers.json`; empty without it."""
    tensors: Mapping[str, TensorEntry]
    """The network's checkpoint."""

    @property
    def kinds(self) -> list[str]:
        """Of its modules."""
        return [module.kind for module in self.modules]


def read_modules(folder: Path) -> tuple[Module, ...]:
    """The modules in their order; without `modules.json` none."""
    if not (folder / "modules.json").is_file():
        return ()
    listed = parse(folder / "modules.json")
    try:
        return tuple(Module(kind_of(str(module["type"])), str(module["path"])) for module in listed)
    except (TypeError, KeyError) as error:
        raise ModelInvalid(f"{folder / 'modules.json'} is not a list of modules with a type and a path.") from error


def routed(folder: Path, modules: tuple[Module, ...]) -> tuple[tuple[Module, ...], tuple[Module, ...]]:
    """What a query and what any other text goes through."""
    sides: dict[str, list[Module]] = {"query": [], "document": []}
    for module in modules:
        routes = _routes(folder, module) if module.kind in ROUTERS else dict.fromkeys(sides, (module,))
        for side, taken in routes.items():
            sides[side] += taken
    return tuple(sides["query"]), tuple(sides["document"])


def _routes(folder: Path, router: Module) -> Mapping[str, tuple[Module, ...]]:
    config = read_object(inside(folder, router.path), "router_config.json")
    match config:
        case {"types": dict(types), "structure": {"query": [*query], "document": [*document]}} if (
            len(config["structure"]) == 2 and {*query, *document} <= types.keys()
        ):
            pass
        case _:
            raise ArchitectureUnknown("The model's Router has other sides than query and document.")
    parameters = config.get("parameters") or {}
    if parameters.get("default_route") not in (None, "document") or parameters.get("route_mappings"):
        raise ArchitectureUnknown(
            "The model's Router takes texts of no declared side for queries, or maps routes anew."
        )
    base = f"{router.path}/" if router.path else ""
    return {
        side: tuple(Module(kind_of(str(types[path])), base + str(path)) for path in paths)
        for side, paths in (("query", query), ("document", document))
    }


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
