"""Replica exchange along the path: chains at rungs from the model to the base, where every step begins anew."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.partition.path import Seen, Way
from ebm_cli.partition.pilot import Pilot
from ebm_cli.rng import normal_like
from ebm_cli.sampler import kinetic, metropolis, per_chain, uniform_like
from ebm_cli.sampler.hmc import flight
from ebm_cli.sampler.tempering import exchanged

JITTER = 0.3


class Rungs(NamedTuple):
    """seen: K·n rows, rung by rung, the model's first and the base's last. odd: which pairs swap next. swapped: mean
    probability of the last swap of rungs k and k + 1, −1 for a pair that was not tried.
    """

    seen: Seen
    odd: bool
    swapped: Float[Tensor, " pairs"]


@dataclass(frozen=True)
class Ladder:
    """K rungs 1 = β₁ > … > β_K = 0: a flight of HMC at each, a fresh draw at the last; then neighbours swap places.

    Rungs i and j swap with probability min(1, exp((βᵢ − βⱼ)(Dⱼ − Dᵢ))), D the drive: Swendsen and Wang, 1986; even and
    odd pairs in turn (Syed et al., 2022). Exact at every rung. What comes down from β = 0 is independent of all before.

    betas: falling from 1 to 0. sizes: a step size each. leapfrog_steps: ≥ 1.
    """

    way: Way
    betas: Float[Tensor, " K"]
    sizes: Float[Tensor, " K"]
    leapfrog_steps: int

    @staticmethod
    def of(way: Way, pilot: Pilot, rungs: int, leapfrog_steps: int) -> "Ladder":
        """A ladder whose rungs are an equal share of the pilot's path apart."""
        betas = pilot.schedule(rungs - 1).betas[::-1]
        sizes = [pilot.kernel_at(beta).step_size for beta in betas]
        like = way.space.middle
        return Ladder(way, like.new_tensor(betas), like.new_tensor(sizes), leapfrog_steps)

    def init(self, z: Float[Tensor, "n d"]) -> Rungs:
        """All rungs at z."""
        K = len(self.betas)
        return Rungs(self.way.look(z.repeat(K, 1)), False, z.new_full((K - 1,), -1.0))

    def step(self, rungs: Rungs, rng: torch.Generator) -> Rungs:
        """Flights, fresh draws, swaps."""
        K = len(self.betas)
        n = len(rungs.seen.u) // K
        flown = self.flown(rungs.seen.rows(slice((K - 1) * n)), n, rng)
        fresh = self.way.begin(n, rng)
        seen = Seen(*(torch.cat(parts) for parts in zip(flown, fresh, strict=True)))
        return self.swapped(seen, rungs.odd, n, rng)

    def flown(self, seen: Seen, n: int, rng: torch.Generator) -> Seen:
        """One flight of every row but the base's."""
        β, ε = (v[:-1].repeat_interleave(n) for v in (self.betas, self.sizes))
        state = seen.state(β)
        v, u = normal_like(seen.z, rng), uniform_like(seen.u, rng)
        ε = per_chain(ε * (1 + JITTER * (2 * uniform_like(seen.u, rng) - 1)), seen.z)
        end, w = flight(self.way.at(β), state, v, ε, self.leapfrog_steps)
        log_ratio = state.energy + kinetic(v) - end.energy - kinetic(w)
        new, _ = metropolis(state, end, log_ratio, u, gradients=self.leapfrog_steps)
        return self.way.seen(new, β)

    def swapped(self, seen: Seen, odd: bool, n: int, rng: torch.Generator) -> Rungs:
        """Every other pair of neighbours after its offer to swap."""
        K = len(self.betas)
        rungs = torch.arange(K, device=self.betas.device)
        partners = torch.where(rungs % 2 == int(odd), rungs + 1, rungs - 1)
        partners = torch.where((partners < 0) | (partners >= K), rungs, partners)
        D = seen.drive.view(K, n)
        log_ratio = (self.betas - self.betas[partners]).double()[:, None] * (D[partners] - D)
        swap = log_ratio.nan_to_num(nan=0.0).clamp(max=0).exp()
        lower = torch.minimum(partners, rungs)
        trade: Bool[Tensor, "K n"] = uniform_like(D, rng)[lower] < swap
        trade = trade & (partners != rungs)[:, None]
        rates = torch.where(partners > rungs, swap.mean(1), -1.0)[:-1]
        return Rungs(Seen(*(exchanged(part, trade, partners) for part in seen)), not odd, rates)
