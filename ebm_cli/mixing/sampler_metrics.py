"""Metrics reported by the sampler: step-size bias and the values tuned during burn-in."""

import dataclasses
from typing import Any, cast

import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.preconditioning import Units
from ebm_cli.chain.tuning import Tuning
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.effective_temperature import EffectiveTemperature
from ebm_cli.energy import frozen, space_of, works_on
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.sampler import ReportsBias, Sampler, is_unadjusted

STATES_PER_CHAIN = 20
TUNED = ("step_size", "scales", "temperatures")
# At a lower swap rate, hardly any state moves from one temperature to its neighbor.
MIN_SWAP_RATE = 0.1


def sampler_metrics(
    trajectory: Trajectory, context: ChainContext, tuning: Tuning, rng: torch.Generator
) -> dict[str, Estimate]:
    """Return the rows of a run's sampler.

    context: the trajectory's draws.
    tuning: what burn-in tuned.
    """
    sampler = trajectory.sampler
    rows = tuned_values(sampler) if tuning.adapt != "none" else {}
    if trajectory.swap_rates is not None:
        rows["swap_rate_min"] = min_swap_rate(trajectory.swap_rates)
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
    each = measures.mean(0).double().cpu().numpy()
    mean, se = float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)
    if not torch.isfinite(measures.mean(0)).all():
        return refused("a step from some of the states is not finite. Decrease sampler.step_size")
    return Estimate(mean, se=se, if_not_mixed="caution")


def tuned_values(sampler: Sampler) -> dict[str, Estimate]:
    """Return step_size, scales and temperatures as burn-in left them."""
    values = {name: getattr(sampler, name, None) for name in TUNED}
    return {name: Estimate(value) for name, value in values.items() if isinstance(value, float | list)}


def with_tuned_values(sampler: Sampler, metrics: dict[str, Any]) -> Sampler:
    """Return the sampler with the values in a run's metrics.json that its burn-in tuned."""
    found = {name: metrics[name]["value"] for name in TUNED if metrics.get(name, {}).get("value") is not None}
    return cast(Sampler, dataclasses.replace(cast(Any, sampler), **found)) if found else sampler


def describe_tuning(rows: dict[str, Estimate]) -> list[str]:
    """Return a line with the tuned values, in the form in which a user types them, if anything was tuned."""
    words = []
    for name in TUNED:
        value = rows[name].value if name in rows else None
        if isinstance(value, list):
            words.append(f"sampler.{name}=[{show(value).replace(' ', '')}]")
        elif value is not None:
            words.append(f"sampler.{name}={value:.6g}")
    return ["tuned during burn-in, then fixed: " + " ".join(words)] if words else []


def min_swap_rate(rates: Tensor) -> Estimate:
    """Return the smallest swap rate between neighboring temperatures, with a caution if it is low."""
    lowest, pair = float(rates.min()), int(rates.argmin())
    cautions = []
    if lowest < MIN_SWAP_RATE:
        cautions = [f"temperatures {pair} and {pair + 1} swap rarely. Increase sampler.replicas"]
    meaning = f"neighboring temperatures swap in at least {100 * lowest:.0f} % of tries"
    return Estimate(lowest, meaning=meaning, if_not_mixed="caution").with_caution(cautions)
