"""What a model's source says of itself, for the register: read on this machine, without loading the model."""

from pathlib import Path

from engine import catalog, source


def absolute(name: str) -> str:
    """A folder's absolute path, since engine nodes run elsewhere in the file system; any other source as it is."""
    folder = Path(name).expanduser()
    return str(folder.resolve()) if folder.is_dir() else name


def inspect(name: str, revision: str | None) -> catalog.ModelSpec:
    """Fetch what is missing from the hub and read it. Raises the EngineError that says why it could not be served."""
    return catalog.describe(source.resolve(name, revision))
