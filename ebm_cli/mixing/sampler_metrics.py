"""Metrics reported by the sampler: step-size bias and the values tuned during burn-in."""

import dataclasses
from typing import Any, cast

import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.preconditioning import Units
from ebm_cli.chain.quantities import mean_over_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.effective_temperature import EffectiveTemperature
from ebm_cli.energy import frozen, space_of, works_on
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.mixing.replica_metrics import replica_metrics
from ebm_cli.sampler import ReportsBias, Sampler, is_unadjusted
from ebm_cli.sampler.tempering import Tempering

STATES_PER_CHAIN = 20
TUNED = ("step_size", "step_factors", "scales")
# The paths through other models than the base, and their keys with these models.
ANCHORS = ("levels", "runs")


def sampler_metrics(
    trajectory: Trajectory, context: ChainContext, tuning: Tuning, rng: torch.Generator
) -> dict[str, Estimate]:
    """Return the rows of a run's sampler.

    context: the trajectory's draws.
    tuning: what burn-in tuned.
    """
    sampler = trajectory.sampler
    rows = tuned_values(sampler) if tuning.adapt != "none" else {}
    if trajectory.replicas is not None:
        steps = trajectory.steps - trajectory.burn_in_steps
        per_step = float(trajectory.gradients.mean()) / max(trajectory.steps, 1)
        rows |= replica_metrics(trajectory.replicas, max(steps, 1), per_step)
    if is_unadjusted(sampler) and sampler.temperature > 0 and context.energy is not None:
        rows |= bias(trajectory, context.energy, rng)
        if works_on(EffectiveTemperature, space_of(context.energy)):
            rows |= EffectiveTemperature(STATES_PER_CHAIN)(context).estimates
    return rows


def bias(trajectory: Trajectory, energy: nn.Module, rng: torch.Generator) -> dict[str, Estimate]:
    """Return the kernel's own measures of its bias, on up to 20 states of each finite chain."""
    sampler = trajectory.sampler
    finite = trajectory.first_nonfinite_step < 0
    if not isinstance(sampler, ReportsBias) or int(finite.sum()) < 2 or not len(trajectory.x):
        return {}
    x = trajectory.x[:, finite][evenly_spaced(len(trajectory.x), STATES_PER_CHAIN)]
    units = Units.from_sampler(sampler, x[0])
    with frozen(energy), torch.no_grad():
        measures = [sampler.bias(units.energy(energy), units.from_x(states), rng) for states in x]
    return {name: mean_of(torch.stack([each[name] for each in measures])) for name in measures[0]}


def mean_of(measures: Tensor) -> Estimate:
    """Return the mean of measures (state, chain) with its standard error over chains."""
    each = measures.mean(0)
    if not torch.isfinite(each).all():
        return refused("a step from some of the states is not finite. Decrease sampler.step_size")
    return mean_over_chains(each.double().cpu().numpy(), "caution")


def tuned_values(sampler: Sampler) -> dict[str, Estimate]:
    """Return step_size or step_factors, scales and the places of replicas as burn-in left them, by their keys."""
    values = {name: getattr(sampler, name, None) for name in TUNED}
    if isinstance(sampler, Tempering):
        values |= {key: getattr(sampler.path, key, None) for key in (*ANCHORS, sampler.path.schedule_key)}
    return {name: Estimate(value) for name, value in values.items() if isinstance(value, float | list)}


def with_tuned_values(sampler: Sampler, metrics: dict[str, Any]) -> Sampler:
    """Return the sampler with the values in a run's metrics.json that its burn-in tuned."""

    def found(*names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := metrics.get(name, {}).get("value")) is not None}

    changes = {name: value for name, value in found(*TUNED).items() if hasattr(sampler, name)}
    if isinstance(sampler, Tempering) and (places := found(sampler.path.schedule_key)):
        changes["path"] = dataclasses.replace(cast(Any, sampler.path), **places)
    return cast(Sampler, dataclasses.replace(cast(Any, sampler), **changes)) if changes else sampler


def describe_tuning(rows: dict[str, Estimate]) -> list[str]:
    """Return a line with the tuned values, in the form in which a user types them, if anything was tuned."""
    words = []
    places = (*ANCHORS, "temperatures", "betas")
    for name, group in [*((name, "sampler") for name in TUNED), *((name, "path") for name in places)]:
        value = rows[name].value if name in rows else None
        if isinstance(value, list):
            words.append(f"{group}.{name}=[{show(value).replace(' ', '')}]")
        elif value is not None:
            words.append(f"{group}.{name}={value:.6g}")
    if "betas" in rows:
        words = ["sampler=tempering", f"path={next((name for name in ANCHORS if name in rows), 'base')}", *words]
    return ["tuned during burn-in, then fixed: " + " ".join(words)] if words else []
