"""What a node says of itself."""

from importlib.metadata import PackageNotFoundError, version

from engine.loading.loaded import LoadedModel
from engine.memory.tiers import Entry
from engine.protocol import LoadProgress, ResidentModel
from engine.tasks.using import Loaded


def resident(entry: Entry[Loaded], now: float) -> ResidentModel:
    """A model, as the status lists it."""
    spec = entry.model.spec if isinstance(entry.model, LoadedModel) else None
    return ResidentModel(
        id=entry.ref.id,
        revision=entry.ref.revision,
        state=entry.state,
        bytes=entry.bytes,
        in_use=entry.in_use,
        pinned=entry.pinned,
        idle_seconds=0.0 if entry.in_use else max(0.0, now - entry.last_used),
        dimensions=spec.dimensions if spec else None,
        max_tokens=spec.max_tokens if spec else None,
        failure=entry.failure.message if entry.failure else None,
        tier=entry.tier,
        host_bytes=entry.host_bytes,
        adapter=entry.ref.adapter,
        native=spec is None or spec.native,
        progress=LoadProgress(*entry.progress.stage, max(0.0, now - entry.began)) if entry.tier == "loading" else None,
        failure_code=entry.failure.code if entry.failure else None,
    )


def node_version() -> str:
    """Of this program."""
    try:
        return version("shoal-server")
    except PackageNotFoundError:
        return "unreleased"
