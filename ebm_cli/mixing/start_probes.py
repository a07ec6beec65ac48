"""Probes: chains begun elsewhere, to see whether those that are judged would have been found from there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.distance import cdist
from torch import Tensor, nn

from ebm_cli.chain.chain_file import Chains
from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.data import Data
from ebm_cli.energy import device_of, space_of
from ebm_cli.rng import generator
from ebm_cli.run.terminal import never
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start
from ebm_cli.wells.descent import descend, rms_radius, values

# Spreads of the chains by which probes are thrown, in turn.
FAR = (3.0, 5.0, 10.0)
# As many times as wide as the chains, a start covers what probes would.
OVERDISPERSED = 5.0
SHARE = 0.5
FEWEST = 16
MOST = 256
STATES = 16
NORMAL_SPREAD = 1.349
KEPT, GROUPS = 2000, 32
# A region of less than this share of the chains' mass is no mode that they lack.
NEGLIGIBLE = 1e-3
# Steps of descent from far out, and how many at a time.
LOOKS, STEPS_A_LOOK = 20, 8


@dataclass(frozen=True)
class Probed:
    """What became of probes: joined the chains, stayed elsewhere, or cannot be told. said: the reason, and the cost."""

    outcome: Literal["joined", "elsewhere", "unknown"]
    said: str


def spread(x: Float[np.ndarray, "n size"]) -> Float[np.ndarray, " size"]:
    """Standard deviation of each coordinate by its quartiles, which no tail moves; by its variance where they agree."""
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    robust = (high - low) / NORMAL_SPREAD
    return np.where(robust > 0, robust, x.std(0))


def width_of_start(start: Start | None, chains: Chains, seed: int, device: torch.device) -> float | None:
    """How many times as wide as the chains their start is, in the coordinate where it is least so.

    None where it is not known, without a start or from a buffer; 0 where the start's middle is off the chains' by more
    than its own spread, so that they all came from one side.
    """
    if start is None or isinstance(start, nn.Module):
        return None
    drawn = start.draw(256, None, generator(seed, "start", device)).x
    begun = drawn.flatten(1).double().cpu().numpy()
    flat = chains.flat().reshape(-1, begun.shape[1])
    own, wide = spread(flat), spread(begun)
    varying = own > 0
    if not varying.any():
        return None
    off = np.abs(np.median(begun, 0) - np.median(flat, 0))
    if (off > wide)[varying].any():
        return 0.0
    return float((wide[varying] / own[varying]).min())


def probe(
    energy: nn.Module,
    sampler: Sampler,
    chains: Chains,
    data: Data | None,
    seed: int,
    stop: Callable[[], bool] = never,
) -> Probed:
    """Run chains from elsewhere by the same kernel, and see where they are in their last half.

    They begin at normal noise around the chains' middle, 3, 5 and 10 times as wide as these, and, where there are data,
    half of them at rows of these. There are half as many as chains (at least 16) and half as long (or shorter), so that
    they cost at most as much as the chains, by default a quarter. A state counts as visited when it is as near to some
    chains as chains are to each other (see `Visited`). Probes that stay where chains were not, and neither come nearer
    nor fall in energy, show that the chains' law depends on where they began; unless their energy says that the region
    holds less than a thousandth of the chains' mass, exp(−ΔE/T) times the ratio of volumes.
    """
    kept = chains.x.shape[1]
    total = kept * chains.thin
    count = min(max(FEWEST, int(len(chains.x) * SHARE)), MOST)
    length = int(min(total * SHARE, len(chains.x) * total / count))
    if length < 2 * STATES:
        enough = chains.longer(2.2 * STATES / max(length, 1))
        return Probed("unknown", f"chains of {total} steps are too short to probe from elsewhere; {enough}")
    rng = generator(seed, "probes", device_of(energy))
    x = brought_down(energy, elsewhere(energy, chains, data, count, rng), chains, sampler.temperature)
    half = length // 2
    moved = run_chains(sampler, energy, x, half, rng, burn_in=length - half, thin=max(1, half // STATES), stop=stop)
    told = f"{count} probe chains of {length} steps"
    if moved.steps < length:
        return Probed("unknown", f"stopped before {told} were done")
    return judged(moved, chains, sampler.temperature, told)


def elsewhere(
    energy: nn.Module, chains: Chains, data: Data | None, count: int, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Where probes begin. In a discrete space each coordinate takes any of the values that are seen."""
    flat = chains.flat().reshape(-1, chains.flat().shape[2])
    dtype = next((p.dtype for p in energy.parameters()), torch.get_default_dtype())
    shape = (count, flat.shape[1])
    if space_of(energy) != "continuous":
        values = torch.as_tensor(np.unique(flat[:1000]), dtype=dtype, device=rng.device)
        return values[torch.randint(len(values), shape, generator=rng, device=rng.device)].view(count, *chains.event)
    middle, own = (torch.as_tensor(v, dtype=dtype, device=rng.device) for v in (np.median(flat, 0), spread(flat)))
    noise = torch.randn(shape, generator=rng, dtype=dtype, device=rng.device)
    # In pairs on both sides of the middle, so that no side is missed by chance.
    noise[1::2] = -noise[: 2 * (count // 2) : 2]
    scale = torch.tensor(FAR, dtype=dtype, device=rng.device)[torch.arange(count, device=rng.device) // 2 % len(FAR)]
    x = (middle + own * scale[:, None] * noise).view(count, *chains.event)
    if data is not None:
        x[: count // 2] = data.sample(count // 2, rng).x.to(x)
    return x


def brought_down(
    energy: nn.Module, x: Float[Tensor, "n *event"], chains: Chains, temperature: float
) -> Float[Tensor, "n *event"]:
    """Return the states, those above all energies of the chains led down by steepest descent until they are not.

    Far out slopes are steep, and a step that suits the chains may never be taken there. Descent ends in the basin that
    a state lies in, so that a mode elsewhere is found as before.
    """
    if chains.potential is None or space_of(energy) != "continuous":
        return x
    highest, reach = float(np.max(chains.potential)), rms_radius(x)
    e = values(energy, x)
    for _ in range(LOOKS):
        above = (e > highest).nonzero().flatten()
        if not len(above):
            break
        x[above], e[above] = descend(energy, x[above], temperature, reach, STEPS_A_LOOK)
    return x


def judged(moved: Trajectory, chains: Chains, temperature: float, told: str) -> Probed:
    """Whether the probes of `moved` are where chains were, and if not, whether they are on the way."""
    x = moved.x.flatten(2).double().cpu().numpy()
    e = moved.energy.double().cpu().numpy()
    finite: np.ndarray = np.isfinite(e).all(0) & np.asarray(np.isfinite(x).all((0, 2)))
    if finite.sum() < max(4, len(finite) // 4):
        return Probed("unknown", f"{(~finite).sum()} of {told} begun elsewhere became not finite")
    x, e = x[:, finite], e[:, finite]
    scale = np.maximum(spread(chains.flat().reshape(-1, x.shape[2])), 1e-12)
    known = Visited(chains.flat() / scale)
    distance = known.distance(x.reshape(-1, x.shape[2]) / scale).reshape(x.shape[:2])
    away: np.ndarray = np.median(distance[len(x) // 2 :], axis=0) > known.near
    enough = (~away).sum() >= FEWEST // 4
    if not away.any():
        return Probed("joined", f"{told}, begun up to {FAR[-1]:g} times as far out, joined the chains")
    nearer = fallen(distance, 0.2 * distance.mean(0))
    falling = fallen(e, np.full(len(away), temperature))
    stays = away & ~nearer & ~falling
    # One alone may be the last to arrive.
    if stays.sum() < 2:
        return Probed("unknown", f"{away.sum()} of {told} begun elsewhere are still on their way; {chains.longer(2)}")
    x, e = x[:, stays], e[:, stays]
    gap = 0.0
    if chains.potential is not None and temperature > 0:
        gap = float(e.mean() - np.mean(chains.potential))
        wider = np.maximum(np.log(np.maximum(x.std(0), 1e-12) / scale), 0).sum(1)
        share = (wider - (e.mean(0) - np.mean(chains.potential)) / temperature).max()
        if share < np.log(NEGLIGIBLE) and enough:
            return Probed("joined", f"of {told}, {stays.sum()} stay where less than a thousandth of the mass is")
    where = f" near ({', '.join(f'{v:.3g}' for v in np.median(x[-1], 0))})" if x.shape[2] <= 3 else ""
    level = (
        ""
        if chains.potential is None
        else f", their energy {abs(gap):.3g} {'above' if gap > 0 else 'below'} the chains'"
    )
    return Probed(
        "elsewhere",
        f"{stays.sum()} of {told} begun elsewhere stay elsewhere{where}{level}; start at all modes (start=data) or "
        "choose a sampler that crosses",
    )


def fallen(values: Float[np.ndarray, "draw n"], by: Float[np.ndarray, " n"]) -> np.ndarray:
    """Which columns are lower in their second half, by more than `by` and than 3 standard errors of the difference."""
    early, late = np.array_split(values, 2)
    error = np.sqrt(early.var(0) / len(early) + late.var(0) / len(late))
    return early.mean(0) - late.mean(0) > np.maximum(by, 3 * error)


class Visited:
    """Where chains have been: how near they come to a state, and `near`, up to which it counts as visited.

    The distance is that within which a tenth of the chains come (in at most 32 groups, so that each has many states):
    a region that one chain in fifty has found is not yet one that all know. `near` is half as much again as the longest
    distance of a chain's states from those of all others, in the median over chains, as some may have strayed.
    """

    def __init__(self, flat: Float[np.ndarray, "chain draw size"]) -> None:
        chains, draws = flat.shape[:2]
        every = max(1, chains * draws // KEPT)
        owner = np.repeat(np.arange(chains) * min(chains, GROUPS) // chains, draws)[::every]
        self.first = np.flatnonzero(np.diff(owner, prepend=-1))
        self.states = flat.reshape(chains * draws, -1)[::every]
        between = cdist(self.states, self.states)
        between[owner[:, None] == owner[None]] = np.inf
        self.near = 1.5 * float(np.median(np.maximum.reduceat(between.min(1), self.first)))

    def distance(self, x: Float[np.ndarray, "n size"]) -> Float[np.ndarray, " n"]:
        """The distance of each state within which a tenth of the chains come, at least one."""
        groups = np.minimum.reduceat(cdist(x, self.states), self.first, axis=1)
        return np.sort(groups, axis=1)[:, -(-groups.shape[1] // 10) - 1]
