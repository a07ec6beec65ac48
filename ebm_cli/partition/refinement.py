"""Rounds of estimates of log Z with more temperatures or steps, until the bracket is narrow or the budget is used."""

import dataclasses

import torch

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import AnyCountedPath, CountedPath
from ebm_cli.chain.pilot import MAX_STEPS
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused, rounded_up
from ebm_cli.partition.annealing import ais_forward, ais_reverse
from ebm_cli.partition.bracket import BracketResult, ReversePaths, bracket
from ebm_cli.partition.integration import thermodynamic_integral
from ebm_cli.partition.log_weights import is_collapsed
from ebm_cli.partition.log_z_search import LogZSearch, RoundSize, start_search
from ebm_cli.partition.particles import group_sizes, smc
from ebm_cli.partition.replica_log_z import replica_log_z
from ebm_cli.partition.round_size import first_round_size, growth_needed, next_round_size
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.rng import generator
from ebm_cli.run.terminal import Stopped


def estimate_log_z(path: AnyCountedPath, settings: LogZSettings, seed: int, chooses_anchors: bool = False) -> Estimate:
    """Return log Z in nats by rounds; the last round with a value gives the result.

    chooses_anchors: True to leave out models of the path that are not needed.
    Raises Stopped if a signal arrives before the first round is finished.
    """
    rng = generator(seed, "partition", path.space.center.device)
    with frozen(path.space), torch.no_grad():
        search = start_search(path, settings, seed, rng, chooses_anchors)
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
    return checked_width(with_cost(result.estimate, path), search, result)


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


def run_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return log Z by one round of the settings' method, or by replicas along a path through several models."""
    if len(search.path.segments) > 1:
        return replica_round(search, size)
    one = integration_round if search.settings.method == "ti" else annealing_round
    return plus_constant(one(search, size), search.path.space.log_volume)


def annealing_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return the bracket of one round of paths in both directions."""
    path, settings, rng = linear_path(search), search.settings, search.rng
    schedule = search.pilot.schedule(size.temperatures)
    if settings.method == "smc":
        log_w, _ = smc(path, schedule, *group_sizes(settings.chains), rng)
    else:
        log_w, _ = ais_forward(path, schedule, settings.chains, rng)
    forward_log_w = log_w.cpu().numpy()
    # Collapsed forward paths are refused whatever the reverse paths are.
    reverse = None if is_collapsed(forward_log_w) else reverse_paths(search, size)
    return bracket(forward_log_w, reverse, "bridge" if settings.method == "auto" else settings.method)


def linear_path(search: LogZSearch) -> CountedPath:
    """Return the path of one segment, along which states are annealed."""
    assert isinstance(search.path, CountedPath)
    return search.path


def reverse_paths(search: LogZSearch, size: RoundSize) -> ReversePaths:
    """Return as many reverse paths as forward paths, from the model's chains; none if these are not mixed."""
    mixing = search.extended_verdict(size.steps)
    if mixing.verdict == "refused":
        return ReversePaths(None, mixing, search.chains.contradicted)
    ladders = search.chains.z[0].shape[0]
    z = search.chains.draws(max(1, search.settings.chains // ladders))
    log_w = ais_reverse(linear_path(search), search.pilot.schedule(size.temperatures), z, search.rng)
    return ReversePaths(log_w.view(ladders, -1).cpu().numpy(), mixing)


def replica_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return the multistate estimate and the bounds of one round of replicas."""
    mixing = search.extended_verdict(size.steps)
    chains = search.chains
    delta_u = torch.stack(chains.delta_u[chains.burn_in_steps :]).cpu().numpy()
    betas = chains.replicas.betas.double().cpu().numpy()
    return BracketResult(replica_log_z(betas, delta_u, search.path.space.log_volume, mixing))


def integration_round(search: LogZSearch, size: RoundSize) -> BracketResult:
    """Return the bracket of one round of thermodynamic integration."""
    mixing = search.extended_verdict(size.steps)
    chains = search.chains
    delta_u = torch.stack(chains.delta_u[chains.burn_in_steps :]).flip(1).cpu().numpy()
    betas = chains.replicas.betas.flip(0).double().cpu().numpy()
    return thermodynamic_integral(betas, delta_u, mixing)


def plus_constant(result: BracketResult, constant: float) -> BracketResult:
    """Return the result with a constant added to value and bounds."""
    e = result.estimate
    numbers = {name: v + constant for name in ("value", "lower", "upper") if isinstance(v := getattr(e, name), float)}
    return dataclasses.replace(result, estimate=dataclasses.replace(e, **numbers))


def with_cost(estimate: Estimate, path: AnyCountedPath) -> Estimate:
    """Return the estimate with the base and the number of gradients in its reason."""
    cost = f"paths start at {path.base.description}; {path.budget.used:,} gradients"
    return dataclasses.replace(estimate, reasons=(*estimate.reasons, cost))


def checked_width(estimate: Estimate, search: LogZSearch, last: BracketResult) -> Estimate:
    """Return the estimate, with a caution if its bracket is wider than the target.

    last: the result of the last round.
    """
    budget = search.path.budget
    if budget.target_width is None or estimate.upper is None or search.uncertainty(estimate) <= budget.target_width:
        return estimate
    target, needed = f"target={budget.target_width:g} nats", ""
    if search.settings.method != "ti" and last.gap is not None:
        # Paths of the last round took most of the budget.
        needed = f", to about {rounded_up(budget.used * growth_needed(last, budget.target_width)):,}"
    return estimate.with_caution([f"the budget was used before the bracket reached {target}: increase budget{needed}"])
