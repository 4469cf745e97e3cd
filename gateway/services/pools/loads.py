"""What nodes say of loads, in words for operators: how far one is, and what to do about one that failed."""

from dataclasses import dataclass

from gateway.engine_client import LoadProgress, ResidentModel

PHASES = {
    "look": "reading what it is",
    "fetch": "fetching it from the hub",
    "wait": "waiting for room",
    "read": "reading its weights",
    "check": "trying it out",
    "restore": "coming back from host memory",
}
NEXT_STEPS = {
    "model_not_found": "Check the spelling of its source. A folder must be there on the node; a repository that is "
    "private or gated needs a token of the hub in the node's environment, HF_TOKEN.",
    "hub_unreachable": "See to the node's way to the hub, or register the model from a folder on the node.",
    "disk_full": "Make room where the node keeps what it fetches, then load it again.",
    "model_invalid": "Look at its source for what is wrong; another revision may be whole, or the same model in "
    "safetensors.",
    "model_too_large": "Unpin others there, give it smaller numbers, or move it to a pool of nodes with more memory.",
    "load_timed_out": "See why the download or the disk is slow, or allow more by --load-timeout; then load it again.",
    "model_loading": "It goes on; look again in a moment.",
    "out_of_memory": "Something else takes the node's memory: end that, lower the node's --memory-budget, or move the "
    "model to another pool.",
    "draining": "The node is stopping. Load it again when it is back.",
}
"""By the code of the failure."""
ANOTHER_STEP = "The node's log may say more. Load it again when that is mended."


@dataclass(frozen=True, slots=True)
class Load:
    """A model on its way into a node's memory."""

    model: str
    """With its adapter, where it is one that is loaded."""
    phase: str
    """In words."""
    done: int
    total: int
    """Bytes of the phase."""
    share: float | None
    """Of one, done; None: this phase is not measured."""
    seconds: float | None
    """Since the load began; None: the node does not say."""


def load_of(model: ResidentModel) -> Load | None:
    """How far the load of a model is; None where it is not loading."""
    if model.tier != "loading":
        return None
    name = model.id if model.adapter is None else f"{model.id} + {model.adapter}"
    told = model.progress
    if told is None:
        return Load(name, "loading", 0, 0, None, None)
    return Load(name, phase_of(told), told.done, told.total, share_of(told), told.seconds)


def phase_of(progress: LoadProgress) -> str:
    """What the load is at."""
    return PHASES.get(progress.phase, progress.phase)


def share_of(progress: LoadProgress) -> float | None:
    """Of its phase, 0 to 1; None where that is not measured."""
    return min(progress.done / progress.total, 1.0) if progress.total > 0 else None


def next_step(code: str | None) -> str:
    """What to do about a load that failed so."""
    return NEXT_STEPS.get(code or "", ANOTHER_STEP)
