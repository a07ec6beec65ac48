"""Rounds: log Z again and again with more temperatures or steps, until its bracket is narrow or the budget spent."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import torch

from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.annealing import forward, reverse
from ebm_cli.partition.bracket import Backward, Bracketed, bracket, collapsed
from ebm_cli.partition.integration import integrated
from ebm_cli.partition.model_chains import ModelChains
from ebm_cli.partition.particles import groups_of, particles
from ebm_cli.partition.path import Way
from ebm_cli.partition.pilot import Pilot, lead
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.unseen import BUDGETED, LOOKS, looks_within
from ebm_cli.rng import generator
from ebm_cli.run.terminal import Stopped

# Of the target, what the next round aims at; and by how much a round may grow at most.
AIM, GROWTH, LONGER = 0.9, 8.0, 1.6
# Steps of the pilot that a rung of the model's ladder spans; of a flight, at most.
APART, FLIGHT = 2, 6
LEAST_STEPS = 100
# The model's chains with those that their verdict begins elsewhere, over the chains alone; gradients of a NUTS flight.
JUDGED, NUTS_FLIGHT = 1.1, 7
# Evaluations that a verdict's descents take beside its looks, about, until one has told.
DESCENTS = 4500


@dataclass(frozen=True)
class Size:
    """temperatures: steps of a path. steps: of the model's chains, all rounds together."""

    temperatures: int
    steps: int


@dataclass
class Search:
    """What rounds share: the way, the pilot, the model's chains that go on from round to round, random numbers.

    verdict: on these chains, as long as they are. descents: evaluations that the next verdict takes beside its chains,
    about: those of the last one, looks and Hessians among them, until it has found no mode elsewhere.
    """

    way: Way
    recipe: Recipe
    pilot: Pilot
    chains: ModelChains
    rng: torch.Generator
    descents: int
    verdict: Estimate | None = None

    def ask_more(self, steps: int) -> Estimate:
        """The verdict on the model's chains once they have made so many steps."""
        chains, spending = self.chains, self.way.spending
        if self.verdict is None or steps > len(chains.z):
            chains.extend(steps - len(chains.z), self.rng)
            before = spending.spent
            self.verdict = chains.mixing(self.rng)
            took = max(0, spending.spent - before - int((JUDGED - 1) * chains.cost(len(chains.z))))
            self.descents = 0 if chains.region else took
        return self.verdict

    def cost(self, size: Size) -> int:
        """About how many evaluations a round takes, the verdict's own chains included."""
        paths = 0 if self.recipe.method == "ti" else size.temperatures * self.path_cost
        return paths + int(JUDGED * self.chains.cost(size.steps)) + self.descents

    @property
    def least(self) -> int:
        """The budget of the least round, with the share of it that is spent on looks."""
        budget = self.way.spending.budget
        rest = self.way.spending.spent + self.cost(Size(2, LEAST_STEPS)) - looks_within(budget)
        return rest + min(LOOKS, math.ceil(rest * BUDGETED / (1 - BUDGETED)))

    @property
    def path_cost(self) -> int:
        """Evaluations that one step of β takes, there and back."""
        flight = {"hmc": self.recipe.leapfrog_steps, "mala": 1, "nuts": NUTS_FLIGHT}[self.recipe.kernel]
        return 2 * self.recipe.chains * flight


def closed(way: Way, recipe: Recipe, seed: int) -> Estimate:
    """log Z by rounds, of which the last with a value stands, in nats.

    Raises Stopped where a signal comes before the first is done.
    """
    rng = generator(seed, "partition", way.space.middle.device)
    with frozen(way.space), torch.no_grad():
        search = begun(way, recipe, seed, rng)
        if search is None:
            return refused(no_path(way.spending), "nats")
        size = first(search)
        if size is None:
            said = f"budget={way.spending.budget:,} is too small for a round: raise it beyond {search.least:,}"
            return refused(said, "nats")
        one = integral if recipe.method == "ti" else both_ways
        found = None
        while size is not None:
            try:
                found = one(search, size)
            except Stopped as stop:
                if found is None:
                    raise
                return with_cost(found.estimate, way).with_caution([str(stop)])
            size = following(search, size, found)
    assert found is not None
    return in_target(with_cost(found.estimate, way), way.spending)


def no_path(spending: Spending) -> str:
    """Why the pilot did not reach the model."""
    if spending.left == 0:
        return (
            f"budget={spending.budget:,} is too small: it is spent before a path leads from the base to the model; "
            "raise budget"
        )
    return "no path leads from the base to the model in 2,000 steps: another base, or more data"


def begun(way: Way, recipe: Recipe, seed: int, rng: torch.Generator) -> Search | None:
    """The pilot, and the model's chains at the states to which it led."""
    pilot, seen = lead(way, recipe, rng)
    if pilot is None:
        return None
    apart = 1 if recipe.method == "ti" else APART
    rungs = max(3, math.ceil(len(pilot.betas) / apart) + 1)
    chains = ModelChains.begin(way, pilot, seen.z, rungs, flight_of(pilot), seed)
    return Search(way, recipe, pilot, chains, rng, DESCENTS + looks_within(way.spending.budget))


def flight_of(pilot: Pilot) -> int:
    """Leapfrog steps of a flight a quarter of a normal's period long at the model's own step size, within reason."""
    return int(np.clip(round(math.pi / 2 / pilot.sizes[-1]), 3, FLIGHT))


