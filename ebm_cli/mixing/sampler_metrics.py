"""What a kernel tells of itself in metrics.json: how far its step led it astray, and what its burn-in chose."""

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli.chain.burn_in import Tuning
from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.preconditioning import Units
from ebm_cli.diagnostic import Patient
from ebm_cli.diagnostic.effective_temperature import EffectiveTemperature
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.sampler import ReportsBias, Sampler, Unadjusted

DRAWS = 20
TUNED = ("step_size", "scales", "temperatures")
# Neighbouring temperatures that swap less often hardly pass anything down.
FEW_SWAPS = 0.1


def kernel_rows(
    trajectory: Trajectory, energy: nn.Module, chains: Chains, tuning: Tuning, rng: torch.Generator
) -> dict[str, Estimate]:
    """The rows of a run that followed `trajectory`; chains: its draws. tuning: of its burn-in."""
    rows = tuned(trajectory.sampler) if tuning.adapt != "none" else {}
    if trajectory.swap_rates is not None:
        rows["swap_rate_min"] = swaps(trajectory.swap_rates)
    if isinstance(trajectory.sampler, Unadjusted) and trajectory.sampler.temperature > 0:
        rows |= bias(trajectory, energy, rng)
        patient = Patient(chains, energy, trajectory.sampler.temperature)
        rows |= EffectiveTemperature(DRAWS)(patient).estimates
    return rows


def bias(trajectory: Trajectory, energy: nn.Module, rng: torch.Generator) -> dict[str, Estimate]:
    """What the kernel measures of its own bias, on up to DRAWS states of each sound chain."""
    sampler = trajectory.sampler
    sound = trajectory.broke < 0
    if not isinstance(sampler, ReportsBias) or int(sound.sum()) < 2 or not len(trajectory.x):
        return {}
    x = trajectory.x[:, sound][evenly(len(trajectory.x), DRAWS)]
    units = Units.of(sampler, x[0])
    with frozen(energy), torch.no_grad():
        told = [sampler.bias(units.energy(energy), units.into(states), rng) for states in x]
    rows = {}
    for name in told[0]:
        each = torch.stack([measures[name] for measures in told]).mean(0).double().cpu().numpy()
        if np.isfinite(each).all():
            rows[name] = Estimate(
                float(each.mean()), se=float(each.std(ddof=1) / len(each) ** 0.5), if_not_mixed="caution"
            )
        else:
            rows[name] = refused("a step from some of the states is not finite: lower sampler.step_size")
    return rows


def tuned(sampler: Sampler) -> dict[str, Estimate]:
    """step_size, scales and temperatures as a tuning burn-in left them."""
    rows = {}
    for name in TUNED:
        value = getattr(sampler, name, None)
        if isinstance(value, float | list):
            rows[name] = Estimate(value)
    return rows


def as_tuned(sampler: Sampler, metrics: dict[str, Any]) -> Sampler:
    """The sampler of a run whose burn-in tuned it, frozen as the run's metrics.json says."""
    found = {name: metrics[name]["value"] for name in TUNED if metrics.get(name, {}).get("value") is not None}
    return cast(Sampler, dataclasses.replace(cast(Any, sampler), **found)) if found else sampler


def said(rows: dict[str, Estimate]) -> str:
    """One line of what burn-in chose, in the words that would fix it; empty where it chose nothing."""
    words = []
    for name in TUNED:
        value = rows[name].value if name in rows else None
        if isinstance(value, list):
            words.append(f"sampler.{name}=[{show(value).replace(' ', '')}]")
        elif value is not None:
            words.append(f"sampler.{name}={value:.6g}")
    return "tuned in the burn-in and frozen: " + " ".join(words) if words else ""


def swaps(rates: Tensor) -> Estimate:
    """The least swap rate between neighbouring temperatures, under caution where it is small."""
    least = float(rates.min())
    pair = int(rates.argmin())
    doubts = [f"temperatures {pair} and {pair + 1} swap rarely: raise sampler.replicas"] if least < FEW_SWAPS else []
    meaning = f"neighboring temperatures swap in at least {100 * least:.0f} % of tries"
    return Estimate(least, meaning=meaning, if_not_mixed="caution").with_caution(doubts)
