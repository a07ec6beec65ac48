"""The densities of data and model at the midpoints of a grid in one or two dimensions."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import KnownDensity
from ebm_cli.energy import device_of
from ebm_cli.metric import EvaluationContext

Box = list[tuple[float, float]]


def densities(
    context: EvaluationContext, box: Box, size: int
) -> tuple[Float[Tensor, " cells"], Float[Tensor, " cells"], float, Tensor]:
    """Return p and log q at the midpoints of a grid, the cell's volume, and True for each cell of the outer half.

    q is normalized over the grid.
    """
    assert isinstance(context.data, KnownDensity)
    sides = [torch.linspace(low, high, 2 * size + 1, dtype=torch.float64)[1::2] for low, high in box]
    points = torch.stack([side.flatten() for side in torch.meshgrid(*sides, indexing="ij")], 1)
    cell = float(np.prod([(high - low) / size for low, high in box]))
    here = device_of(context.energy)
    parts = points.to(dtype=torch.get_default_dtype(), device=here).split(65536)
    with torch.no_grad():
        e = torch.cat([context.energy(part) for part in parts]).double().cpu()
        log_p = torch.cat([context.data.log_prob(part) for part in points.split(8192)]).double()
    log_q = -e / context.temperature
    log_q = log_q - torch.logsumexp(log_q, 0) - np.log(cell)
    index = torch.stack([i.flatten() for i in torch.meshgrid(*[torch.arange(size)] * len(box), indexing="ij")], 1)
    outer = ((index < size // 4) | (index >= size - size // 4)).any(1)
    return log_p.exp(), log_q, cell, outer
