"""Which heads a model folder has: by its special files, by the kinds of `modules.json`, by the top of its architecture.

Free of torch. Every reader looks at a folder and either knows it, and says what heads it has, or gives None. The first
that knows it has the word; whatever nobody knows is refused by name.
"""

from collections.abc import Callable

from engine.configs.answers import answering
from engine.configs.bge_m3 import m3
from engine.configs.dense import pooled
from engine.configs.gliclass import labels_of_texts
from engine.configs.gliner import spans_of_labels
from engine.configs.head_spec import Heads
from engine.configs.multi_vector import late_interaction
from engine.configs.scores import labelled, tagged
from engine.configs.sparse import splade
from engine.errors import ArchitectureUnknown
from engine.files.folder import ModelFolder

Reader = Callable[[ModelFolder], Heads | None]

SPECIAL_FILES: tuple[Reader, ...] = (spans_of_labels, m3)
"""Readers that know a folder by a file that no other model has."""
MODULE_KINDS: tuple[Reader, ...] = (late_interaction, splade)
"""Readers that know a folder by the kinds of its modules."""
TOPS: tuple[Reader, ...] = (labels_of_texts, labelled, tagged, answering)
"""Readers that know a folder by what its architecture has on its body, where no module says what to do with it."""

READERS: tuple[Reader, ...] = (*SPECIAL_FILES, *MODULE_KINDS, *TOPS, pooled)


def read_heads(folder: ModelFolder) -> Heads:
    """The heads of a folder. Raises ArchitectureUnknown where no reader knows it."""
    for reader in READERS:
        if (heads := reader(folder)) is not None:
            return heads
    kinds = ", ".join(folder.kinds)
    raise ArchitectureUnknown(f"The model's modules are {kinds}; no head that is known here goes with them.")
