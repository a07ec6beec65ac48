"""Rounds of estimates of log Z with more temperatures or steps, until the bracket is narrow or the budget is used."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.annealing import ais_forward, ais_reverse
from ebm_cli.partition.bracket import BracketResult, ReversePaths, bracket, is_collapsed
from ebm_cli.partition.integration import thermodynamic_integral
from ebm_cli.partition.mode_search import MAX_SEARCH_POINTS, SEARCH_BUDGET_FRACTION, search_points
from ebm_cli.partition.model_chains import ModelChains
from ebm_cli.partition.particles import group_sizes, smc
from ebm_cli.partition.pilot import MAX_STEPS, Pilot, run_pilot
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.path.annealing_path import AnnealingPath
from ebm_cli.path.budget import Budget
from ebm_cli.rng import generator
from ebm_cli.run.terminal import Stopped

# Fraction of the target width that the next round aims for.
TARGET_FRACTION = 0.9
# Maximum growth of the number of temperatures per round, and the growth below which a round is not worth its cost.
MAX_GROWTH, MIN_GROWTH = 8.0, 1.25
# Growth factor of the chain length.
CHAIN_GROWTH = 1.6
# Steps of the pilot between replicas of the model's ladder, and maximum length of their trajectories.
REPLICA_SPACING, MAX_LEAPFROG_STEPS = 2, 6
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

    path: AnnealingPath
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
        length = {"hmc": self.settings.leapfrog_steps, "mala": 1, "nuts": NUTS_LEAPFROG_STEPS}[self.settings.kernel]
        return 2 * self.settings.chains * length


def estimate_log_z(path: AnnealingPath, settings: LogZSettings, seed: int) -> Estimate:
    """Return log Z in nats by rounds; the last round with a value gives the result.

    Raises Stopped if a signal arrives before the first round is finished.
    """
    rng = generator(seed, "partition", path.space.center.device)
    with frozen(path.space), torch.no_grad():
        search = start_search(path, settings, seed, rng)
        if search is None:
            return refused(pilot_failure(path.budget), "nats")
        size = first_round_size(search)
        if size is None:
            limit = path.budget.max_gradients
            return refused(
                f"budget={limit:,} is too small for one round; increase it above {search.min_budget:,}", "nats"
            )
        result = None
        while size is not None:
            try:
                result = run_round(search, size)
            except Stopped as stop:
                if result is None:
                    raise
                return with_cost(result.estimate, path).with_caution([str(stop)])
            size = next_round_size(search, size, result)
    assert result is not None
    return checked_width(with_cost(result.estimate, path), path.budget)


def pilot_failure(budget: Budget) -> str:
    """Return why the pilot did not reach the model."""
    if budget.remaining == 0:
        return (
            f"budget={budget.max_gradients:,} is too small: it was used before annealing reached the model; increase "
            "budget"
        )
    return (
        f"the base distribution is too far from the model: annealing did not reach it in {MAX_STEPS:,} temperature "
        "steps; try another base or provide more data"
    )


def start_search(path: AnnealingPath, settings: LogZSettings, seed: int, rng: torch.Generator) -> LogZSearch | None:
    """Run the pilot and start the model's chains at its final states; None if the pilot fails."""
    pilot, states = run_pilot(path, settings, rng)
    if pilot is None:
        return None
    spacing = 1 if settings.method == "ti" else REPLICA_SPACING
    replicas = max(3, math.ceil(len(pilot.betas) / spacing) + 1)
    chains = ModelChains.from_pilot(path, pilot, states.z, replicas, trajectory_length(pilot), seed)
    return LogZSearch(path, settings, pilot, chains, rng, DESCENT_COST + search_points(path.budget.max_gradients))


def trajectory_length(pilot: Pilot) -> int:
    """Return the number of leapfrog steps, 3 to 6, of a quarter of a normal's period at the model's step size."""
    return int(np.clip(round(math.pi / 2 / pilot.step_sizes[-1]), 3, MAX_LEAPFROG_STEPS))


def run_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return log Z by one round of the settings' method."""
    one = integration_round if search.settings.method == "ti" else annealing_round
    return plus_constant(one(search, size), search.path.space.log_volume)


