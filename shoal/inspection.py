"""What a model's source says of itself, for the register: read on this machine, without loading the model."""

import importlib
import importlib.util
from pathlib import Path
from typing import TypedDict, cast

from engine import catalog
from engine.configs.answers import TEMPLATES
from engine.configs.head_spec import HeadSpec
from engine.configs.token_reading import TokenReading
from engine.files.adapter import CONFIG, LowRank, read_adapter
from engine.loading import source
from engine.tasks.asking import abilities
from gateway.services.register.model_facts import ModelFacts, Task

VECTORS = frozenset(("dense", "sparse", "multi"))
"""Outputs that have dimensions."""


class Found(TypedDict, total=False):
    """What of a new model is not the operator's word; empty where nobody looked."""

    dimensions: int | None
    input_limit: int
    facts: ModelFacts


def absolute(name: str) -> str:
    """A folder's absolute path, since engine nodes run elsewhere in the file system; any other source as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def inspect(name: str, revision: str | None) -> catalog.ModelSpec:
    """Fetch what is missing from the hub and read it. Raises the EngineError that says why it could not be served.

    Where torch is installed every tensor is held against the network that it belongs to; no weight is read.
    """
    spec = catalog.describe(source.resolve(name, revision))
    if importlib.util.find_spec("torch") is not None:
        torch, loaded = (importlib.import_module(module) for module in ("torch", "engine.loading.loaded"))
        loaded.check_model(spec, torch.device("cpu"), torch.float32)
    return spec


def inspect_adapter(name: str, spec: catalog.ModelSpec) -> tuple[LowRank, ...]:
    """Fetch an adapter and hold it against the model that it changes, as far as `inspect` does. Raises the reason.

    What it adds to which of the model's modules.
    """
    folder, at, revision = name.partition("@")
    if Path(name).is_dir():
        folder, at = name, ""
    pairs = read_adapter(source.resolve(folder, revision if at else None, (CONFIG,)))
    if importlib.util.find_spec("torch") is not None:
        importlib.import_module("engine.loading.plan").check_adapter(spec, name)
    return pairs


def found(spec: catalog.ModelSpec) -> Found:
    """What the register keeps of a look at a model."""
    return Found(
        dimensions=spec.dimensions if VECTORS.intersection(spec.outputs) else None,
        input_limit=spec.max_tokens,
        facts=ModelFacts(
            architecture=spec.architecture,
            family=spec.family,
            native=spec.native,
            tasks=tuple(cast(list[Task], abilities(spec))),
            outputs=spec.outputs,
            labels=next((tuple(head.settings["labels"]) for head in spec.heads if "labels" in head.settings), ()),
            prompts=tuple(spec.prompts),
            added_tokens=_added(spec),
            weight_bytes=spec.weight_bytes,
        ),
    )


def _added(spec: catalog.ModelSpec) -> int:
    """At most so many tokens beside an input's own, a token for a byte: the longest prompt, and what heads need."""
    prompts = [spec.default_prompt, *spec.prompts.values()]
    return max(len(prompt.encode()) for prompt in prompts) + sum(_added_by(head) for head in spec.heads)


def _added_by(head: HeadSpec) -> int:
    if head.kind == "answer":
        template = TEMPLATES[head.settings["family"]]
        return len("".join((*template.pieces, template.instructed, template.instruction or "")).encode())
    reading = head.settings.get("reading")
    if not isinstance(reading, TokenReading):
        return 0
    markers = max(len(reading.query_prefix.encode()), len(reading.document_prefix.encode()))
    return markers + (reading.expansion.length if reading.expansion is not None else 0)
