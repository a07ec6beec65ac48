"""Recall: the fraction of stored patterns that a network returns to, from the patterns or from corrupted cues."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.chains import evenly_spaced
from ebm_cli.chain.quantities import mean_over_chains
from ebm_cli.data._rows import available_rows
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic import NO_ENERGY, ChainContext
from ebm_cli.energy import DISCRETE
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.rng import generator
from ebm_cli.sampler._site_updates import sites_of
from ebm_cli.wells.descent import states_of
from ebm_cli.wells.site_descent import descend_sites, overlaps

UNITS = {"recall": None, "overlap": None, "load": None}
NO_PATTERNS = "without data there are no patterns to recall. Add data=NAME to the command of ebm sample"
MAX_PATTERNS = 500
# Random patterns per unit that a Hebbian network of many units recalls (Amit, Gutfreund and Sompolinsky, 1985).
CAPACITY = 0.138


@dataclass(frozen=True)
class Recalled:
    """What became of the cues.

    overlaps: of the fixed point of each cue with its pattern.
    first: overlap of the cues themselves.
    stored, units: the number of patterns and of units.
    """

    overlaps: Float[np.ndarray, "cue pattern"]
    first: float
    min_overlap: float
    stored: int
    units: int

    @property
    def is_recalled(self) -> Float[np.ndarray, "cue pattern"]:
        """1 for cues that reach their pattern, and 0 for others."""
        return (self.overlaps >= self.min_overlap).astype(float)

    @property
    def count(self) -> str:
        """The number of cues that reach their pattern, in words."""
        return f"{int(self.is_recalled.sum())} of {self.is_recalled.size} cues"


class Recall:
    """Fraction of cues whose fixed point has an overlap of at least `min_overlap` with their pattern.

    Patterns are the training rows of the data, at most 500. A cue is a pattern in which round(corruption·N) of N
    units, drawn at random, have another value. From there asynchronous updates at T = 0, in random order, lead to a
    fixed point (Hopfield, 1982). The overlap of two states is (k·p − 1)/(k − 1), with p the fraction of units in which
    they agree and k the number of values of a unit; for units ±1 it is x·ξ/N. `load` is P/N for P patterns. Standard
    errors are over cues, for this network; chains are not used.

    corruption: fraction of units with another value; 0 starts at the patterns (in [0, 1]).
    min_overlap: overlap from which a pattern counts as recalled (in (0, 1)).
    cues: number of cues per pattern (≥ 2).
    """

    spaces = DISCRETE

    def __init__(self, corruption: float, min_overlap: float, cues: int) -> None:
        check.every(
            lambda: check.fraction("corruption", corruption),
            lambda: check.open_interval("min_overlap", min_overlap),
            lambda: check.count("cues", cues, minimum=2),
        )
        self.corruption = corruption
        self.min_overlap = min_overlap
        self.cues = cues

    def __call__(self, context: ChainContext) -> Result:
        energy, data = context.energy, context.data
        if energy is None or data is None:
            return all_refused(UNITS, NO_ENERGY if energy is None else NO_PATTERNS)
        rows = available_rows(data).x
        patterns = states_of(energy, rows[evenly_spaced(len(rows), MAX_PATTERNS)].cpu().numpy())
        found = self.recalled(energy, patterns, len(rows))
        changed = f"with {self.corruption:.0%} of their units changed" if self.corruption else "that are the patterns"
        estimates = {
            "recall": over_cues(found.is_recalled, f"{found.count} {changed} lead to their pattern (all is perfect)"),
            "overlap": over_cues(found.overlaps, "mean overlap of fixed points with their patterns (1 is perfect)"),
            "load": Estimate(found.stored / found.units, meaning=f"{found.stored} patterns in {found.units} units"),
        }
        return Result(estimates, found, picture)

    def recalled(self, energy: nn.Module, patterns: Float[Tensor, "P *event"], stored: int) -> Recalled:
        """Return what becomes of cues of these patterns, each in its own order of updates."""
        rng, sites = generator(0, "recall", patterns.device), sites_of(energy, patterns)
        changed, reached = round(self.corruption * sites.count), []
        for _ in range(self.cues):
            fixed = descend_sites(energy, corrupted(sites, patterns, changed, rng), rng)
            reached.append(overlaps(sites, fixed, patterns).diagonal().double().cpu().numpy())
        first = 1 - changed / sites.count * sites.values / (sites.values - 1)
        return Recalled(np.stack(reached), first, self.min_overlap, stored, sites.count)


def corrupted(
    sites: Sites, x: Float[Tensor, "n *event"], changed: int, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return the states with another value, drawn uniformly, at this number of random sites of each."""
    numbers = sites.numbers(x)
    order = torch.rand(numbers.shape, generator=rng, device=x.device).argsort(1)
    return sites.states(sites.with_other_values(numbers, order < changed, rng), x.dtype)


def over_cues(values: Float[np.ndarray, "cue pattern"], meaning: str) -> Estimate:
    """Return the mean with its standard error over cues."""
    return mean_over_chains(values.mean(1), "kept", meaning)


def picture(result: Result) -> Picture:
    """Draw a histogram of the overlaps."""
    from ebm_cli import figure

    found: Recalled = result.arrays
    drawn, (axes,) = figure.new()
    axes.hist(found.overlaps.ravel(), bins=np.linspace(-1, 1, 41).tolist(), color=figure.BLUE)
    axes.axvline(found.min_overlap, color=figure.GREEN, linestyle="--", label=f"recalled: {found.min_overlap:g}")
    axes.axvline(found.first, color=figure.BLACK, linestyle=":", label=f"cues: {found.first:.2g}")
    axes.set(xlabel="overlap of the fixed point with the pattern", ylabel="cues")
    axes.legend(loc="upper left")
    recall = result.estimates["recall"]
    return drawn, (
        f"Overlap of each cue's fixed point with its pattern. {found.count} reach their pattern: {recall.value:.3f} ± "
        f"{recall.se:.2g}. The network stores {found.stored} patterns in {found.units} units. For large N, Hebbian "
        f"storage recalls up to 0.138·N random patterns, here {CAPACITY * found.units:.3g}. Look for all bars to the "
        "right of the dashed line."
    )
