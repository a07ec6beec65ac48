"""Discrete Langevin: all sites are proposed at once, each by its own gradient, then accepted or rejected together."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import DISCRETE, energy_and_grad
from ebm_cli.sampler import CompilableKernel, Info, State, metropolis, uniform_like
from ebm_cli.sampler._informed_proposals import squared_distances, value_gains
from ebm_cli.sampler._site_updates import choose, sites_of


@dataclass(frozen=True)
class DiscreteLangevin(CompilableKernel):
    """Each site takes value a with q ∝ exp(−(a − xᵢ)·∇ᵢE(x)/2T − ‖a − xᵢ‖²/2α), then a Metropolis test of all.

    Zhang, Liu and Liu, 2022 (arXiv 2206.09914, equation 4 and algorithm 1), the Langevin proposal on a grid of values.
    Exact, because the test is. A larger step changes more sites at once and is accepted less often. E must have a
    gradient by x. For many sites an acceptance of 0.574 mixes fastest (Sun et al., 2022, arXiv 2209.08183).

    step_size: α, in units of x² (> 0).
    temperature: T (> 0).
    """

    adjusted = True
    spaces = DISCRETE
    best_acceptance = 0.574

    step_size: float
    temperature: float

    def __post_init__(self) -> None:
        check.every(
            lambda: check.positive("step_size", self.step_size),
            lambda: check.positive("temperature", self.temperature),
        )

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        # A site uses one number; those of a one-hot vector beyond the first are not used.
        return uniform_like(state.x, rng), uniform_like(state.energy, rng)

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        sites = sites_of(energy, state.x)
        u_sites, u_test = sites.by_site(noise[0])[..., 0], noise[1]
        forward = self.log_proposals(energy, state)
        numbers = choose(forward, u_sites)
        y = sites.states(numbers, state.x.dtype)
        new = State(y, *energy_and_grad(energy, y))
        log_ratio = (
            (state.energy - new.energy) / self.temperature
            + log_probability(self.log_proposals(energy, new), sites.numbers(state.x))
            - log_probability(forward, numbers)
        )
        return metropolis(state, new, log_ratio, u_test)

    def log_proposals(self, energy: nn.Module, state: State) -> Float[Tensor, "n d k"]:
        """Return log q of every value of every site."""
        sites = sites_of(energy, state.x)
        gains = value_gains(sites, state.x, state.grad) / (2 * self.temperature)
        return (gains - squared_distances(sites, state.x) / (2 * self.step_size)).log_softmax(2)


def log_probability(log_q: Float[Tensor, "n d k"], numbers: Int[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """Return the log probability of these values of all sites."""
    return log_q.gather(2, numbers[..., None])[..., 0].sum(1)