def annealing_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return the bracket of one round of paths in both directions."""
    path, settings, rng = search.path, search.settings, search.rng
    schedule = search.pilot.schedule(size.temperatures)
    if settings.method == "smc":
        log_w, _ = smc(path, schedule, *group_sizes(settings.chains), rng)
    else:
        log_w, _ = ais_forward(path, schedule, settings.chains, rng)
    forward_log_w = log_w.cpu().numpy()
    # Collapsed forward paths are refused whatever the reverse paths are.
    reverse = None if is_collapsed(forward_log_w) else reverse_paths(search, size)
    return bracket(forward_log_w, reverse, "bridge" if settings.method == "auto" else settings.method)


def reverse_paths(search: LogZSearch, size: RoundSize) -> ReversePaths:
    """Return as many reverse paths as forward paths, from the model's chains; none if these are not mixed."""
    mixing = search.extended_verdict(size.steps)
    if mixing.verdict == "refused":
        return ReversePaths(None, mixing, search.chains.contradicted)
    ladders = search.chains.z[0].shape[0]
    z = search.chains.draws(max(1, search.settings.chains // ladders))
    log_w = ais_reverse(search.path, search.pilot.schedule(size.temperatures), z, search.rng)
    return ReversePaths(log_w.view(ladders, -1).cpu().numpy(), mixing)


def integration_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return the bracket of one round of thermodynamic integration."""
    mixing = search.extended_verdict(size.steps)
    chains = search.chains
    delta_u = torch.stack(chains.delta_u[chains.burn_in_steps :]).flip(1).cpu().numpy()
    betas = chains.ladder.betas.flip(0).double().cpu().numpy()
    return thermodynamic_integral(betas, delta_u, mixing)


def plus_constant(result: BracketResult, constant: float) -> BracketResult:
    """Return the result with a constant added to value and bounds."""
    e = result.estimate
    numbers = {name: v + constant for name in ("value", "lower", "upper") if isinstance(v := getattr(e, name), float)}
    return dataclasses.replace(result, estimate=dataclasses.replace(e, **numbers))


def first_round_size(search: LogZSearch) -> RoundSize | None:
    """Return the size in the settings, reduced as the budget requires; None if the budget is too small.

    The model's chains make at least 100 steps, and paths use what is left.
    """
    settings, remaining = search.settings, search.path.budget.remaining
    size, fixed = RoundSize(settings.temperatures, settings.steps), search.descent_cost
    fraction = min(1.0, (remaining - fixed) / (search.cost(size) - fixed))
    size = RoundSize(int(fraction * size.temperatures), int(fraction * size.steps))
    if size.steps < MIN_CHAIN_STEPS:
        rest = remaining - search.cost(RoundSize(0, MIN_CHAIN_STEPS))
        affordable = size.temperatures if settings.method == "ti" else int(rest / search.path_cost)
        size = RoundSize(min(size.temperatures, affordable), MIN_CHAIN_STEPS)
        if rest < 0:
            return None
    return None if size.temperatures < 2 else size


def next_round_size(search: LogZSearch, size: RoundSize, result: BracketResult) -> RoundSize | None:
    """Return the size of the next round; None if the target is met or the budget does not allow another round."""
    target, remaining = search.path.budget.target_width, search.path.budget.remaining
    if target is None or search.chains.mass_elsewhere:
        return None
    e = result.estimate
    chain_step_cost = VERDICT_COST_FACTOR * search.chains.cost(1)
    met = width(e) <= target
    if search.settings.method == "ti" or (e.value is not None and e.upper is None):
        # Longer chains narrow the bounds of integration, and chains that are not mixed give no upper bound.
        if met:
            return None
        affordable = size.steps + (remaining - search.descent_cost) / chain_step_cost
        longer = int(min(CHAIN_GROWTH * size.steps, affordable))
        return RoundSize(size.temperatures, longer) if longer >= MIN_GROWTH * size.steps else None
    unsure = search.verdict is not None and search.verdict.verdict == "caution"
    if met and not unsure:
        return None
    steps = int(CHAIN_GROWTH * size.steps) if unsure else size.steps
    factor = 1.0 if met else min(MAX_GROWTH, growth_needed(result, target))
    if steps > size.steps:
        remaining -= (steps - size.steps) * chain_step_cost + search.descent_cost
    temperatures = int(min(factor * size.temperatures, remaining / search.path_cost))
    if temperatures < size.temperatures or (steps == size.steps and temperatures < MIN_GROWTH * size.temperatures):
        return None
    return RoundSize(temperatures, steps)


def width(estimate: Estimate) -> float:
    """Return the width of the bracket; ∞ if a bound is missing."""
    return math.inf if estimate.lower is None or estimate.upper is None else estimate.upper - estimate.lower


def growth_needed(result: BracketResult, target: float) -> float:
    """Return the factor by which temperatures must grow: the gap falls as 1/factor, the errors as 1/√factor."""
    w, gap = width(result.estimate), result.gap
    if gap is None or not math.isfinite(w):
        return 2.0
    gap = max(gap, 0.0)
    errors, aim = max(w - gap, 0.0), TARGET_FRACTION * target
    root = (errors + math.sqrt(errors**2 + 4 * aim * gap)) / (2 * aim)
    return max(root**2, MIN_GROWTH)


def with_cost(estimate: Estimate, path: AnnealingPath) -> Estimate:
    """Return the estimate with the base and the number of gradients in its reason."""
    cost = f"paths start at {path.base.description}; {path.budget.used:,} gradients"
    return dataclasses.replace(estimate, reasons=(*estimate.reasons, cost))


def checked_width(estimate: Estimate, budget: Budget) -> Estimate:
    """Return the estimate, with a caution if its bracket is wider than the target."""
    if budget.target_width is None or estimate.upper is None or width(estimate) <= budget.target_width:
        return estimate
    target = f"target={budget.target_width:g} nats"
    return estimate.with_caution([f"the budget was used before the bracket reached {target}: increase budget"])
