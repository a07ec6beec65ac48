"""Replica exchange along the path: replicas from the model to the base, where every step is a new exact draw."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.partition.pilot import Pilot
from ebm_cli.path.annealing_path import AnnealingPath, PathStates
from ebm_cli.path.swap import swap_partners, swap_replicas
from ebm_cli.rng import normal_like
from ebm_cli.sampler import State, hmc, uniform_like

JITTER = 0.3


class ReplicaStates(NamedTuple):
    """states: K·n rows, replica by replica, the model's first and the base's last. odd: which pairs swap next."""

    states: PathStates
    odd: bool


@dataclass(frozen=True)
class ReplicaLadder:
    """K replicas at 1 = β₁ > … > β_K = 0: an HMC transition of each, a new draw of the last; then neighbors swap.

    Replicas i and j swap with probability min(1, exp((βᵢ − βⱼ)(ΔUⱼ − ΔUᵢ))), ΔU = U₀ − U: Swendsen and Wang, 1986; even
    and odd pairs alternate (Syed et al., 2022). Exact at every β. States that arrive from β = 0 are independent of all
    earlier ones.

    betas: falling from 1 to 0.
    step_sizes: one per β.
    leapfrog_steps: of each trajectory (≥ 1).
    """

    path: AnnealingPath
    betas: Float[Tensor, " K"]
    step_sizes: Float[Tensor, " K"]
    leapfrog_steps: int

    @staticmethod
    def from_pilot(path: AnnealingPath, pilot: Pilot, replicas: int, leapfrog_steps: int) -> "ReplicaLadder":
        """Return a ladder whose replicas are equal parts of the pilot's path apart."""
        betas = pilot.schedule(replicas - 1).betas[::-1]
        step_sizes = [pilot.kernel_at(beta).step_size for beta in betas]
        like = path.space.center
        return ReplicaLadder(path, like.new_tensor(betas), like.new_tensor(step_sizes), leapfrog_steps)

    def init(self, z: Float[Tensor, "n d"]) -> ReplicaStates:
        """Return replicas that all start at z."""
        return ReplicaStates(self.path.evaluate(z.repeat(len(self.betas), 1)), False)

    def step(self, replicas: ReplicaStates, rng: torch.Generator) -> ReplicaStates:
        """Move all replicas but the base's, draw the base's, and swap."""
        K = len(self.betas)
        n = len(replicas.states.u) // K
        moved = self.advance_replicas(replicas.states.select(slice((K - 1) * n)), n, rng)
        drawn = self.path.draw_base(n, rng)
        states = PathStates(*(torch.cat(parts) for parts in zip(moved, drawn, strict=True)))
        partners = swap_partners(K, replicas.odd, self.betas.device)
        delta_u = states.delta_u.view(K, n)
        log_ratio = (self.betas - self.betas[partners]).double()[:, None] * (delta_u[partners] - delta_u)
        swap = swap_replicas(log_ratio.nan_to_num(nan=0.0), uniform_like(delta_u, rng), partners)
        return ReplicaStates(PathStates(*(swap.apply(part) for part in states)), not replicas.odd)

    def advance_replicas(self, states: PathStates, n: int, rng: torch.Generator) -> PathStates:
        """Move every replica but the base's by one HMC transition."""
        β, ε = (v[:-1].repeat_interleave(n) for v in (self.betas, self.step_sizes))
        state = State(states.z, *states.energy_and_grad(β))
        ξ, u = normal_like(states.z, rng), uniform_like(states.u, rng)
        ε = hmc.jittered(ε, JITTER, uniform_like(states.u, rng))
        new, _ = hmc.transition(self.path.energy_at(β), state, ξ, u, ε, self.leapfrog_steps, T=1.0)
        return self.path.from_tempered(new.x, new.energy, new.grad, β)
