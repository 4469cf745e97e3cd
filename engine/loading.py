"""From a reference to a plan of how its model is loaded: found, read, sized, checked. Errors name the model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine.catalog import describe
from engine.device import Device
from engine.errors import ModelError, ModelInvalid, OutOfMemory, SourceNotFound
from engine.loaded import LoadedModel, plan_model
from engine.protocol import ModelRef
from engine.source import resolve
from engine.tiers import LoadPlan


def plan_load(ref: ModelRef, device: Device) -> LoadPlan[LoadedModel]:
    """Find a model, read what it is, and how many bytes it will take. Blocks, and may download."""
    with naming(ref):
        plan = plan_model(describe(resolve(ref.source, ref.revision)), device, device.dtype(ref.dtype))

    def load() -> LoadedModel:
        with naming(ref):
            return plan.load()

    return LoadPlan(plan.bytes, load, plan.activation)


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
    return f"The model {ref.id} can not be served: {cause}"
