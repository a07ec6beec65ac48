"""Compare samplers of the square-lattice Ising model with exact energies, and measure how they slow down at T_c.

python scripts/ising_critical.py [--quick]

Energies per site of L = 16, 32 and 64 at three temperatures are compared with Kaufman's exact value for the finite
lattice (1949). At the critical temperature, integrated autocorrelation times of |M| and E are measured for sweeps of
single spins (chromatic gibbs) and for Wolff's clusters, for which a sweep is as many steps as change L² spins on
average: ⟨cluster size⟩/L² = ⟨(M/L²)²⟩ steps count as one sweep. A fit of τ = aLᶻ gives the exponents. Chains start at
states after 100 steps of Swendsen and Wang's sampler from uniform spins. Writes scripts/ising_critical.md and .png; 24
minutes on one thread, on two cores that four processes shared.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ebm_cli import figure
from ebm_cli.chain.engine import Tally, engine_of
from ebm_cli.diagnostic._integrated_time import integrated_time
from ebm_cli.energy.ising import Ising
from ebm_cli.rng import generator
from ebm_cli.sampler.gibbs import Gibbs
from ebm_cli.sampler.swendsen_wang import SwendsenWang
from ebm_cli.sampler.wolff import Wolff

CRITICAL = 2 / math.log(1 + 2**0.5)
TEMPERATURES, SIZES, SIZES_AT_CRITICAL = (2.15, CRITICAL, 2.4), (16, 32, 64), (8, 16, 32, 64)
# Sweeps of single spins, and sweeps per draw, at each size.
SWEEPS = {8: (40_000, 1), 16: (60_000, 1), 32: (100_000, 5), 64: (150_000, 10)}
CHAINS, EQUILIBRATION, WINDOW = 32, 100, 3.0
PLACE = Path(__file__).with_suffix("")
LOCAL, CLUSTER = "gibbs", "wolff"
LITERATURE = {
    LOCAL: "z = 2.167 (Nightingale and Blöte, 1996)",
    CLUSTER: "z of about 0.25, or a logarithm (Baillie and Coddington, 1991)",
}


@dataclass(frozen=True)
class Series:
    """Chains of E and |M| per site, every `thin` steps: (chains, draws)."""

    energy: Float[np.ndarray, "chain draw"]
    magnetization: Float[np.ndarray, "chain draw"]
    thin: int


def run(sampler: Any, size: int, steps: int, thin: int, engine: str) -> Series:
    """Return the series of CHAINS chains of a lattice, from states of equilibrium."""
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (size, size)).requires_grad_(False)
    rng = generator(0, f"{type(sampler).__name__}{size}{sampler.temperature}", torch.device("cpu"))
    x = energy.sites.uniform(CHAINS, rng, torch.float32)
    clusters = SwendsenWang(sampler.temperature)
    state = clusters.init(energy, x, rng)
    for _ in range(EQUILIBRATION):
        state, _ = clusters.step(energy, state, rng)
    state, tally = sampler.init(energy, state.x, rng), Tally.zero(x)
    runner = engine_of(engine, sampler, energy, rng)
    block = min(runner.block, thin)
    rows = []
    for _ in range(steps // thin):
        for _ in range(thin // block):
            state, tally = runner.advance(state, tally, block)
        rows.append(torch.stack([state.energy, state.x.sum((1, 2)).abs()]) / size**2)
    e, m = torch.stack(rows, 2).double().numpy()
    return Series(e, m, thin)


def exact_energy(size: int, temperature: float) -> float:
    """Return ⟨E⟩/L² = T² ∂log Z/∂T / L², by a central difference of Kaufman's log Z."""
    energy, h = Ising(1.0, 0.0, "lattice", "spin", False, (size, size)), 1e-4
    slope = (energy.log_z(temperature + h) - energy.log_z(temperature - h)) / (2 * h)
    return temperature**2 * slope / size**2


def energies(steps: Callable[[str], int], sizes: tuple[int, ...]) -> list[str]:
    """Return the table of energies per site; errors are standard errors over chains."""
    rows = ["| L | T | exact | gibbs | wolff | swendsen_wang |", "|---|---|---|---|---|---|"]
    for size in sizes:
        for temperature in TEMPERATURES:
            exact = exact_energy(size, temperature)
            cells = []
            for sampler in (Gibbs(temperature, "systematic"), Wolff(temperature), SwendsenWang(temperature)):
                means = run(sampler, size, steps(type(sampler).__name__), 1, "eager").energy.mean(1)
                mean, se = means.mean(), means.std(ddof=1) / CHAINS**0.5
                cells.append(f"{mean:.5f} ± {se:.5f} ({(mean - exact) / se:+.1f})")
            rows.append(f"| {size} | {temperature:.4g} | {exact:.5f} | " + " | ".join(cells) + " |")
            print(rows[-1], flush=True)
    return rows


