"""Which models give one vector per text, and how: what is done to the tokens' vectors, their pooling, what follows."""

from collections.abc import Sequence

from engine.configs.head_spec import Heads, HeadSpec
from engine.configs.pooling import read_pooling
from engine.configs.vector_steps import STEPS, Level, VectorStep, read_step, read_tensors, width_after
from engine.errors import ArchitectureUnknown
from engine.files.folder import NETWORKS, ModelFolder, inside, positive, read_object


def pooled(folder: ModelFolder) -> Heads | None:
    """One vector per text; without `modules.json` the mean of its tokens' (sentence-transformers)."""
    if unknown := [kind for kind in folder.kinds if kind not in (*NETWORKS, "Pooling", *STEPS)]:
        raise ArchitectureUnknown(f"The model uses modules that are not known here: {', '.join(unknown)}.")
    if folder.queries != folder.modules:
        raise ArchitectureUnknown("The model has other modules for queries than for documents.")
    if not folder.modules:
        return heads(folder, ("mean",), include_prompt=True, before=(), after=())
    if folder.kinds[0] not in NETWORKS or folder.kinds.count("Pooling") != 1:
        return None
    before: list[VectorStep] = []
    after: list[VectorStep] = []
    steps = before
    level: Level = "tokens"
    for module in folder.modules[1:]:
        if module.kind == "Pooling":
            config = read_object(inside(folder.path, module.path), "config.json")
            steps, level = after, "text"
            continue
        step, of = read_step(folder.path, module, "text")
        if of != level:
            raise ArchitectureUnknown(f"The module {module.path} changes vectors of a {of[:-1]}, in the wrong place.")
        if step is not None:
            steps.append(step)
    return heads(
        folder,
        read_pooling(config),
        include_prompt=config.get("include_prompt", True) is not False,
        before=tuple(before),
        after=tuple(after),
    )


def heads(
    folder: ModelFolder,
    poolings: tuple[str, ...],
    *,
    include_prompt: bool,
    before: Sequence[VectorStep],
    after: Sequence[VectorStep],
) -> Heads:
    """The one head that gives vectors pooled so."""
    width = width_after(before, positive(folder.config, "hidden_size")) * len(poolings)
    settings = {"poolings": poolings, "include_prompt": include_prompt, "before": before, "after": after}
    return Heads(
        specs=(HeadSpec("dense", "pooled", settings),),
        dimensions=width_after(after, width),
        normalize=bool(after) and after[-1].kind == "normalize",
        tensors=read_tensors(folder.path, (*before, *after)),
    )