def both_ways(search: Search, size: Size) -> Bracketed:
    """One round of paths there and back."""
    way, recipe, rng = search.way, search.recipe, search.rng
    schedule = search.pilot.schedule(size.temperatures)
    if recipe.method == "smc":
        log_w, _ = particles(way, schedule, *groups_of(recipe.chains), rng)
    else:
        log_w, _ = forward(way, schedule, recipe.chains, rng)
    forth = log_w.cpu().numpy()
    # Paths back say nothing where those forth are refused.
    back = None if collapsed(forth) else backward(search, size)
    method = "bridge" if recipe.method == "auto" else recipe.method
    return shifted(bracket(forth, back, method), way.space.log_volume)


def backward(search: Search, size: Size) -> Backward:
    """The weights of as many paths back as there are forth, from the model's chains; none where these do not mix."""
    mixing = search.ask_more(size.steps)
    if mixing.verdict == "refused":
        return Backward(None, mixing, search.chains.contradicted)
    ladders = search.chains.z[0].shape[0]
    z = search.chains.draws(max(1, search.recipe.chains // ladders))
    log_w = reverse(search.way, search.pilot.schedule(size.temperatures), z, search.rng)
    return Backward(log_w.view(ladders, -1).cpu().numpy(), mixing)


def integral(search: Search, size: Size) -> Bracketed:
    """One round of thermodynamic integration."""
    mixing = search.ask_more(size.steps)
    chains = search.chains
    drives = torch.stack(chains.drives[chains.begun :]).flip(1).cpu().numpy()
    betas = chains.ladder.betas.flip(0).double().cpu().numpy()
    return shifted(integrated(betas, drives, mixing), search.way.space.log_volume)


def shifted(found: Bracketed, offset: float) -> Bracketed:
    """The same with `offset` added to value and ends."""
    e = found.estimate
    if isinstance(e.value, list):
        return found
    lower, upper = (None if end is None else end + offset for end in (e.lower, e.upper))
    value = None if e.value is None else e.value + offset
    return dataclasses.replace(found, estimate=dataclasses.replace(e, value=value, lower=lower, upper=upper))


def first(search: Search) -> Size | None:
    """The recipe's own size, or as much of it as the budget allows; None where that is no round at all.

    The model's chains make at least 100 steps, and paths have what is left.
    """
    size = Size(search.recipe.temperatures, search.recipe.steps)
    fixed, left = search.descents, search.way.spending.left
    share = min(1.0, (left - fixed) / (search.cost(size) - fixed))
    size = Size(int(share * size.temperatures), int(share * size.steps))
    if size.steps < LEAST_STEPS:
        rest = left - search.cost(Size(0, LEAST_STEPS))
        affordable = size.temperatures if search.recipe.method == "ti" else int(rest / search.path_cost)
        size = Size(min(size.temperatures, affordable), LEAST_STEPS)
        if rest < 0:
            return None
    return None if size.temperatures < 2 else size


def following(search: Search, size: Size, found: Bracketed) -> Size | None:
    """The next round's size; None where the target is met, there is none, or the budget allows no more."""
    target, left = search.way.spending.target, search.way.spending.left
    if target is None or search.chains.mass_elsewhere:
        return None
    e = found.estimate
    ladder = JUDGED * search.chains.cost(1)
    if search.recipe.method == "ti" or (e.value is not None and e.upper is None):
        # Not mixed yet, or all there is to it: longer chains.
        if width(e) <= target:
            return None
        longer = int(min(LONGER * size.steps, size.steps + (left - search.descents) / ladder))
        return None if longer < 1.25 * size.steps else Size(size.temperatures, longer)
    unsure = search.verdict is not None and search.verdict.verdict == "caution"
    if width(e) <= target and not unsure:
        return None
    steps = int(LONGER * size.steps) if unsure else size.steps
    factor = 1.0 if width(e) <= target else min(GROWTH, needed(found, target))
    if steps > size.steps:
        left -= (steps - size.steps) * ladder + search.descents
    affordable = left / search.path_cost
    temperatures = int(min(factor * size.temperatures, affordable))
    if temperatures < size.temperatures or (steps == size.steps and temperatures < 1.25 * size.temperatures):
        return None
    return Size(temperatures, steps)


def width(estimate: Estimate) -> float:
    """Of the bracket, ∞ where an end is missing."""
    return math.inf if estimate.lower is None or estimate.upper is None else estimate.upper - estimate.lower


def needed(found: Bracketed, target: float) -> float:
    """By what factor temperatures must grow: the gap falls as 1/factor, the errors beside it as 1/√factor."""
    w, gap = width(found.estimate), found.gap
    if gap is None or not math.isfinite(w):
        return 2.0
    gap = max(gap, 0.0)
    errors, aim = max(w - gap, 0.0), AIM * target
    root = (errors + math.sqrt(errors**2 + 4 * aim * gap)) / (2 * aim)
    return max(root**2, 1.25)


def with_cost(estimate: Estimate, way: Way) -> Estimate:
    """The estimate, its reason with where paths began and what was spent."""
    cost = f"from {way.base.said}, {way.spending.spent:,} gradients"
    return dataclasses.replace(estimate, reasons=(*estimate.reasons, cost))


def in_target(estimate: Estimate, spending: Spending) -> Estimate:
    """The estimate under caution where its bracket is wider than was aimed at."""
    if spending.target is None or estimate.upper is None or width(estimate) <= spending.target:
        return estimate
    return estimate.with_caution([f"the budget is spent before target={spending.target:g} nats is met: raise budget"])
