"""Starts: where chains begin. Every other file in this folder is one of them.

CD-k, persistent CD and short-run sampling are one objective with three starts: data, replay, noise.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.data import Batch


class Begun(NamedTuple):
    """Where n chains begin. age: kernel steps that each has behind it. rows: where they came from, if anywhere."""

    x: Float[Tensor, "n *event"]
    age: Int[Tensor, " n"]
    rows: Int[Tensor, " n"] | None


@runtime_checkable
class Start(Protocol):
    """Where chains begin; an `nn.Module` when it has state to keep in the checkpoint."""

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:
        """n states to begin at; `batch` is the data of this training step."""
        ...

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Take back where the chains ended, `steps` kernel steps on."""
        ...


def fresh(
    n: int, event: tuple[int, ...], law: str, scale: float, rng: torch.Generator, dtype: torch.dtype
) -> Float[Tensor, "n *event"]:
    """Noise: uniform on [−scale, scale] or N(0, scale²), each coordinate by itself."""
    if law == "uniform":
        u = torch.rand(n, *event, generator=rng, device=rng.device, dtype=dtype)
        return scale * (2 * u - 1)
    return scale * torch.randn(n, *event, generator=rng, device=rng.device, dtype=dtype)
