"""The anchors of a path at which replicas stand: as few as still swap often."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._piecewise_path import PiecewisePath

# Swap rate that two anchors must reach for those between them to be left out. Above 0.25, the least that Béreux et al.
# want, because it is estimated from few states.
MIN_SWAP_RATE = 0.35


def choose_anchors(path: AnnealingPath | PiecewisePath, populations: tuple[Float[Tensor, "n d"], ...]) -> list[int]:
    """Return the numbers of the anchors to keep, from 0, the base, to the model.

    From the model down, the next anchor is the farthest one whose swap rate with the present one is large enough. This
    keeps swap rates between 0.25 and 0.7 (Béreux et al., 2024, arXiv 2405.15376), if anchors are that close. Otherwise
    it is the neighbor. The anchor next to the base stays, because the base is fitted to rows like its own.

    populations: states at the base and at each anchor.
    """
    kept = [len(populations) - 1]
    if not isinstance(path, PiecewisePath):
        return [0, *kept]
    while kept[-1] > 0:
        upper, lower = kept[-1], kept[-1] - 1
        while lower > 1 and anchor_swap_rate(path, populations, lower - 1, upper) >= MIN_SWAP_RATE:
            lower -= 1
        kept.append(lower)
    return kept[::-1]


def anchor_swap_rate(path: PiecewisePath, populations: tuple[Float[Tensor, "n d"], ...], i: int, j: int) -> float:
    """Return the mean of min(1, exp(Uᵢ(zᵢ) + Uⱼ(zⱼ) − Uᵢ(zⱼ) − Uⱼ(zᵢ))) over states of both anchors."""
    of_i = populations[i]
    # States in the same row have common ancestors.
    of_j = populations[j].roll(len(of_i) // 2, 0)
    rise_i, rise_j = (path.anchor(j).energy_and_grad(z)[0] - path.anchor(i).energy_and_grad(z)[0] for z in (of_i, of_j))
    return float((rise_j - rise_i).nan_to_num(nan=-torch.inf).clamp(max=0).exp().mean())
