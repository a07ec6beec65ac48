"""Chains of the model: draws at which paths back begin, where they are mixed, and the drive at every rung."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, refused
from ebm_cli.mixing.verdict import assess_mixing
from ebm_cli.partition.bracket import BLOCKS
from ebm_cli.partition.ladder import Ladder, Rungs
from ebm_cli.partition.path import CountedPath, Way
from ebm_cli.partition.pilot import Pilot
from ebm_cli.partition.unseen import looks_within, unseen
from ebm_cli.sampler import Sampler

# At the start of all steps, left out.
BURN_IN = 0.25
# Of each ladder, kept for the verdict on mixing.
DRAWS = 200


@dataclass
class ModelChains:
    """Ladders that go on whenever more is asked of them; what they left behind is judged as one.

    z, u, drives: of each step, the model's states and energies and the drive at all rungs. region: where modes
    elsewhere were looked for and none found, in words; empty until that was done. mass_elsewhere: whether that search
    found mass that no chain has been near. probes_elsewhere: whether chains begun elsewhere stay there.
    """

    way: Way
    ladder: Ladder
    kernel: Sampler
    rungs: Rungs
    seed: int
    z: list[Float[Tensor, "n d"]] = field(default_factory=list)
    u: list[Float[Tensor, " n"]] = field(default_factory=list)
    drives: list[Float[Tensor, "K n"]] = field(default_factory=list)
    region: str = ""
    mass_elsewhere: bool = False
    probes_elsewhere: bool = False

    @staticmethod
    def begin(way: Way, pilot: Pilot, z: Float[Tensor, "n d"], rungs: int, flights: int, seed: int) -> "ModelChains":
        """Ladders of so many rungs from states z, flights of so many steps."""
        ladder = Ladder.of(way, pilot, rungs, flights)
        return ModelChains(way, ladder, pilot.kernel_at(1.0), ladder.init(z[evenly_spaced(len(z), BLOCKS)]), seed)

    def cost(self, steps: int) -> int:
        """Evaluations that so many steps take, the verdict's own chains left out."""
        K = len(self.ladder.betas)
        return steps * len(self.rungs.seen.u) // K * ((K - 1) * self.ladder.leapfrog_steps + 1)

    def extend(self, steps: int, rng: torch.Generator) -> None:
        """Go on for so many steps."""
        n = len(self.rungs.seen.u) // len(self.ladder.betas)
        for _ in range(steps):
            self.rungs = self.ladder.step(self.rungs, rng)
            # Copies, as a view would keep the states of all rungs.
            self.z.append(self.rungs.seen.z[:n].clone())
            self.u.append(self.rungs.seen.u[:n].clone())
            self.drives.append(self.rungs.seen.drive.view(-1, n))

    @property
    def contradicted(self) -> bool:
        """Whether these chains are known to lack mass."""
        return self.mass_elsewhere or self.probes_elsewhere

    @property
    def begun(self) -> int:
        """The steps left out."""
        return int(BURN_IN * len(self.z))

    def mixing(self, rng: torch.Generator) -> Estimate:
        """The verdict: they agree, chains begun elsewhere join them by the plain kernel, and no descent ends elsewhere.

        Chains begun elsewhere climb no ladder, which would bring them back without having mixed. Of chains that are
        mixed the reason says where modes elsewhere were looked for; longer chains do not change what is there, so that
        none is looked for again once none was found.
        """
        thin = max(1, (len(self.z) - self.begun) // DRAWS)
        z, u = (torch.stack(part[self.begun :: thin], 1) for part in (self.z, self.u))
        chains = Chains(z.double().cpu().numpy(), potential=u.double().cpu().numpy(), thin=thin)
        model = self.way.at(1.0)
        # The check of the chains' temperature differentiates E twice.
        with torch.enable_grad():
            judged = assess_mixing(ChainContext(chains, CountedPath(self.way, 1.0), 1.0, self.kernel), self.seed)
        verdict, self.probes_elsewhere = judged.estimate, judged.separate
        if verdict.verdict == "refused":
            return verdict
        if not self.region:
            spending = self.way.spending
            looked = unseen(model, z, looks_within(spending.budget), rng, spending.spend)
            if looked.elsewhere:
                self.mass_elsewhere = True
                return refused(f"not mixed: {looked.elsewhere}")
            self.region = looked.region
        return verdict if verdict.verdict == "caution" else dataclasses.replace(verdict, reasons=(self.region,))

    def draws(self, each: int) -> Float[Tensor, "n d"]:
        """The same number of states of each ladder, evenly spaced, ladder by ladder."""
        kept = self.z[self.begun :]
        chosen = [kept[i] for i in np.linspace(0, len(kept) - 1, each + 1).astype(int)[1:]]
        return torch.stack(chosen, 1).flatten(0, 1)
