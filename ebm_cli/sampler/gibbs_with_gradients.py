"""Gibbs with gradients: one site changes at a time, and the gradient of E suggests which."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import DISCRETE, energy_and_grad
from ebm_cli.sampler import CompilableKernel, Info, State, metropolis, uniform_like
from ebm_cli.sampler._informed_proposals import present_values, value_gains
from ebm_cli.sampler._site_updates import choose, sites_of


@dataclass(frozen=True)
class GibbsWithGradients(CompilableKernel):
    """Site i takes value a with q ∝ exp(−(a − xᵢ)·∇ᵢE(x)/2T), then a Metropolis test, min(1, π(y)q(x|y)/(π(x)q(y|x))).

    Grathwohl et al., 2021 (arXiv 2102.04509): a locally balanced proposal (Zanella, 2020) whose energy differences are
    taken from one gradient instead of one evaluation per neighbor of x. Exact, because the test is; the closer E is to
    linear in each site, the more proposals are accepted. E must have a gradient by x.

    temperature: T (> 0).
    updates: proposals per step (≥ 1), each with one gradient.
    """

    adjusted = True
    spaces = DISCRETE

    temperature: float
    updates: int

    def __post_init__(self) -> None:
        check.every(
            lambda: check.positive("temperature", self.temperature), lambda: check.count("updates", self.updates)
        )

    @property
    def passes(self) -> int:
        return self.updates

    def noise(self, state: State, rng: torch.Generator) -> tuple[Tensor, ...]:
        return tuple(uniform_like(state.energy, rng) for _ in range(2 * self.updates))

    def update(self, energy: nn.Module, state: State, noise: tuple[Tensor, ...]) -> tuple[State, Info]:
        accept, diverging = torch.zeros_like(state.energy), torch.zeros_like(state.energy, dtype=torch.bool)
        for u_site, u_test in zip(noise[::2], noise[1::2], strict=True):
            state, info = self.one_change(energy, state, u_site, u_test)
            accept, diverging = accept + info.accept / self.updates, diverging | info.diverging
        return state, Info(accept, diverging, self.updates)

    def one_change(
        self, energy: nn.Module, state: State, u_site: Float[Tensor, " n"], u_test: Float[Tensor, " n"]
    ) -> tuple[State, Info]:
        """Return the states after one proposal and its test."""
        sites = sites_of(energy, state.x)
        forward = self.log_proposals(energy, state)
        k, chains = sites.values, torch.arange(len(state.x), device=state.x.device)
        change = choose(forward, u_site)
        site, value = change // k, change % k
        before = sites.numbers(state.x)
        numbers = before.clone()
        numbers[chains, site] = value
        y = sites.states(numbers, state.x.dtype)
        new = State(y, *energy_and_grad(energy, y))
        back = site * k + before[chains, site]
        log_ratio = (
            (state.energy - new.energy) / self.temperature
            + self.log_proposals(energy, new)[chains, back]
            - forward[chains, change]
        )
        return metropolis(state, new, log_ratio, u_test)

    def log_proposals(self, energy: nn.Module, state: State) -> Float[Tensor, "n dk"]:
        """Return log q of every change, site by site; −∞ for the value that a site has."""
        sites = sites_of(energy, state.x)
        gains = value_gains(sites, state.x, state.grad) / (2 * self.temperature)
        return gains.masked_fill(present_values(sites, state.x), -torch.inf).flatten(1).log_softmax(1)
