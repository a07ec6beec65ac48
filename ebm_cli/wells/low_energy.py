"""Points far from the data whose energy is low for their distance, and annealing from them to the model."""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.sampler.mala import MALA
from ebm_cli.wells.descent import rms_radius, values

# Points per shell of equal distance, and number of the lowest points per shell that are kept.
SHELL_SIZE, N_KEPT = 1000, 10
# Stages of annealing, and the acceptance that the step size is tuned to.
N_STAGES, TARGET_ACCEPTANCE = 8, 0.6


def repeat_rows(x: Float[Tensor, "n *event"], count: int) -> Float[Tensor, "count *event"]:
    """Return the rows of x, repeated until there are `count`."""
    return x[torch.arange(count, device=x.device) % len(x)]


def low_energy_candidates(
    energy: nn.Module, rows: Float[Tensor, "rows *event"], starts: int, reach: float, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return points at all distances from the data with a low energy for their distance: 1 % of each shell.

    Far from the data, the change of E with distance is larger than its differences between directions. Therefore a
    linear fit of E to distance is subtracted in each shell.
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
        count = max(starts // 2 // SHELL_SIZE, 1) * SHELL_SIZE
        uniform = torch.rand(count, generator=rng, device=rows.device, dtype=flat.dtype)
        radius = (math.sqrt(d) + reach) * uniform.sort().values
        direction = nn.functional.normalize(
            torch.randn(count, d, generator=rng, dtype=flat.dtype, device=flat.device), dim=1
        )
        x = (mean + radius[:, None] * direction @ shape.T).view(count, *rows.shape[1:])
        r, e = radius.view(-1, SHELL_SIZE).double(), values(energy, x).double().view(-1, SHELL_SIZE)
        e = e.nan_to_num(nan=math.inf)
        centered = r - r.mean(1, keepdim=True)
        slope = (centered * e).sum(1, keepdim=True) / centered.square().sum(1, keepdim=True)
        shell = SHELL_SIZE * torch.arange(len(r), device=rows.device)[:, None]
        found.append(x[(shell + (e - slope * centered).topk(N_KEPT, largest=False).indices).flatten()])
    return torch.cat(found)


def anneal_to_temperature(
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    temperature: float,
    hottest: float,
    rows: Float[Tensor, "rows *event"],
    rng: torch.Generator,
) -> Float[Tensor, "n *event"]:
    """Return states after Metropolis-adjusted Langevin steps from hottest·T down to T; diverged states stay in place.

    The step size is adapted between stages, for an acceptance near 0.6. Each stage also has a step that is ten times
    shorter, for very stiff wells.
    """
    step_size = 0.1 * rms_radius(rows) ** 2 / rows[0].numel() / temperature
    for stage in range(N_STAGES):
        T = temperature * max(1.0, hottest ** (1 - stage / (N_STAGES / 2)))
        kernel = MALA(step_size, T, scales=None)
        accept, x = run_steps(energy, x, kernel, 5, rng)
        _, x = run_steps(energy, x, dataclasses.replace(kernel, step_size=step_size / 10), 1, rng)
        step_size *= 1.6 if accept > TARGET_ACCEPTANCE + 0.1 else 0.5 if accept < TARGET_ACCEPTANCE - 0.1 else 1.0
    return x


def run_steps(
    energy: nn.Module, x: Float[Tensor, "n *event"], sampler: MALA, steps: int, rng: torch.Generator
) -> tuple[float, Float[Tensor, "n *event"]]:
    """Return the mean acceptance of some steps and their final states."""
    trajectory = run_chains(sampler, energy, x, steps, rng, thin=None)
    return float(trajectory.accept.mean()), torch.where(trajectory.last.x.isfinite(), trajectory.last.x, x)
