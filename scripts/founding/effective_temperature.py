"""Discretization heats: SGLD with step size h samples a quadratic well at T/(1 − αh/2)."""

from pathlib import Path

import numpy as np

from ebm_cli import figure
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import run_chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.quadratic import Quadratic
from scripts.founding import Claim, Row
from scripts.founding._parts import part, seeded, variance

ORDER = 160
CURVATURE, T = 2.0, 1.5
SHARES = (0.1, 0.5, 1.0, 1.5, 1.8)
CHAINS, STEPS = 40_000, 120


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = Quadratic([CURVATURE], None)
    found, rows = [], []
    for i, share in enumerate(SHARES):
        h, rng = share / CURVATURE, seeded(i)
        sampler = part("sampler", "sgld", {"step_size": h, "temperature": T})
        x = energy.draw(CHAINS, T, rng)
        value, se = variance(run_chains(sampler, energy, x, STEPS, rng, thin=None).last.x)
        found.append((CURVATURE * value, CURVATURE * se))
        rows.append(Row(f"α·variance at αh = {share}: T_eff", float(heated(share)), *found[-1]))
    h = 1 / CURVATURE
    sampler = part("sampler", "sgld", {"step_size": h, "temperature": T})
    draws = run_chains(sampler, energy, energy.draw(500, T, seeded(7)), 400, seeded(8), burn_in=50)
    chains = Chains(x=draws.x.transpose(0, 1).double().numpy())
    estimate = part("diagnostic", "effective_temperature")(ChainContext(chains, energy, T)).estimates[
        "effective_temperature"
    ]
    assert isinstance(estimate.value, float) and isinstance(estimate.se, float)
    rows.append(Row("the diagnostic effective_temperature at αh = 1", float(heated(1.0)), estimate.value, estimate.se))
    picture, (axes,) = figure.new()
    line = np.linspace(0, 1.9, 100)
    axes.plot(line, heated(line), color=figure.BLACK, label="T/(1 − αh/2)")
    means, errors = zip(*found, strict=True)
    axes.errorbar(
        SHARES,
        means,
        4 * np.array(errors),
        fmt="o",
        color=figure.BLUE,
        label="α·variance of chains ± 4 standard errors",
    )
    axes.axhline(T, color=figure.GREEN, linestyle="--", label=f"T = {T}")
    axes.set(xlabel="αh, step size h times curvature α", ylabel="effective temperature, in units of E", yscale="log")
    axes.set_yticks([2, 5, 10, 20], ["2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend()
    return Claim(
        section="原理与机制 › 改进采样过程 · Better sampling",
        sentence="Langevin steps of size h on E = α/2·x² sample at a higher temperature, T_eff = T/(1 − αh/2).",
        truth="This is exact for a quadratic well. In general each direction is heated according to its curvature, and "
        "no single temperature describes the distribution. For αh ≥ 2 no stationary distribution exists.",
        rows=rows,
        picture=picture,
        caption=f"SGLD at T = {T} on a well of curvature {CURVATURE:g}: {CHAINS:,} chains at each of five step sizes.",
    )


def heated(share: float | np.ndarray) -> float | np.ndarray:
    """Return T/(1 − αh/2)."""
    return T / (1 - share / 2)
