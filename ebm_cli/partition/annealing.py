"""Annealed importance sampling: weights of paths from a normal law to the model, and of paths back."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain_file import Chains
from ebm_cli.chains import run_chains
from ebm_cli.diagnostic import Patient
from ebm_cli.energy import energy_and_grad, frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.mixing import judge
from ebm_cli.partition.bracket import Backward, bracket, collapsed
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.unseen import unseen
from ebm_cli.partition.whitened import Whitened
from ebm_cli.rng import generator
from ebm_cli.sampler.hmc import HMC

# A flight is at most a quarter of a standard normal's period, beyond which it turns back.
LONGEST = math.pi / 2
# How hard a pilot's step size follows its acceptance, and its transitions at each temperature.
GAIN, TRANSITIONS = 0.5, 2
# The share of the path that is spaced as the pilot's was, where the weights hardly vary.
PLAIN = 0.2
DRAWS = 200


class Path(nn.Module):
    """U_β(z) = (1 − β)·½‖z‖² + β·U(z), from a standard normal at β = 0 to the model at 1. beta: β in [0, 1]."""

    def __init__(self, space: Whitened, beta: float) -> None:
        super().__init__()
        self.space, self.beta = space, beta

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return (1 - self.beta) * 0.5 * z.square().sum(1) + self.beta * self.space(z)

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        u, grad = energy_and_grad(self.space, z)
        return (1 - self.beta) * 0.5 * z.square().sum(1) + self.beta * u, (1 - self.beta) * z + self.beta * grad


@dataclass(frozen=True)
class Schedule:
    """betas: from 0 to 1, one more than there are steps. kernels: frozen, that of each β but the first."""

    betas: list[float]
    kernels: list[HMC]


def annealed(space: Whitened, recipe: Recipe, seed: int) -> Estimate:
    """log Z from paths of `recipe.chains` chains in both directions, in nats; see `bracket` for what is made of them.

    Neal, 2001 (Stat. Comput. 11, 125); backwards after Grosse, Ghahramani and Adams, 2015 (arXiv 1511.02543).
    A pilot of half as many temperatures sets each one's step size, and the spacing, so that every step adds as much
    spread to the log weights; then both are frozen. Paths back begin at chains that go on from the ends of paths forth
    by the model's own kernel, and count only where these have mixed.
    """
    rng = generator(seed, "partition/anneal", space.middle.device)
    n, d = recipe.chains, len(space.middle)
    with frozen(space), torch.no_grad():
        schedule = pilot(space, recipe, normal(space, n, rng), rng)
        forth, ends = forward(space, schedule, normal(space, n, rng), rng)
        offset = space.log_volume + 0.5 * d * math.log(2 * math.pi)
        back = None
        # Paths back cost more than those forth, and say nothing where these are refused.
        if not collapsed(forth.cpu().numpy()):
            back = backward(space, schedule, ends[torch.isfinite(forth)], recipe.steps, seed, rng)
    return bracket((forth + offset).cpu().numpy(), back.shifted(offset) if back is not None else None)


def normal(space: Whitened, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Exact draws of the path's beginning."""
    middle = space.middle
    return torch.randn(n, len(middle), generator=rng, dtype=middle.dtype, device=middle.device)


