"""Probes: extra chains that start farther out, to test whether the result depends on the starting points."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import entr
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.data import Data
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, device_of, space_of
from ebm_cli.mixing.visited import VisitedRegion
from ebm_cli.rng import generator
from ebm_cli.run.terminal import never_stop
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start
from ebm_cli.wells.descent import descend, rms_radius, states_of, values

# Widths of the probes' initial distributions, in standard deviations of the chains. Probes take them in turn.
PROBE_WIDTHS = (3.0, 5.0, 10.0)
# A start this many times as wide as the chains needs no probes.
OVERDISPERSED = 5.0
# Probes per chain, and their length relative to the chains'.
PROBE_FRACTION = 0.5
MIN_PROBES, MAX_PROBES = 16, 256
PROBE_STATES = 16
START_DRAWS = 256
# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.349
# A region with less than this fraction of the chains' mass does not count as a missed mode.
NEGLIGIBLE_MASS = 1e-3
# Rounds of descent from far out, and steps per round.
DESCENT_ROUNDS, STEPS_PER_ROUND = 20, 8
MAX_NAMED_DIMENSION = 3


@dataclass(frozen=True)
class ProbeResult:
    """The outcome of the probes.

    outcome: converged to the chains' region, separate from it, or inconclusive.
    message: the reason for this outcome.
    """

    outcome: Literal["converged", "separate", "inconclusive"]
    message: str


def robust_std(x: Float[np.ndarray, "n size"]) -> Float[np.ndarray, " size"]:
    """Return the standard deviation per coordinate from its quartiles; from its variance if the quartiles are equal."""
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    robust = (high - low) / NORMAL_IQR
    return np.where(robust > 0, robust, x.std(0))


def is_uniform(start: Start | None, energy: nn.Module) -> bool:
    """Return True if chains start at uniform states of discrete sites, than which none are farther out."""
    return space_of(energy) in DISCRETE and not isinstance(start, nn.Module) and hasattr(start, "noise")


def start_overdispersion(start: Start | None, chains: Chains, seed: int, device: torch.device) -> float | None:
    """Return the standard deviation of the start, in standard deviations of the chains; the minimum over coordinates.

    None if it is unknown, without a start or for a start with a buffer. 0 if the median of the start differs from that
    of the chains by more than the start's standard deviation: then all chains came from one side.
    """
    if start is None or isinstance(start, nn.Module):
        return None
    drawn = start.draw(START_DRAWS, None, generator(seed, "start", device)).x
    states = drawn.flatten(1).double().cpu().numpy()
    flat = chains.flat().reshape(-1, states.shape[1])
    own, wide = robust_std(flat), robust_std(states)
    varying = own > 0
    if not varying.any():
        return None
    off = np.abs(np.median(states, 0) - np.median(flat, 0))
    if (off > wide)[varying].any():
        return 0.0
    return float((wide[varying] / own[varying]).min())


def probe(
    energy: nn.Module,
    sampler: Sampler,
    chains: Chains,
    data: Data | None,
    seed: int,
    stop: Callable[[], bool] = never_stop,
) -> ProbeResult:
    """Run extra chains from farther out with the same kernel, and compare their last half with the chains.

    Probes start at normal noise around the chains' center, 3, 5 and 10 times as wide as the chains; with data, half of
    them start at data rows. Their number is half the number of chains (minimum: 16), and their length is half of the
    chains' length or less. Their cost is a quarter of the chains' by default, and never larger than the chains'.

    Probes show that the chains' distribution depends on the starting points if they stay outside of the visited region
    (`VisitedRegion`) and neither come nearer nor fall in energy. Such a region does not count if it has less than a
    thousandth of the chains' mass, by exp(−ΔE/T) times the ratio of volumes.
    """
    total = chains.x.shape[1] * chains.thin
    count = min(max(MIN_PROBES, int(len(chains.x) * PROBE_FRACTION)), MAX_PROBES)
    length = int(min(total * PROBE_FRACTION, len(chains.x) * total / count))
    if length < 2 * PROBE_STATES:
        enough = chains.longer(2.2 * PROBE_STATES / max(length, 1))
        short = f"chains of {total} steps are too short to start extra chains farther out"
        return ProbeResult("inconclusive", f"{short}. Type {enough}")
    rng = generator(seed, "probes", device_of(energy))
    x = overdispersed_starts(energy, chains, data, count, rng)
    x = below_highest_energy(energy, x, chains, sampler.temperature)
    half = length // 2
    done = run_chains(
        sampler, energy, x, half, rng, burn_in=length - half, thin=max(1, half // PROBE_STATES), stop=stop
    )
    label, origin = f"{count} extra chains of {length} steps", probe_origin(energy)
    if done.steps < length:
        return ProbeResult("inconclusive", f"the run was stopped before {label} were done")
    return classify_probes(done, chains, sampler.temperature, label, origin, space_of(energy))


def probe_origin(energy: nn.Module) -> str:
    """Return where probes start, in words."""
    if space_of(energy) in DISCRETE:
        return "started at uniform states"
    return f"started up to {PROBE_WIDTHS[-1]:g} standard deviations out"


def overdispersed_starts(
    energy: nn.Module, chains: Chains, data: Data | None, count: int, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return the probes' initial states. Those of discrete sites are uniform."""
    if (space := space_of(energy)) in DISCRETE:
        return Sites(space, chains.event).uniform(count, rng, states_of(energy, chains.x[:1, :1]).dtype)
    flat = chains.flat().reshape(-1, chains.flat().shape[2])
    shape = (count, flat.shape[1])
    center, own = states_of(energy, np.stack([np.median(flat, 0), robust_std(flat)]))
    noise = torch.randn(shape, generator=rng, dtype=center.dtype, device=rng.device)
    # Probes are in pairs on opposite sides of the center. Therefore no side is missed by chance.
    noise[1::2] = -noise[: 2 * (count // 2) : 2]
    widths = torch.tensor(PROBE_WIDTHS, dtype=center.dtype, device=rng.device)
    scale = widths[torch.arange(count, device=rng.device) // 2 % len(PROBE_WIDTHS)]
    x = (center + own * scale[:, None] * noise).view(count, *chains.event)
    if data is not None:
        x[: count // 2] = data.sample(count // 2, rng).x.to(x)
    return x


def below_highest_energy(
    energy: nn.Module, x: Float[Tensor, "n *event"], chains: Chains, temperature: float
) -> Float[Tensor, "n *event"]:
    """Return the states after steepest descent from each state that is above all energies of the chains.

    Far out, gradients are large, and proposals with the chains' step size may never be accepted there. Descent stays in
    the basin of each state. Therefore it does not hide another mode.
    """
    if chains.potential is None or space_of(energy) in DISCRETE:
        return x
    highest, reach = float(np.max(chains.potential)), rms_radius(x)
    e = values(energy, x)
    for _ in range(DESCENT_ROUNDS):
        above = (e > highest).nonzero().flatten()
        if not len(above):
            break
        x[above], e[above] = descend(energy, x[above], temperature, reach, STEPS_PER_ROUND)
    return x


def classify_probes(
    done: Trajectory, chains: Chains, temperature: float, label: str, origin: str, space: str
) -> ProbeResult:
    """Return the outcome of the probes, by the distance of their states from the region that the chains visited.

    label, origin: a description of the probes, and of where they start.
    space: of the states.
    """
    x = done.x.flatten(2).double().cpu().numpy()
    e = done.energy.double().cpu().numpy()
    finite: np.ndarray = np.isfinite(e).all(0) & np.asarray(np.isfinite(x).all((0, 2)))
    if finite.sum() < max(4, len(finite) // 4):
        return ProbeResult("inconclusive", f"{(~finite).sum()} of {label} became not finite")
    x, e = x[:, finite], e[:, finite]
    scale = np.maximum(robust_std(chains.flat().reshape(-1, x.shape[2])), 1e-12)
    visited = VisitedRegion(chains.flat() / scale)
    distance = visited.distance(x.reshape(-1, x.shape[2]) / scale).reshape(x.shape[:2])
    away: np.ndarray = np.median(distance[len(x) // 2 :], axis=0) > visited.near
    if not away.any():
        return ProbeResult("converged", f"{label}, {origin}, reached the same region")
    approaching = has_decreased(distance, 0.2 * distance.mean(0))
    stays = away & ~approaching & ~has_decreased(e, np.full(len(away), temperature))
    # A single probe outside may only be late.
    if stays.sum() < 2:
        late = f"{away.sum()} of {label} had not reached the original chains' region when they ended"
        return ProbeResult("inconclusive", f"{late}. Type {chains.longer(2)}")
    x, e = x[:, stays], e[:, stays]
    enough_elsewhere = (~away).sum() >= MIN_PROBES // 4
    if enough_elsewhere and log_mass_ratio(x, e, chains, scale, temperature, space) < np.log(NEGLIGIBLE_MASS):
        where = "settled where less than a thousandth of the mass is"
        return ProbeResult("converged", f"{stays.sum()} of {label} {where}, the others reached the same region")
    return ProbeResult("separate", separate_message(x, e, chains, temperature, f"{stays.sum()} of {label}"))


def log_mass_ratio(
    x: Float[np.ndarray, "draw n size"],
    e: Float[np.ndarray, "draw n"],
    chains: Chains,
    scale: Float[np.ndarray, " size"],
    temperature: float,
    space: str,
) -> float:
    """Return the largest log of exp(−ΔE/T) times the ratio of volumes; ∞ if it is unknown.

    For discrete states, the log of the ratio of volumes is the difference of entropies of independent sites.

    scale: the chains' standard deviations.
    """
    if chains.potential is None or temperature <= 0:
        return np.inf
    if space in DISCRETE:
        flat = chains.flat()
        wider = site_entropy(x, space) - site_entropy(flat.reshape(-1, 1, flat.shape[2]), space)
    else:
        wider = np.maximum(np.log(np.maximum(x.std(0), 1e-12) / scale), 0).sum(1)
    return float((wider - (e.mean(0) - np.mean(chains.potential)) / temperature).max())


def site_entropy(x: Float[np.ndarray, "draw n size"], space: str) -> Float[np.ndarray, " n"]:
    """Return the entropy in nats of independent sites with the frequencies of the draws."""
    p = x.mean(0) if space == "categorical" else (x > 0).mean(0)
    # The columns of a one-hot site are its values.
    h = entr(p) if space == "categorical" else entr(p) + entr(1 - p)
    return h.sum(1)


def separate_message(
    x: Float[np.ndarray, "draw n size"], e: Float[np.ndarray, "draw n"], chains: Chains, temperature: float, who: str
) -> str:
    """Return where the probes settled, their energy compared with the chains', and what to do."""
    center = ", ".join(f"{v:.3g}" for v in np.median(x[-1], 0))
    where = f", near ({center})" if x.shape[2] <= MAX_NAMED_DIMENSION else ""
    level = ""
    if chains.potential is not None:
        gap = float(e.mean() - np.mean(chains.potential)) if temperature > 0 else 0.0
        level = f", with energy {abs(gap):.3g} {'higher' if gap > 0 else 'lower'} than the original chains"
    remedy = f"Start chains in every mode (start=data), or type {chains.across_barriers()}"
    return f"{who} settled in a different region{where}{level}. {remedy}"


def has_decreased(values: Float[np.ndarray, "draw n"], by: Float[np.ndarray, " n"]) -> np.ndarray:
    """Return True for each column with a lower mean in its second half, by more than `by` and 3 standard errors."""
    early, late = np.array_split(values, 2)
    error = np.sqrt(early.var(0) / len(early) + late.var(0) / len(late))
    return early.mean(0) - late.mean(0) > np.maximum(by, 3 * error)
