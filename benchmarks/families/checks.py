"""What is asked of every case: parity with its reference, and that no sequence depends on its company."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.families.case import Case, Hidden, Reference
from engine.catalog import describe
from engine.device import Device, open_device
from engine.encoded import Encoded
from engine.loading.loaded import LoadedModel, load_model
from engine.settings import EngineSettings

PARITY = 1e-4
"""Greatest difference from the reference, in float32."""
INVARIANCE = 1e-5
"""Greatest difference that a batch may make, in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A case whose checkpoint has been written and loaded."""

    case: Case
    folder: Path
    model: LoadedModel
    reference: Reference

    @classmethod
    def open(cls, case: Case, folder: Path) -> "Checked":
        """Write the case's folder and load it on the CPU in float32."""
        reference = case.write(folder)
        return cls(case, folder, load(folder), reference)

    def parity(self) -> float:
        """Greatest difference between our hidden states in one mixed batch and the reference's one by one."""
        encoded = self.sequences()
        return apart(self.said(encoded), self.reference(encoded))

    def invariance(self) -> float:
        """Greatest difference between sequences alone and in a mixed batch."""
        encoded = self.sequences()
        alone = [self.said([sequence])[0] for sequence in encoded]
        return apart(alone, self.said(encoded))

    def permutation(self) -> float:
        """Greatest difference that another order of the batch makes."""
        encoded = self.sequences()
        order = np.random.default_rng(1).permutation(len(encoded))
        permuted = self.said([encoded[place] for place in order])
        together = self.said(encoded)
        return apart(permuted, [together[place] for place in order])

    def sequences(self) -> list[Encoded]:
        """Those that the case is tried on."""
        case = self.case
        return case.sequences() if case.read is None else case.read(self.folder, case.lengths, 0)

    def said(self, encoded: Sequence[Encoded]) -> list[Hidden]:
        """What is looked at: hidden states, or what the head says of each sequence."""
        if self.case.output is None:
            return hidden_states(self.model, encoded)
        rows = [row[self.case.output] for row in self.model.run(self.model.pack(encoded))]
        return [np.stack(row, axis=1).astype(np.float32) if isinstance(row, tuple) else row[:, None] for row in rows]


def load(folder: Path, dtype: torch.dtype = torch.float32, device: Device | None = None) -> LoadedModel:
    """A model from its folder, as the engine loads it."""
    return load_model(describe(folder), device or open_device(EngineSettings(device="cpu")), dtype)


@torch.inference_mode()
def hidden_states(model: LoadedModel, encoded: Sequence[Encoded]) -> list[Hidden]:
    """Each sequence's hidden states out of one packed pass, in the order given."""
    batch = model.pack(encoded)
    hidden = model.network.body(batch.tokens).float().numpy()  # (T, H)
    bounds = batch.tokens.sequences.cu_seqlens.tolist()
    states: dict[int, Hidden] = {
        place: hidden[start:end]
        for place, start, end in zip(batch.order.tolist(), bounds[:-1], bounds[1:], strict=True)
    }
    return [states[place] for place in range(len(encoded))]


def apart(ours: Sequence[Hidden], theirs: Sequence[Hidden]) -> float:
    """Greatest absolute difference; infinite where a shape differs or a number is not one."""
    if any(one.shape != other.shape for one, other in zip(ours, theirs, strict=True)):
        return float("inf")
    difference = max(float(np.abs(one - other).max()) for one, other in zip(ours, theirs, strict=True))
    return difference if np.isfinite(difference) else float("inf")