def drive(space: Whitened, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """−∂U_β/∂β = ½‖z‖² − U(z), in double precision; −∞ where the energy is not a number."""
    v = 0.5 * z.double().square().sum(1) - space(z).double()
    return torch.where(v.isnan(), -math.inf, v)


def pilot(space: Whitened, recipe: Recipe, z: Float[Tensor, "n d"], rng: torch.Generator) -> Schedule:
    """The schedule with β's density along the path in proportion to the spread of `drive`, as a first path finds it.

    Its own β are the sigmoid's of Grosse et al., 2015. A β's step size is carried on from the one before, log ε' =
    log ε + GAIN·(acceptance − target).
    """
    t = np.linspace(-1, 1, max(20, recipe.temperatures // 2) + 1)
    first = 1 / (1 + np.exp(-4 * t))
    first = (first - first[0]) / (first[-1] - first[0])
    longest = LONGEST / recipe.leapfrog_steps
    kernel = HMC(longest, recipe.leapfrog_steps, jitter=0.3, temperature=1.0, scales=None, adapt="none", target=0.8)
    steps, spreads = [], []
    for beta in first:
        path = Path(space, float(beta))
        spreads.append(spread(drive(space, z)))
        state = kernel.init(path, z, rng)
        for _ in range(TRANSITIONS):
            state, info = kernel.step(path, state, rng)
            step = kernel.step_size * math.exp(GAIN * (float(info.accept.mean()) - kernel.target))
            kernel = dataclasses.replace(kernel, step_size=min(step, longest))
        steps.append(kernel.step_size)
        z = state.x
    betas = spaced(first, np.array(spreads), recipe.temperatures)
    sizes = np.exp(np.interp(betas[1:], first, np.log(steps)))
    return Schedule(betas.tolist(), [dataclasses.replace(kernel, step_size=float(size)) for size in sizes])


def spread(v: Float[Tensor, " n"]) -> float:
    """A standard deviation by quartiles, which no tail moves."""
    low, high = np.quantile(np.nan_to_num(v.cpu().numpy(), neginf=-1e30), [0.25, 0.75])
    return float(high - low) / 1.349


def spaced(first: np.ndarray, spreads: np.ndarray, steps: int) -> Float[np.ndarray, " betas"]:
    """β at equal lengths ∫ sd dβ of the pilot's path, mixed with its own spacing so that no stretch is left out."""
    length = np.concatenate([[0], np.cumsum(np.diff(first) * (spreads[1:] + spreads[:-1]) / 2)])
    own = np.linspace(0, 1, len(first))
    along = (1 - PLAIN) * length / length[-1] + PLAIN * own if length[-1] > 0 else own
    return np.interp(np.linspace(0, 1, steps + 1), along, first)


def forward(
    space: Whitened, schedule: Schedule, z: Float[Tensor, "n d"], rng: torch.Generator
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
    """log wᵢ = Σₖ (β_k − β_{k−1})·drive(z_{k−1}), z_k moved from z_{k−1} at β_k; and where the paths end."""
    log_w = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    for k, kernel in enumerate(schedule.kernels, 1):
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * drive(space, z)
        z = moved(space, schedule.betas[k], kernel, z, rng)
    return log_w, z


def reverse(space: Whitened, schedule: Schedule, z: Float[Tensor, "n d"], rng: torch.Generator) -> Float[Tensor, " n"]:
    """The same sum along paths back from draws of the model, each transition its own reversal."""
    log_w = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    for k in range(len(schedule.kernels), 0, -1):
        z = moved(space, schedule.betas[k], schedule.kernels[k - 1], z, rng)
        log_w += (schedule.betas[k] - schedule.betas[k - 1]) * drive(space, z)
    return log_w


def moved(
    space: Whitened, beta: float, kernel: HMC, z: Float[Tensor, "n d"], rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """One transition at β of every chain."""
    path = Path(space, beta)
    return kernel.step(path, kernel.init(path, z, rng), rng)[0].x


def backward(
    space: Whitened, schedule: Schedule, z: Float[Tensor, "n d"], steps: int, seed: int, rng: torch.Generator
) -> Backward:
    """The weights of paths back from chains that begin at z, a quarter of `steps` left out; none unless they mix."""
    kernel, model = schedule.kernels[-1], Path(space, 1.0)
    burn_in, thin = steps // 4, max(1, steps // DRAWS)
    drawn = run_chains(kernel, model, z, steps - burn_in, rng, burn_in=burn_in, thin=thin)
    x, e = drawn.x.transpose(0, 1).double().cpu().numpy(), drawn.energy.T.double().cpu().numpy()
    mixing = judge(Patient(Chains(x, potential=e, thin=thin), model, 1.0, kernel), seed).estimate
    if mixing.verdict == "refused":
        return Backward(None, mixing)
    elsewhere = unseen(model, drawn.x.transpose(0, 1), rng)
    if elsewhere:
        return Backward(None, refused(f"not mixed: {elsewhere}"))
    return Backward(reverse(space, schedule, drawn.last.x, rng).cpu().numpy(), mixing)
