"""The gated feed-forward network (Shazeer 2020)."""

from torch import Tensor, nn

from engine.layers.activation import activation


class GatedMlp(nn.Module):
    """down(activation(gate(x)) * up(x)); gate and up are one product, the gate's rows first or last."""

    def __init__(
        self,
        width: int,
        intermediate: int,
        hidden_act: str,
        *,
        bias: bool = False,
        down_bias: bool | None = None,
        gate_first: bool = True,
    ) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * intermediate, bias=bias)
        self.activation = activation(hidden_act)
        self.gate_first = gate_first
        self.down = nn.Linear(intermediate, width, bias=bias if down_bias is None else down_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(T, H) -> (T, H)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        if not self.gate_first:
            gate, up = up, gate
        out: Tensor = self.down(self.activation(gate).mul_(up))
        return out
