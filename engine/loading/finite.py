"""Numbers that are none: a model that has or makes them is refused when it is loaded, not served."""

from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import ModelInvalid
from engine.weights import Target, rows_of

NAMED_AT_MOST = 8


def refuse_not_finite(parameters: Mapping[str, Tensor], targets: Mapping[str, Target]) -> None:
    """Raises ModelInvalid where a weight is infinite or no number; `targets` has the checkpoint's names."""
    parts = {name: rows_of(parameters, target) for name, target in targets.items()}
    # The extremes are finite only where all are, and cost one look at each: 3 ms for 88 MB.
    extremes = torch.stack([torch.stack(torch.aminmax(part)) for part in parts.values()])
    wrong = [name for name, fine in zip(parts, extremes.isfinite().all(dim=1).tolist(), strict=True) if not fine]
    if wrong:
        more = f" and {len(wrong) - NAMED_AT_MOST} more" if len(wrong) > NAMED_AT_MOST else ""
        named = ", ".join(sorted(wrong)[:NAMED_AT_MOST])
        raise ModelInvalid(f"The checkpoint has weights that are no finite numbers: {named}{more}.")


def refuse_overflow(hidden: Tensor) -> None:
    """Raises ModelInvalid where hidden states (T, H) out of finite weights are not finite."""
    if not bool(hidden.isfinite().all()):
        raise ModelInvalid(
            f"The model's numbers pass what {str(hidden.dtype).removeprefix('torch.')} holds: serve it in another."
        )
