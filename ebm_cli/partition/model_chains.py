"""Chains of the model: draws at which reverse paths start, and ΔU at every temperature of the path."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.chain.counted_path import AnyCountedPath, counted_model
from ebm_cli.chain.pilot import Ladder, Pilot
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy import CONTINUOUS, space_of
from ebm_cli.estimate import Estimate, refused
from ebm_cli.mixing.verdict import assess_mixing
from ebm_cli.partition.bracket import BLOCKS
from ebm_cli.partition.mode_search import search_missed_modes, search_points
from ebm_cli.sampler import Sampler
from ebm_cli.sampler._replica_exchange import ReplicaExchange
from ebm_cli.sampler._replicas import Replicas

# Fraction of all steps that is discarded at the beginning.
BURN_IN_FRACTION = 0.25
# Number of draws per ladder that the mixing verdict uses.
N_DRAWS = 200


@dataclass
class ModelChains:
    """Replica ladders that can be continued; all their steps are judged together.

    z, u, delta_u: the model's states and energies, and ΔU at all temperatures, one entry per step.
    region: describes the search for further modes, if it found none; empty until it is made.
    mass_elsewhere: True if that search found mass that no chain has been near.
    probes_elsewhere: True if probe chains stay in another region.
    """

    path: AnyCountedPath
    exchange: ReplicaExchange
    leapfrog_steps: int
    kernel: Sampler
    replicas: Replicas
    seed: int
    z: list[Float[Tensor, "n *d"]] = field(default_factory=list)
    u: list[Float[Tensor, " n"]] = field(default_factory=list)
    delta_u: list[Float[Tensor, "K n"]] = field(default_factory=list)
    region: str = ""
    mass_elsewhere: bool = False
    probes_elsewhere: bool = False

    @staticmethod
    def from_pilot(
        path: AnyCountedPath, pilot: Pilot, z: Float[Tensor, "n *d"], ladder: Ladder, seed: int
    ) -> "ModelChains":
        """Return chains that start at some of the states z."""
        exchange = ReplicaExchange(path, ladder.kernel, path.space.temperature, has_draws=True)
        start = exchange.init(z[evenly_spaced(len(z), BLOCKS)], ladder.betas, ladder.step_factors)
        return ModelChains(path, exchange, ladder.kernel.passes, pilot.kernel_at(1.0), start, seed)

    def cost(self, steps: int) -> int:
        """Return the number of evaluations of this many steps, without those of the mixing verdict."""
        *moving, _ = self.exchange.layout(self.replicas.betas).evaluations()
        return steps * len(self.replicas.energy) * (sum(moving) * self.leapfrog_steps + 1)

    def extend(self, steps: int, rng: torch.Generator) -> None:
        """Continue for this many steps."""
        n = len(self.replicas.energy)
        for _ in range(steps):
            self.replicas, _ = self.exchange.step(self.replicas, rng)
            # Copies, because a view would keep the states of all replicas.
            self.z.append(self.replicas.states.z[:n].clone())
            self.u.append(self.replicas.states.u[:n].clone())
            self.delta_u.append(self.exchange.delta_u(self.replicas))

    @property
    def contradicted(self) -> bool:
        """Return True if these chains are known to lack mass."""
        return self.mass_elsewhere or self.probes_elsewhere

    @property
    def burn_in_steps(self) -> int:
        """Return the number of steps that are discarded."""
        return int(BURN_IN_FRACTION * len(self.z))

    def mixing(self, rng: torch.Generator) -> Estimate:
        """Return the mixing verdict, which also needs probe chains and a search for further modes.

        Probe chains use the plain kernel, because a ladder would bring them back without mixing. If the chains are
        mixed, the reason describes the search. It is not repeated, because longer chains do not change its result. For
        discrete states and angles, probe chains from uniform states are the search.
        """
        thin = max(1, (len(self.z) - self.burn_in_steps) // N_DRAWS)
        z, u = (torch.stack(part[self.burn_in_steps :: thin], 1) for part in (self.z, self.u))
        space = space_of(self.path.space)
        chains = Chains(z.double().cpu().numpy(), potential=u.double().cpu().numpy(), thin=thin, space=space)
        energy = counted_model(self.path.segments[-1])
        # The check of the chains' temperature differentiates E twice.
        with torch.enable_grad():
            result = assess_mixing(ChainContext(chains, energy, 1.0, self.kernel), self.seed)
        verdict, self.probes_elsewhere = result.estimate, result.separate
        if verdict.verdict == "refused":
            return verdict
        if space not in CONTINUOUS:
            return verdict
        if not self.region:
            budget = self.path.budget
            points = search_points(budget.max_gradients)
            search = search_missed_modes(self.path.energy_at(1.0), z, points, rng, budget.charge)
            if search.missed:
                self.mass_elsewhere = True
                return refused(f"not mixed: {search.missed}")
            self.region = search.region
        return verdict if verdict.verdict == "caution" else dataclasses.replace(verdict, reasons=(self.region,))

    def draws(self, each: int) -> Float[Tensor, "n *d"]:
        """Return the same number of states of each ladder, evenly spaced, ladder by ladder."""
        kept = self.z[self.burn_in_steps :]
        chosen = [kept[i] for i in np.linspace(0, len(kept) - 1, each + 1).astype(int)[1:]]
        return torch.stack(chosen, 1).flatten(0, 1)
