"""From a reference to a plan of how its model is loaded: found, read, sized, checked. Errors name the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from engine.catalog import ModelSpec, describe
from engine.device import Device, open_device
from engine.errors import ArchitectureUnknown, ModelError, ModelInvalid, OutOfMemory, SourceNotFound
from engine.files.adapter import CONFIG, read_adapter, read_task
from engine.layers.attention import resolve_attention
from engine.loading.adapter import LoadedAdapter, plan_adapter
from engine.loading.loaded import LoadedModel, Network, key_maps, plan_model
from engine.loading.source import resolve
from engine.memory.tiers import LoadPlan
from engine.progress import Progress
from engine.protocol import ModelRef
from engine.settings import EngineSettings

OWN = "#"
"""Before the name of a task: an adapter that lies in the model's own checkpoint (Jina v3)."""


def plan_load(ref: ModelRef, device: Device, progress: Progress | None = None) -> LoadPlan[LoadedModel | LoadedAdapter]:
    """Find a model or an adapter, read what it is, and how many bytes it will take. Blocks, and may download.

    `progress` is told how far that is, and the load after it.
    """
    progress = progress or Progress()
    plan: LoadPlan[LoadedModel] | LoadPlan[LoadedAdapter]
    with naming(ref):
        spec, dtype = describe(resolve(ref.source, ref.revision, progress=progress)), device.dtype(ref.dtype)
        if ref.adapter is None:
            plan = plan_model(spec, device, dtype, progress)
        else:
            plan = _plan_adapter(spec, ref.adapter, device, dtype, progress)

    def load() -> LoadedModel | LoadedAdapter:
        with naming(ref):
            return plan.load()

    return LoadPlan(plan.bytes, load, plan.activation)


def _plan_adapter(
    spec: ModelSpec, adapter: str, device: Device, dtype: torch.dtype, progress: Progress
) -> LoadPlan[LoadedAdapter]:
    if not spec.native:
        raise ArchitectureUnknown("Adapters go with architectures that are written here; this runs in transformers.")
    if adapter.startswith(OWN):
        pairs = read_task(spec.config, spec.tensors, adapter.removeprefix(OWN))
    else:
        source, at, revision = adapter.partition("@")
        if Path(adapter).is_dir():
            source, at = adapter, ""
        pairs = read_adapter(resolve(source, revision if at else None, (CONFIG,), progress))
    with torch.inference_mode(), torch.device("meta"):
        blank = Network(spec, resolve_attention(device.place, dtype))
    return plan_adapter(pairs, blank, key_maps(spec, blank.body), device, dtype, progress)


def check_adapter(spec: ModelSpec, adapter: str) -> None:
    """Hold an adapter against its base. Raises ModelInvalid by name."""
    _plan_adapter(spec, adapter, open_device(EngineSettings(device="cpu")), torch.float32, Progress())


@contextmanager
def naming(ref: ModelRef) -> Iterator[None]:
    """Have every error of a load be one of ours, and say of which model it speaks."""
    try:
        yield
    except ModelError as error:
        error.message = _named(ref, error.message)
        error.args = (error.message,)
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(f"Memory ran out while the model {ref.id} was loaded.") from error
    except FileNotFoundError as error:
        raise SourceNotFound(_named(ref, f"{error.filename} has disappeared.")) from error
    except OSError as error:
        raise ModelInvalid(_named(ref, f"{error.filename or 'a file'} can not be read: {error.strerror}.")) from error


def _named(ref: ModelRef, cause: str) -> str:
    what = f"The adapter {ref.adapter} of the model {ref.id}" if ref.adapter else f"The model {ref.id}"
    return f"{what} can not be served: {cause}"
