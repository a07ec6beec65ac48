"""Probes: extra chains that start farther out, to test whether the result depends on the starting points."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import Data, _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import CONTINUOUS, DISCRETE, device_of, space_of
from ebm_cli.mixing.probe_outcome import MIN_PROBES, ProbeResult, classify_probes, robust_std
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
MAX_PROBES = 256
PROBE_STATES = 16
START_DRAWS = 256
# Rounds of descent from far out, and steps per round.
DESCENT_ROUNDS, STEPS_PER_ROUND = 20, 8


def is_uniform(start: Start | None, energy: nn.Module) -> bool:
    """Return True if chains start at uniform states of discrete sites or angles, than which none are farther out."""
    return space_of(energy) not in CONTINUOUS and not isinstance(start, nn.Module) and hasattr(start, "noise")


def start_overdispersion(start: Start | None, chains: Chains, seed: int, device: torch.device) -> float | None:
    """Return the standard deviation of the start, in standard deviations of the chains; the minimum over coordinates.

    None if it is unknown, without a start or for a start with a buffer. 0 if the median of the start differs from that
    of the chains by more than the start's standard deviation: then all chains came from one side.
    """
    if start is None or isinstance(start, nn.Module):
        return None
    drawn = start.draw(START_DRAWS, None, generator(seed, "start", device)).x
    states = chains.rows(drawn.flatten(1).double().cpu().numpy())
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
    if space_of(energy) not in CONTINUOUS:
        return "started at uniform states"
    return f"started up to {PROBE_WIDTHS[-1]:g} standard deviations out"


def overdispersed_starts(
    energy: nn.Module, chains: Chains, data: Data | None, count: int, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return the probes' initial states. Those of discrete sites and of angles are uniform."""
    space, dtype = space_of(energy), states_of(energy, chains.x[:1, :1]).dtype
    if space in DISCRETE:
        return Sites(space, chains.event).uniform(count, rng, dtype)
    if space == _angles.SPACE:
        return _angles.uniform(count, chains.event, rng, dtype)
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
