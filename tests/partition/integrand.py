"""Integrands for the tests of the partition function."""

import torch
from torch import Tensor, nn

from ebm_cli.path._coordinates import Integrand


def integrand(energy: nn.Module, temperature: float = 1.0, rows: Tensor | None = None, **changes: int) -> Integrand:
    """Return exp(−E/T) with exact draws of the energy as rows, unless rows are given."""
    event = tuple(energy.event)
    if rows is None:
        rows = energy.draw(500, temperature, torch.Generator().manual_seed(7))
    return Integrand(energy, temperature, event, rows, **{"seed": 0} | changes)


def normal_rows(*shape: int, center: float = 0.0, scale: float = 1.0) -> Tensor:
    return center + scale * torch.randn(*shape, generator=torch.Generator().manual_seed(8))
