"""Places far from the data where E is low for their distance, and states of the model cooled from there."""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.rng import normal_like
from ebm_cli.sampler.mala import MALA
from ebm_cli.wells.modes import spread_of, values

STRATUM = 1000
KEPT = 10
STAGES = 8
ACCEPTANCE = 0.6


def repeated(x: Float[Tensor, "n *event"], count: int) -> Float[Tensor, "count *event"]:
    """`count` rows, those of x over and over."""
    return x[torch.arange(count, device=x.device) % len(x)]


def outposts(
    energy: nn.Module, rows: Float[Tensor, "rows *event"], starts: int, reach: float, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Points at all distances from the data whose energy is low for their distance: the lowest hundredth of each shell.

    Far from the data E falls towards them and dwarfs what sets one direction apart; a shell's own slope and mean are
    taken off first, so that E is compared at the same distance.
    """
    flat = rows.flatten(1)
    d, mean = flat.shape[1], flat.mean(0)
    covariance = torch.cov(flat.T.double()).reshape(d, d)
    scale = float(covariance.diagonal().mean().sqrt())
    floor = 1e-4 * scale**2 * torch.eye(d, dtype=covariance.dtype, device=rows.device)
    shapes = (
        scale * torch.eye(d, dtype=flat.dtype, device=rows.device),
        torch.linalg.cholesky(covariance + floor).to(flat),
    )
    found = []
    for shape in shapes:
        count = max(starts // 2 // STRATUM, 1) * STRATUM
        uniform = torch.rand(count, generator=rng, device=rows.device, dtype=flat.dtype)
        radius = (math.sqrt(d) + reach) * uniform.sort().values
        direction = nn.functional.normalize(normal_like(flat.new_empty(count, d), rng), dim=1)
        x = (mean + radius[:, None] * direction @ shape.T).view(count, *rows.shape[1:])
        r, e = radius.view(-1, STRATUM).double(), values(energy, x).double().view(-1, STRATUM)
        e = e.nan_to_num(nan=math.inf)
        centred = r - r.mean(1, keepdim=True)
        slope = (centred * e).sum(1, keepdim=True) / centred.square().sum(1, keepdim=True)
        shell = STRATUM * torch.arange(len(r), device=rows.device)[:, None]
        found.append(x[(shell + (e - slope * centred).topk(KEPT, largest=False).indices).flatten()])
    return torch.cat(found)


def cooled(
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    temperature: float,
    hottest: float,
    rows: Float[Tensor, "rows *event"],
    rng: torch.Generator,
) -> Float[Tensor, "n *event"]:
    """States after Metropolis-adjusted Langevin steps from hottest·T down to T; those that go astray stay put.

    The step size is found between stages, for an acceptance near 0.6; in each stage some steps are a tenth as long, for
    wells much stiffer than most.
    """
    step_size = 0.1 * spread_of(rows) ** 2 / rows[0].numel() / temperature
    for stage in range(STAGES):
        T = temperature * max(1.0, hottest ** (1 - stage / (STAGES / 2)))
        kernel = MALA(step_size, T, scales=None)
        accept, x = moved(energy, x, kernel, 5, rng)
        _, x = moved(energy, x, dataclasses.replace(kernel, step_size=step_size / 10), 1, rng)
        step_size *= 1.6 if accept > ACCEPTANCE + 0.1 else 0.5 if accept < ACCEPTANCE - 0.1 else 1.0
    return x


def moved(
    energy: nn.Module, x: Float[Tensor, "n *event"], sampler: MALA, steps: int, rng: torch.Generator
) -> tuple[float, Float[Tensor, "n *event"]]:
    """The mean acceptance of some steps, and where they lead."""
    trajectory = run_chains(sampler, energy, x, steps, rng, thin=None)
    return float(trajectory.accept.mean()), torch.where(trajectory.last.x.isfinite(), trajectory.last.x, x)
