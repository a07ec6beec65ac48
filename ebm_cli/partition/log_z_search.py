"""What the rounds of an estimate of log Z share: pilot, chains of the model, their verdict, the cost of a round."""

import math
from dataclasses import dataclass

import torch

from ebm_cli.chain.anchor_choice import choose_anchors
from ebm_cli.chain.counted_path import AnyCountedPath, CountedPiecewisePath, counted
from ebm_cli.chain.path_kernels import discrete_kernel
from ebm_cli.chain.pilot import REPLICA_SPACING, Pilot, run_pilot
from ebm_cli.data import DISCRETE
from ebm_cli.energy import space_of
from ebm_cli.estimate import Estimate
from ebm_cli.partition.mode_search import MAX_SEARCH_POINTS, SEARCH_BUDGET_FRACTION, search_points
from ebm_cli.partition.model_chains import ModelChains
from ebm_cli.partition.settings import LogZSettings

MIN_CHAIN_STEPS = 100
# Cost of the chains with their mixing verdict, relative to the chains.
VERDICT_COST_FACTOR = 1.1
# Typical number of gradients of a NUTS trajectory.
NUTS_LEAPFROG_STEPS = 7
# Typical cost of the descents of the first mixing verdict, without its search points.
DESCENT_COST = 4500


@dataclass(frozen=True)
class RoundSize:
    """temperatures: steps of a path. steps: length of the model's chains, over all rounds."""

    temperatures: int
    steps: int


@dataclass
class LogZSearch:
    """State that rounds share.

    verdict: on the chains at their present length; None before the first.
    descent_cost: expected cost of the next verdict without its chains: that of the last one, including search points
        and Hessians, until a search has found no further mode.
    """

    path: AnyCountedPath
    settings: LogZSettings
    pilot: Pilot
    chains: ModelChains
    rng: torch.Generator
    descent_cost: int
    verdict: Estimate | None = None

    def extended_verdict(self, steps: int) -> Estimate:
        """Return the verdict on the model's chains at this length."""
        chains, budget = self.chains, self.path.budget
        if self.verdict is None or steps > len(chains.z):
            chains.extend(steps - len(chains.z), self.rng)
            before = budget.used
            self.verdict = chains.mixing(self.rng)
            cost = budget.used - before - int((VERDICT_COST_FACTOR - 1) * chains.cost(len(chains.z)))
            self.descent_cost = 0 if chains.region else max(0, cost)
        return self.verdict

    def cost(self, size: RoundSize) -> int:
        """Return the expected number of evaluations of a round."""
        paths = 0 if self.settings.method == "ti" else size.temperatures * self.path_cost
        return paths + int(VERDICT_COST_FACTOR * self.chains.cost(size.steps)) + self.descent_cost

    def uncertainty(self, estimate: Estimate) -> float:
        """Return what the target limits, in nats: the width of the bracket, or of ± 2 errors of a multistate estimate.

        Only more models, and not longer chains, narrow the bracket along a path through several models.
        """
        if len(self.path.segments) == 1:
            return width(estimate)
        return 4 * estimate.se if isinstance(estimate.se, float) else math.inf

    @property
    def min_budget(self) -> int:
        """Return the budget of the smallest round, including its search points."""
        budget = self.path.budget
        rest = budget.used + self.cost(RoundSize(2, MIN_CHAIN_STEPS)) - search_points(budget.max_gradients)
        points = math.ceil(rest * SEARCH_BUDGET_FRACTION / (1 - SEARCH_BUDGET_FRACTION))
        return rest + min(MAX_SEARCH_POINTS, points)

    @property
    def path_cost(self) -> int:
        """Return the number of evaluations of one step of β in both directions."""
        lengths = {"hmc": self.settings.leapfrog_steps, "mala": 1, "nuts": NUTS_LEAPFROG_STEPS}
        length = 1 if space_of(self.path.space) in DISCRETE else lengths[self.settings.kernel]
        return 2 * self.settings.chains * length


def width(estimate: Estimate) -> float:
    """Return the width of the bracket; ∞ if a bound is missing."""
    return math.inf if estimate.lower is None or estimate.upper is None else estimate.upper - estimate.lower


def start_search(
    path: AnyCountedPath, settings: LogZSettings, seed: int, rng: torch.Generator, chooses_anchors: bool = False
) -> LogZSearch | None:
    """Run the pilot and start the model's chains at its final states; None if the pilot fails.

    chooses_anchors: True to leave out models of the path that are not needed.
    """
    kernel = discrete_kernel(path.space.energy) if space_of(path.space) in DISCRETE else settings.path_kernel
    pilot, states = run_pilot(path, kernel, settings.chains, rng)
    if pilot is None:
        return None
    # The trapezoid rule of integration needs more temperatures than swaps do.
    spacing = 1 if settings.method == "ti" and len(path.segments) == 1 else REPLICA_SPACING
    anchors = choose_anchors(path, pilot.populations) if chooses_anchors else pilot.anchors
    if len(anchors) < len(pilot.anchors):
        assert isinstance(path, CountedPiecewisePath)
        path = counted(path.with_anchors(anchors), path.budget)
    chains = ModelChains.from_pilot(path, pilot, states.z, pilot.ladder_through(anchors, spacing), seed)
    return LogZSearch(path, settings, pilot, chains, rng, DESCENT_COST + search_points(path.budget.max_gradients))
