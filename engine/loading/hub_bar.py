"""What the hub's library says of a download, told to a load's progress instead of drawn on a terminal.

Its bars are tqdm's. Of the several that it makes for a snapshot one counts bytes that are on the disk; its total grows
as files are begun, several at a time.
"""

from typing import Any

from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # it is loaded lazily

from engine.progress import Progress

BYTES = "huggingface_hub.snapshot_download"
"""The name of the bar of all bytes."""


def told_to(progress: Progress) -> type[tqdm]:
    """The class of bars for one download."""

    class Bar(tqdm):
        """Draws nothing."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._counts = options.get("name") == BYTES and options.get("unit") == "B"
            super().__init__(*arguments, **options | {"disable": True})  # type: ignore[no-untyped-call]

        @property
        def total(self) -> float | None:
            """Bytes of all files that were begun."""
            return self._total

        @total.setter
        def total(self, total: float | None) -> None:
            self._total = total
            if self._counts and total:
                progress.enter("fetch", int(total))

        def update(self, n: float | None = 1) -> bool | None:
            """So many bytes more; fewer where a file is begun anew."""
            if self._counts and n:
                progress.advance(int(n))
            return None

    return Bar
