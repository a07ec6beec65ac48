"""Combine all convergence evidence into one mixing verdict. Estimates of the target distribution depend on it."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from torch import nn

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.chain.screening import join_chain_names
from ebm_cli.data import Data, _angles
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.effective_temperature import MIN_STATES, NAME, EffectiveTemperature
from ebm_cli.energy import CONTINUOUS, SMOOTH, device_of, energy_and_grad, frozen, space_of
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.mixing.convergence import Evidence, evidence
from ebm_cli.mixing.probe_outcome import ProbeResult
from ebm_cli.mixing.start_probes import OVERDISPERSED, is_uniform, probe, start_overdispersion
from ebm_cli.mixing.visited import VisitedRegion
from ebm_cli.run.terminal import never_stop
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import has_exact_draws
from ebm_cli.wells.descent import states_of

# Number of states per chain at which the temperature is measured. Few chains use more, for MIN_STATES in all.
STATES_PER_CHAIN = 20
# Relative differences of the measured temperature from T: a smaller one than the first is accepted, a larger one than
# the second means that chains are not mixed.
MIN_TEMPERATURE_ERROR, MAX_TEMPERATURE_ERROR = 0.1, 0.5
MAX_STATES_PER_CALL = 4096
# Fraction of the states of chains without round trips that must be near states of the other chains.
MIN_VISITED = 0.95
MIXED = "1 means mixed: the chains agree with each other and forget their initial states"
UNDECIDED = "1 means mixed, but this is not certain here"


@dataclass(frozen=True)
class MixingResult:
    """The verdict on a set of chains.

    estimate: 1 if mixed, with the verdict and its reasons.
    notes: lines for the terminal on extra chains that were run.
    worst: the function of the state with the largest R̂; empty if unknown.
    separate: True if extra chains settled in a region that these chains have not visited.
    """

    estimate: Estimate
    notes: list[str] = field(default_factory=list)
    worst: str = ""
    separate: bool = False


def assess_mixing(context: ChainContext, seed: int, stop: Callable[[], bool] = never_stop) -> MixingResult:
    """Return the verdict: ok for mixed chains, caution if the evidence is inconclusive, refused for unmixed chains.

    Mixed chains have one distribution, are stationary and at T, and do not depend on their starting points. `evidence`
    tests the chains themselves. It cannot detect that all chains are in one of several modes. Therefore extra chains
    are started farther out with the same kernel (`probe`), unless the starting points were 5 times as wide as the
    chains. Probes need a known energy and sampler, and they are run only without evidence against mixing.
    """
    screened = context.screened
    if screened.stuck:
        stuck = join_chain_names(screened.stuck)
        return MixingResult(refused(f"not mixed: {stuck} never moved. Type {context.smaller_step()}"))
    if screened.usable is None:
        return MixingResult(refused(screened.error))
    found = evidence(context)
    check_round_trips(screened.usable, found)
    check_temperature(context, screened.usable, found)
    if found.against:
        return MixingResult(refused([*screened.warnings, *found.against]), worst=found.worst)
    probes, notes = check_start_dependence(context, screened.usable, seed, stop)
    if probes.outcome == "separate":
        reasons = [*screened.warnings, f"not mixed: {probes.message}"]
        return MixingResult(refused(reasons), notes, found.worst, separate=True)
    # Superchains that agree replace long chains only if they started farther out, or if extra chains did.
    decides = bool(found.superchains) and probes.outcome == "converged" and starts_can_be_tested(context)
    cautions = [*screened.warnings, *found.inconclusive, *([] if decides else found.too_short)]
    if probes.outcome == "inconclusive":
        cautions.append(f"inconclusive: {probes.message}")
    if cautions:
        return MixingResult(Estimate(1.0, meaning=UNDECIDED).with_caution(cautions), notes, found.worst)
    reasons = (probes.message, found.superchains) if found.superchains else (probes.message,)
    return MixingResult(Estimate(1.0, reasons=reasons, meaning=MIXED), notes, found.worst)


def starts_can_be_tested(context: ChainContext) -> bool:
    """Return True if the energy and the sampler are known and the chains do not only minimize the energy."""
    return context.energy is not None and context.sampler is not None and context.sampler.temperature != 0


def check_start_dependence(
    context: ChainContext, chains: Chains, seed: int, stop: Callable[[], bool]
) -> tuple[ProbeResult, list[str]]:
    """Test by their width or by probes whether the result depends on the starting points. Also return notes.

    The outcome is "converged" if this cannot be tested or need not be. The message then says why.
    """
    if context.energy is None or context.sampler is None:
        unknown = "their starting points are unknown, so a mode that no chain visited cannot be ruled out"
        return ProbeResult("converged", f"the chains agree, but {unknown}"), []
    if context.sampler.temperature == 0:
        only = "the chains only minimize the energy, so mixing between modes was not assessed"
        return ProbeResult("converged", f"at temperature 0 {only}"), []
    if is_uniform(context.start, context.energy):
        return ProbeResult("converged", "chains started at uniform states, and agree"), []
    width = start_overdispersion(context.start, chains, seed, device_of(context.energy))
    if width is not None and width >= OVERDISPERSED:
        wide = f"the starting points were {width:.3g} times as wide as the chains, and the chains agree"
        return ProbeResult("converged", wide), []
    probes = run_probes(context.energy, context.sampler, chains, context.data, seed, stop)
    if width is None:
        why = "the starting points are unknown"
    elif width == 0:
        why = "the starting points were not all around the region that the chains sample"
    else:
        why = f"the starting points were only {width:.2g} times as wide as the chains (minimum: {OVERDISPERSED:g})"
    return probes, [f"mixing: {why}, so extra chains were started farther out. Result: {probes.message}"]


def run_probes(
    energy: nn.Module, sampler: Sampler, chains: Chains, data: Data | None, seed: int, stop: Callable[[], bool]
) -> ProbeResult:
    """Return the result of probes with the chains' sampler.

    If the path has exact draws, probes use only the kernel of the model's replica. Replica exchange would replace a
    probe by a draw of the far end, so that every probe would come to the chains, wherever it started.
    """
    if not has_exact_draws(sampler):
        return probe(energy, sampler, chains, data, seed, stop)
    path = sampler.path.annealing_path(energy, sampler.temperature)
    if chains.space == _angles.SPACE:
        # The length would change the period of the coordinates. As scales of the kernel it does not.
        in_path = dataclasses.replace(chains, potential=potential_in_path(chains, sampler.temperature))
        scales = [sampler.replica_step_factors[0]] * math.prod(chains.event)
        kernel = dataclasses.replace(cast(Any, sampler.kernel), scales=scales)
        return probe(path.energy_at(1.0), kernel, in_path, None, seed, stop)
    x = states_of(energy, chains.x.reshape(-1, *chains.event))
    # The kernel moves coordinates of the path at temperature 1. The chains are expressed in these, and U = E/T.
    length = x.new_tensor(sampler.replica_step_factors[0])
    z = path.space.coordinates(x) / length
    in_path = dataclasses.replace(
        chains,
        x=z.view(*chains.x.shape[:2], *z.shape[1:]).double().cpu().numpy(),
        potential=potential_in_path(chains, sampler.temperature),
    )
    return probe(path.energy_at(1.0, length), sampler.kernel, in_path, None, seed, stop)


def potential_in_path(chains: Chains, temperature: float) -> np.ndarray | None:
    """Return U = E/T of each draw."""
    return None if chains.potential is None else chains.potential / temperature


def check_round_trips(chains: Chains, found: Evidence) -> None:
    """Add the evidence of round trips: states that come from the far end of a path to the model's replica.

    Chains are not mixed if no chain had a round trip, because other replicas then had no effect on them. Chains without
    a round trip may be where they started. If only they have visited a region, the evidence is inconclusive.
    """
    if chains.round_trips is None:
        return
    if not chains.round_trips.any():
        steps = chains.x.shape[1] * chains.thin
        found.against.append(
            f"not mixed: no state came from the far end of the path to the model in {steps} steps. "
            f"{chains.with_round_trips()}"
        )
        return
    without, reached = (np.flatnonzero(each).tolist() for each in (chains.round_trips == 0, chains.round_trips))
    if without and len(reached) > 1:
        visited = VisitedRegion(chains.only(reached).flat())
        own = chains.only(without).flat()
        away = visited.distance(own[:, :: max(1, own.shape[1] // STATES_PER_CHAIN)].reshape(-1, own.shape[2]))
        if (away > visited.near).mean() > 1 - MIN_VISITED:
            found.inconclusive.append(
                f"inconclusive: {len(without)} chains, which no state from the far end of the path has reached, visit "
                f"states that the other chains do not. Type {chains.longer(2)}"
            )


def check_temperature(context: ChainContext, chains: Chains, found: Evidence) -> None:
    """Add the evidence of the chains' temperature, measured in two ways.

    T_conf = ⟨‖∇E‖²⟩/⟨ΔE⟩ (Rugh, 1997) is too high if curvature is concentrated in kinks. The virial ⟨(x − m)·∇E⟩/d
    (Clausius, 1870), m the mean, is not. Therefore the evidence is inconclusive only if both differ from T, by more
    than 4 standard errors and a tenth of T. Angles have no virial, because x is no function on a circle. Chains are not
    mixed if T_conf then differs from T by more than half of T.
    """
    energy, T = context.energy, context.temperature
    if energy is None or not T or space_of(energy) not in SMOOTH:
        return
    configurational = EffectiveTemperature(STATES_PER_CHAIN)(context).estimates[NAME]
    value, se = configurational.value, configurational.se
    if not isinstance(value, float) or not isinstance(se, float):
        return
    measured = [(value, se)]
    if space_of(energy) in CONTINUOUS:
        measured.append(virial(energy, chains, max(STATES_PER_CHAIN, MIN_STATES // len(chains.x))))
    if any(abs(each - T) <= max(4 * error, MIN_TEMPERATURE_ERROR * T) for each, error in measured):
        return
    why = "The step size biases the chains, or they are not yet in equilibrium"
    remedy = f"Type {context.smaller_step()} or {chains.after_burn_in()}"
    what = f"the chains are at T = {show(value, se)} instead of {T:g}. {why}. {remedy}"
    if abs(value - T) > MAX_TEMPERATURE_ERROR * T:
        found.against.append(f"not mixed: {what}")
    else:
        found.inconclusive.append(f"inconclusive: {what}")


def virial(energy: nn.Module, chains: Chains, draws: int) -> tuple[float, float]:
    """Return ⟨(x − m)·∇E⟩/d over up to `draws` states per chain, with its standard error over chains."""
    flat = chains.flat()
    chosen = evenly_spaced(flat.shape[1], draws)
    states = states_of(energy, chains.x[:, chosen].reshape(-1, *chains.event))
    with frozen(energy):
        grads = [
            energy_and_grad(energy, part)[1].flatten(1).double().cpu().numpy()
            for part in states.split(MAX_STATES_PER_CALL)
        ]
    centered = flat[:, chosen].reshape(-1, flat.shape[2]) - flat.mean((0, 1))
    each = (centered * np.concatenate(grads)).mean(1).reshape(len(flat), -1).mean(1)
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)
