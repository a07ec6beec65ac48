"""Replica exchange: copies at higher temperatures cross barriers and hand their places down."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, Kernel, State, check_scales, mala, metropolis, per_chain, shortened, uniform_like

# A pair that never refuses a swap still counts this much, so that respacing keeps the rungs apart.
LEAST_REJECTION = 0.01


class Replicas(NamedTuple):
    """All rungs of all chains, rung by rung, the coldest first.

    rungs: their states, K·n rows. temperatures, steps: T and η of each rung. partners: with whom each rung swaps in
    even and in odd steps, itself where with none. odd: which kind comes next. accept: mean acceptance of each rung in
    the last step. swapped, tried: sums over steps of the swap probability of rungs k and k + 1, and how often tried.
    """

    rungs: State
    temperatures: Float[Tensor, " K"]
    steps: Float[Tensor, " K"]
    partners: Int[Tensor, "2 K"]
    odd: Bool[Tensor, ""]
    accept: Float[Tensor, " K"]
    swapped: Float[Tensor, " pairs"]
    tried: Float[Tensor, " pairs"]

    @property
    def x(self) -> Tensor:
        return self._coldest(self.rungs.x)

    @property
    def energy(self) -> Tensor:
        return self._coldest(self.rungs.energy)

    @property
    def grad(self) -> Tensor:
        return self._coldest(self.rungs.grad)

    def swap_rates(self) -> Float[Tensor, " pairs"]:
        """How often rungs k and k + 1 swapped where they could, mean over chains and steps."""
        return self.swapped / self.tried.clamp(min=1)

    def _coldest(self, rows: Tensor) -> Tensor:
        return rows[: len(rows) // len(self.temperatures)]


@dataclass(frozen=True)
class Tempering(Kernel):
    """K replicas at T·τ₁ < … < T·τ_K, τ₁ = 1: a MALA step of each, then neighbours swap places.

    Rungs i and j swap with probability min(1, exp((1/Tᵢ − 1/Tⱼ)(Eᵢ − Eⱼ))): Swendsen and Wang, 1986; Geyer, 1991. Even
    and odd pairs take turns (Okabe et al., 2001; Syed et al., 2022, Journal of the Royal Statistical Society B 84,
    321), which carries replicas through the ladder without turning back. Exact at every rung; the coldest is
    the chain. Every step takes K gradients a chain, in one batch.

    step_size: η > 0 of all rungs, or a list with one each, in units of x² over energy. temperature: T > 0.
    temperatures: τ, a rising list that begins with 1; auto for `replicas` of them, geometric up to `hottest` until
    burn-in spaces them for equal swap rates. replicas ≥ 2. hottest > 1. short: the share in [0, 1] of Langevin steps,
    drawn anew for each, that are shorter, by up to 33 times and log-uniformly, for places much narrower than most.
    scales: see `Tunable`. The acceptance is that of the Langevin steps.
    """

    adjusted = True
    best_acceptance = 0.574

    step_size: float | list[float]
    temperature: float
    temperatures: str | list[float]
    replicas: int
    hottest: float
    short: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("temperature", self.temperature)
        check.count("replicas", self.replicas, least=2)
        check.number("hottest", self.hottest)
        check.share("short", self.short)
        if self.hottest <= 1:
            raise check.InputError(f"hottest must be > 1, got {self.hottest}")
        if isinstance(self.temperatures, list):
            for factor in self.temperatures:
                check.positive("temperatures", factor)
            rising = all(a < b for a, b in zip(self.temperatures, self.temperatures[1:], strict=False))
            if len(self.temperatures) < 2 or self.temperatures[0] != 1 or not rising:
                raise check.InputError(
                    f"temperatures must be a rising list that begins with 1, such as [1,2,4], got {self.temperatures}"
                )
        else:
            check.one_of("temperatures", self.temperatures, ["auto"])
        if isinstance(self.step_size, list) and len(self.step_size) != len(self.ladder):
            raise check.InputError(
                f"step_size must be one number, or one for each of {len(self.ladder)} temperatures, "
                f"got {len(self.step_size)}"
            )
        for step_size in self.step_sizes:
            check.positive("step_size", step_size)
        check_scales(self.scales)

    @property
    def ladder(self) -> list[float]:
        """τ of each rung."""
        if isinstance(self.temperatures, list):
            return self.temperatures
        return np.geomspace(1.0, self.hottest, self.replicas).tolist()

    @property
    def step_sizes(self) -> list[float]:
        """η of each rung."""
        return self.step_size if isinstance(self.step_size, list) else [self.step_size] * len(self.ladder)

    def respaced(self, swap_rates: list[float]) -> "Tempering":
        """The same with rungs that would swap equally often, given the rates at which neighbours swapped.

        Rejections add up along log τ to a barrier, of which each new pair gets an equal share (Syed et al., 2022,
        section 5).
        """
        return dataclasses.replace(self, temperatures=spaced_equally(self.ladder, swap_rates))

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> Replicas:  # noqa: ARG002
        K = len(self.ladder)
        coldest = State(x, *energy_and_grad(energy, x))
        rungs = torch.arange(K, device=x.device)
        odd_first = torch.where(rungs % 2 == 1, rungs + 1, rungs - 1)
        even_first = torch.where(rungs % 2 == 0, rungs + 1, rungs - 1)
        partners = torch.stack([even_first, odd_first])
        return Replicas(
            rungs=State(*(part.repeat(K, *[1] * (part.dim() - 1)) for part in coldest)),
            temperatures=self.temperature * x.new_tensor(self.ladder),
            steps=x.new_tensor(self.step_sizes),
            partners=torch.where((partners < 0) | (partners >= K), rungs, partners),
            odd=torch.zeros((), dtype=torch.bool, device=x.device),
            accept=x.new_zeros(K),
            swapped=x.new_zeros(K - 1),
            tried=x.new_zeros(K - 1),
        )

    def noise(self, state: Replicas, rng: torch.Generator) -> tuple[Tensor, ...]:
        e = state.rungs.energy
        which = (uniform_like(e, rng),) if self.short > 0 else ()
        return normal_like(state.rungs.x, rng), uniform_like(e, rng), uniform_like(e, rng), *which

    def update(self, energy: nn.Module, state: Replicas, noise: tuple[Tensor, ...]) -> tuple[Replicas, Info]:
        ξ, u, w, *which = noise
        K, old = len(state.temperatures), state.rungs
        n = len(old.energy) // K
        T, η = state.temperatures.repeat_interleave(n), state.steps.repeat_interleave(n)
        for r in which:
            η = η * shortened(r, self.short)
        y = old.x - per_chain(η, old.x) * old.grad + per_chain((2 * η * T) ** 0.5, old.x) * ξ
        new = State(y, *energy_and_grad(energy, y))
        moved, info = metropolis(old, new, mala.log_ratio(old, new, ξ, η, T), u)

        partners = torch.where(state.odd, state.partners[1], state.partners[0])
        e, β = moved.energy.view(K, n), 1 / state.temperatures[:, None]
        log_ratio = (β - β[partners]) * (e - e[partners])
        swap = log_ratio.clamp(max=0).exp()
        # Both of a pair look at the uniform number of the lower one.
        lower = torch.minimum(partners, torch.arange(K, device=partners.device))
        paired = partners > lower
        trade = w.view(K, n)[lower] < swap
        rungs = State(*(exchanged(part, trade, partners) for part in moved))
        return Replicas(
            rungs=rungs,
            temperatures=state.temperatures,
            steps=state.steps,
            partners=state.partners,
            odd=~state.odd,
            accept=info.accept.view(K, n).mean(1),
            swapped=state.swapped + torch.where(paired, swap.mean(1), 0.0)[:-1],
            tried=state.tried + paired[:-1],
        ), Info(info.accept[:n], info.diverging.view(K, n).any(0), K)


def exchanged(rows: Tensor, trade: Bool[Tensor, "K n"], partners: Int[Tensor, " K"]) -> Tensor:
    """The rows of all rungs after those that trade have taken their partner's place."""
    each = rows.reshape(*trade.shape, *rows.shape[1:])
    chosen = trade.view(*trade.shape, *[1] * (rows.dim() - 1))
    return torch.where(chosen, each[partners], each).reshape(rows.shape)


def spaced_equally(ladder: list[float], swap_rates: list[float]) -> list[float]:
    """A ladder with the same ends and as many rungs, each pair with an equal share of all rejections."""
    rejections = np.maximum(1 - np.array(swap_rates), LEAST_REJECTION)
    barrier = np.concatenate([[0.0], np.cumsum(rejections)])
    even = np.linspace(0, barrier[-1], len(ladder))
    inner = np.exp(np.interp(even, barrier, np.log(ladder)))[1:-1]
    return [1.0, *inner.tolist(), ladder[-1]]