@dataclass(frozen=True)
class Times:
    """Autocorrelation times in sweeps at each size. tau, se: of |M| and of E."""

    sizes: list[int]
    tau: Float[np.ndarray, "sizes 2"]
    se: Float[np.ndarray, "sizes 2"]

    def exponents(self) -> list[tuple[float, float, float]]:
        """Return z, its standard error and log a of |M| and of E, by least squares of log τ with weights 1/se²."""
        found = []
        for tau, se in zip(self.tau.T, self.se.T, strict=True):
            (z, log_a), covariance = np.polyfit(np.log(self.sizes), np.log(tau), 1, w=tau / se, cov="unscaled")
            found.append((float(z), float(covariance[0, 0] ** 0.5), float(log_a)))
        return found


def slowing_down(name: str, sizes: tuple[int, ...], effort: float) -> Times:
    """Measure autocorrelation times at the critical temperature. effort: 1 for the table's lengths."""
    tau, se = [], []
    for size in sizes:
        if name == LOCAL:
            steps, thin = SWEEPS[size]
            series = run(Gibbs(CRITICAL, "systematic"), size, int(effort * steps), thin, "compiled")
        else:
            series = run(Wolff(CRITICAL), size, int(effort * 2000), 1, "eager")
        sweeps = series.thin * (1.0 if name == LOCAL else float((series.magnetization**2).mean()))
        found = [integrated_time(values, WINDOW) for values in (series.magnetization, series.energy)]
        tau.append([sweeps * each.tau for each in found if each])
        se.append([sweeps * each.se for each in found if each])
        print(name, size, tau[-1], se[-1], flush=True)
    return Times(list(sizes), np.array(tau), np.array(se))


def times_table(times: dict[str, Times]) -> list[str]:
    """Return the table of autocorrelation times and exponents."""
    rows = [
        "| | " + " | ".join(f"{name}, {of}" for name in times for of in ("\\|M\\|", "E")) + " |",
        "|---|---|---|---|---|",
    ]
    for i, size in enumerate(next(iter(times.values())).sizes):
        cells = [f"{t.tau[i, of]:.3g} ± {t.se[i, of]:.2g}" for t in times.values() for of in (0, 1)]
        rows.append(f"| τ at L = {size} | " + " | ".join(cells) + " |")
    fits = [f"{z:.2f} ± {se:.2f}" for t in times.values() for z, se, _ in t.exponents()]
    rows.append("| z | " + " | ".join(fits) + " |")
    return rows


def picture(times: dict[str, Times]) -> figure.Figure:
    """Draw the autocorrelation times against L with their fits."""
    drawn, panels = figure.new(2, width=7.2, height=3.2)
    sizes = times[LOCAL].sizes
    for axes, of, label in zip(panels, (0, 1), ("|M|", "E"), strict=True):
        for (name, t), color in zip(times.items(), (figure.BLUE, figure.ORANGE), strict=True):
            z, se, log_a = t.exponents()[of]
            axes.errorbar(t.sizes, t.tau[:, of], t.se[:, of], fmt="o", color=color, markersize=4)
            line = np.array([t.sizes[0], t.sizes[-1]], dtype=float)
            axes.plot(line, np.exp(log_a) * line**z, color=color, label=f"{name}, z = {z:.2f} ± {se:.2f}")
        axes.set(xscale="log", yscale="log", xlabel="L", ylabel=f"autocorrelation time of {label} (sweeps)")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.legend(frameon=False)
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run short chains of small lattices, as a test")
    parser.add_argument("--out", type=Path, default=PLACE, help="path of the page and the picture, without suffix")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        effort = 0.02 if options.quick else 1.0
        lengths = {"Gibbs": 3000, "Wolff": 500, "SwendsenWang": 300}
        table = energies(lambda name: int(effort * lengths[name]), SIZES[:1] if options.quick else SIZES)
        sizes = SIZES_AT_CRITICAL[:2] if options.quick else SIZES_AT_CRITICAL
        times = {name: slowing_down(name, sizes, effort) for name in (LOCAL, CLUSTER)}
    picture(times).savefig(options.out.with_suffix(".png"), dpi=150)
    page = [
        "# Ising model at and around the critical temperature\n",
        f"`python scripts/ising_critical.py`; {CHAINS} chains, one thread.\n",
        "Energy per site, with its distance from Kaufman's exact value (1949) in standard errors:\n",
        *table,
        "\nIntegrated autocorrelation times τ = 1 + 2Σρ at T_c, in sweeps (L² spins drawn or changed), with τ = aLᶻ:\n",
        *times_table(times),
        f"\nOn record for large L: {', '.join(f'{name} {z}' for name, z in LITERATURE.items())}.",
        f"\n![Autocorrelation times against L]({options.out.name}.png)\n",
    ]
    options.out.with_suffix(".md").write_text("\n".join(page))


if __name__ == "__main__":
    main()
