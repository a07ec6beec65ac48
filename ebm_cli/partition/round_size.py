"""The size of the next round: as much as the bracket lacks, within what remains of the budget."""

import math

from ebm_cli.partition.bracket import BracketResult
from ebm_cli.partition.log_z_search import MIN_CHAIN_STEPS, VERDICT_COST_FACTOR, LogZSearch, RoundSize, width

# Maximum growth of the number of temperatures per round, and the growth below which a round is not worth its cost.
MAX_GROWTH, MIN_GROWTH = 8.0, 1.25
# Fraction of the target width that the next round aims for.
TARGET_FRACTION = 0.9
# Growth factor of the chain length.
CHAIN_GROWTH = 1.6


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
    met = search.uncertainty(e) <= target
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
    # Chains do not run in a round whose forward paths collapse, so that a later round may need all their steps.
    if (missing := steps - len(search.chains.z)) > 0:
        remaining -= missing * chain_step_cost + search.descent_cost
    temperatures = int(min(factor * size.temperatures, remaining / search.path_cost))
    if temperatures < size.temperatures or (steps == size.steps and temperatures < MIN_GROWTH * size.temperatures):
        return None
    return RoundSize(temperatures, steps)


def growth_needed(result: BracketResult, target: float) -> float:
    """Return the factor by which temperatures must grow: the gap falls as 1/factor, the errors as 1/√factor."""
    w, gap = width(result.estimate), result.gap
    if gap is None or not math.isfinite(w):
        return 2.0
    gap = max(gap, 0.0)
    errors, aim = max(w - gap, 0.0), TARGET_FRACTION * target
    root = (errors + math.sqrt(errors**2 + 4 * aim * gap)) / (2 * aim)
    return max(root**2, MIN_GROWTH)
