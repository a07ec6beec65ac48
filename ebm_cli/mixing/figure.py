"""The pictures of mixing: traces and ranks of the function of the state with the largest R̂."""

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from ebm_cli import figure
from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.chain.quantities import normal_scores
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Picture
from ebm_cli.mixing.verdict import MixingResult

BINS = 20
MAX_CHAINS = 32
MAX_LABELS = 8


def pictures(context: ChainContext, mixing: MixingResult) -> dict[str, Picture]:
    """Return both pictures by name; empty without usable chains or a function that varies."""
    usable = context.screened.usable
    if usable is None or not mixing.worst:
        return {}
    values = context.quantities[mixing.worst]
    return {"trace": trace(usable, values, mixing.worst), "rank": ranks(usable, values, mixing.worst)}


def ranks(chains: Chains, values: np.ndarray, name: str) -> Picture:
    """Draw how often each chain's draws are in each twentieth of all ranks, relative to mixed chains.

    The rank plots of Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 5, with one row per chain.
    """
    z = normal_scores(values)
    edges = np.quantile(z, np.linspace(0, 1, BINS + 1)[1:-1])
    places = np.searchsorted(edges, z, side="right")
    frequency = np.stack([np.bincount(row, minlength=BINS) for row in places]) * BINS / values.shape[1]
    shown = frequency[:MAX_CHAINS]
    drawn, (axes,) = figure.new(height=min(1.8 + 0.16 * len(shown), 4.4))
    largest = max(2.0, float(shown.max()))
    image = axes.imshow(shown, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(1, 0, largest))
    ticks = [0, 0.5, 1, (1 + largest) / 2, largest]
    drawn.colorbar(image, ax=axes, label="draws, relative to a mixed chain", ticks=ticks, format="%.2g")
    rows = evenly_spaced(len(shown), MAX_LABELS)
    axes.set_yticks(rows, [str(chains.numbers()[row]) for row in rows])
    axes.set_xticks([-0.5, BINS / 2 - 0.5, BINS - 0.5], ["lowest", "median", "highest"])
    axes.set(xlabel=f"rank of {name} among all draws", ylabel="chain")
    axes.grid(False)
    return drawn, (
        f"Rank histogram of {name}, the quantity with the largest R̂, one row per chain. Each twentieth of the ranks "
        f"has {frequency.min():.2f} to {frequency.max():.2f} times the draws of a mixed chain. Look for uniformly pale "
        "rows; a strongly colored row means that chain covers a different range."
    )


def trace(chains: Chains, values: np.ndarray, name: str) -> Picture:
    """Draw one function of the state over kernel steps, one line per chain."""
    steps = (np.arange(values.shape[1]) + 1) * chains.thin
    every = max(1, len(values) // MAX_CHAINS)
    drawn, (axes,) = figure.new()
    for i, row in enumerate(values[::every][:MAX_CHAINS]):
        axes.plot(steps, row, color=figure.CYCLE[i % len(figure.CYCLE)], alpha=0.45, linewidth=0.7)
    low, high = np.quantile(values, [0.001, 0.999])
    pad = 0.08 * (high - low) + 1e-12
    axes.set(xlabel="kernel steps after burn-in", ylabel=name, ylim=(low - pad, high + pad))
    means = values.mean(1)
    return drawn, (
        f"{name}, the quantity with the largest R̂, along {min(len(values), MAX_CHAINS)} of {len(values)} chains. Means "
        f"of the chains are {means.min():.3g} to {means.max():.3g}, the standard deviation of a draw is "
        f"{values.std():.3g}. Look for overlapping traces without a trend or a chain at its own level."
    )
