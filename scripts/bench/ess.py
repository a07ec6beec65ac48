"""Effective sample size per gradient and per second, ours and blackjax's, for 64 chains.

    make bench            # or: python -m scripts.bench.ess [--quick]

The table shows the ESS of the mean (arviz-stats), the minimum over all coordinates of x and of x². The number of
gradients is the number per chain times 64, during sampling only. Seconds exclude tuning and compilation. Every kernel
is tuned once in a burn-in and then samples with three seeds: median and range. An ESS below 25 per chain is marked,
because such chains are too short to estimate their autocorrelation.

Unadjusted kernels (sgld, sghmc, underdamped) use the step size with a 5 % error in the variance of the worst
coordinate, by closed form on Gaussians and by adapt=step elsewhere. On a Gaussian underdamped is exact in x, and its
5 % refers to v. The measured error is shown if the exact variance is known. The leapfrog_steps of hmc and the frictions
are the best per gradient among a few values, each in one short eager run. Writes scripts/bench/ess-cpu.md and .json.
"""

import argparse
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.tuning import Tuning
from ebm_cli.energy.funnel import Funnel
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.muller_brown import CENTERS, CURVATURES, HEIGHTS, MullerBrown
from ebm_cli.energy.phi4 import Phi4
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.path.hot import HotPath
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS
from ebm_cli.sampler.sghmc import SGHMC
from ebm_cli.sampler.sgld import SGLD
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.sampler.underdamped import Underdamped
from scripts.bench import table
from scripts.bench.table import Bar

CHAINS = 64
SEEDS = (1, 2, 3)
ENOUGH = 25
BIAS = 0.05
CONDITION = 1000.0
ALIGNED, ROTATED = "Gaussian, 20-D, condition 1,000", "the same, rotated"
FUNNEL, PLANE, APART, LATTICE = "funnel, 10-D", "Müller–Brown", "modes 10 widths apart, 0.3 and 0.7", "φ⁴, ring of 8"
MODES = ([[-5.0, 0.0], [5.0, 0.0]], [1.0, 1.0], [0.3, 0.7])
# Candidates for leapfrog_steps, for the friction of sghmc (fraction of velocity lost) and of underdamped.
FLIGHTS, SHARES, FRICTIONS = (2, 4, 8, 16, 32, 64), (0.003, 0.01, 0.03, 0.1), (0.1, 0.3, 1.0, 3.0)
UNADJUSTED = ("sgld", "sghmc", "underdamped")


class Rotated(nn.Module):
    """E(x) = ½ xᵀPx: a Gaussian with rotated axes."""

    precision: Tensor

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.register_buffer("precision", precision)

    def forward(self, x: Tensor) -> Tensor:
        return self.energy_and_grad(x)[0]

    def energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        grad = x @ self.precision
        return 0.5 * (x * grad).sum(1), grad

    def moments(self, temperature: float) -> tuple[Tensor, Tensor]:
        covariance = temperature * self.precision.double().inverse()
        return torch.zeros(len(covariance)), covariance.diagonal().float()


@dataclass(frozen=True)
class Target:
    """A density with the initial states of chains, exact properties, and the number of steps for each kernel.

    variances: exact variances of the coordinates, or None. curvature: the largest curvature of a Gaussian, or None.
    steps: number of steps per chain, by kernel. density: makes the same density in jax.
    """

    name: str
    energy: nn.Module
    start: Tensor
    variances: Tensor | None
    curvature: float | None
    steps: dict[str, int]
    density: Callable[[], Any]


def targets() -> list[Target]:
    """Return all targets; chains start at exact draws if the energy has them."""
    rng = torch.Generator().manual_seed(0)
    curvatures = torch.logspace(0, math.log10(CONDITION), 20)
    aligned = Quadratic(curvatures.tolist(), None)
    axes, _ = torch.linalg.qr(torch.randn(20, 20, generator=rng, dtype=torch.float64))
    rotated = Rotated((axes * curvatures.double() @ axes.T).float())
    at = aligned.draw(CHAINS, 1.0, rng).detach()
    funnel, plane, lattice = Funnel(3.0, None), MullerBrown(0.05), Phi4(-1.0, 1.0, None)
    apart = GaussianMixture(*MODES)
    # Half of the chains start in each mode, unlike the weights: chains that never cross keep these fractions.
    halves = torch.tensor(MODES[0]).repeat(CHAINS // 2, 1) + torch.randn(CHAINS, 2, generator=rng)
    wells = torch.tensor([[-0.558, 1.442], [0.623, 0.028]]).repeat(CHAINS // 2, 1)
    many = {"sgld": 600_000, "sghmc": 40_000, "underdamped": 40_000}
    exact = {"mala": 20_000, "hmc": 1000, "nuts": 100}
    small = {"sgld": 40_000, "underdamped": 20_000, **exact}

    def jax_density(name: str, *arguments: Any) -> Callable[[], Any]:
        def make() -> Any:
            from scripts.bench import blackjax_chains

            return getattr(blackjax_chains, name)(*arguments)

        return make

    return [
        Target(
            ALIGNED,
            aligned,
            at,
            aligned.moments(1.0)[1],
            CONDITION,
            many | exact,
            jax_density("gaussian", curvatures.numpy()),
        ),
        Target(
            ROTATED,
            rotated,
            (at.double() @ axes.T).float(),
            rotated.moments(1.0)[1],
            CONDITION,
            many | exact,
            jax_density("gaussian", rotated.precision.numpy()),
        ),
        Target(
            FUNNEL,
            funnel,
            funnel.draw(CHAINS, 1.0, rng).detach(),
            funnel.moments(1.0)[1],
            None,
            small | {"nuts": 50},
            jax_density("funnel", 3.0),
        ),
        Target(
            PLANE,
            plane,
            wells,
            plane_variances(plane),
            None,
            small | {"tempering": 10_000},
            jax_density("muller_brown", 0.05, HEIGHTS, CURVATURES, CENTERS),
        ),
        Target(
            APART,
            apart,
            halves,
            apart.moments(1.0)[1],
            None,
            {"mala": 20_000, "nuts": 150, "tempering": 10_000},
            jax_density("mixture", *MODES),
        ),
        Target(
            LATTICE, lattice, torch.randn(CHAINS, 8, generator=rng), None, None, small, jax_density("phi4", -1.0, 1.0)
        ),
    ]


def plane_variances(energy: MullerBrown) -> Tensor:
    """Return the variances by the trapezoid rule, exact up to rounding because E at the edge is at least 200 T."""
    first, second = torch.linspace(-4.0, 3.0, 700), torch.linspace(-3.0, 4.5, 750)
    points = torch.cartesian_prod(first, second)
    with torch.no_grad():
        weights = (-energy(points).double()).softmax(0)[:, None]
    mean = (weights * points).sum(0)
    return (weights * (points - mean).square()).sum(0)


def tempering() -> Tempering:
    """Return replica exchange with MALA between eight temperatures."""
    kernel = HMC(
        0.14, leapfrog_steps=1, step_size_jitter=0.0, short=0.0, log_step_std=0.0, temperature=1.0, scales=None
    )
    return Tempering(kernel, 1.0, None, None, HotPath("auto", 8, 30.0))


def first_kernels(target: Target) -> dict[str, list[Any]]:
    """Return the candidate settings of each kernel on the target; most kernels have only one."""
    candidates = {
        "sgld": [SGLD(1e-3, 1.0, None)],
        "sghmc": [SGHMC(1e-3, share, 1.0, None) for share in SHARES],
        "underdamped": [Underdamped(1e-2, friction, 1.0, None) for friction in FRICTIONS],
        "mala": [MALA(1e-2, 1.0, None)],
        "hmc": [HMC(1e-2, flight, 0.2, 0.0, 0.0, 1.0, None) for flight in FLIGHTS],
        "nuts": [NUTS(1e-2, 10, 1.0, None)],
        "tempering": [tempering()],
    }
    if target.curvature:
        for name in UNADJUSTED:
            candidates[name] = [
                dataclasses.replace(each, step_size=each.step_size_for(target.curvature, BIAS))
                for each in candidates[name]
            ]
    return {name: candidates[name] for name in target.steps}


def least_ess(x: np.ndarray) -> float:
    """Return the ESS of all chains, the minimum over coordinates of x and x²; x: (draws, chains, *event)."""
    draws = x.reshape(*x.shape[:2], -1).astype(np.float64)
    both = np.concatenate([draws, draws**2], axis=2).transpose(1, 0, 2)
    if both.shape[1] < 4 or not np.isfinite(both).all():
        return math.nan
    return float(np.min(array_stats.ess(both, chain_axis=0, draw_axis=1, method="mean")))


@dataclass(frozen=True)
class Draws:
    """Result of one seed. x: (draws, chains, *event). gradients: total over chains. seconds: sampling time."""

    x: np.ndarray
    gradients: float
    seconds: float

    @property
    def ess(self) -> float:
        return least_ess(self.x)


def thinning(name: str, steps: int) -> int:
    """Return the steps between draws: 1 for trajectories; for small steps, enough to keep about 1,000 draws."""
    return 1 if name in ("hmc", "nuts") else max(10, steps // 1000 // 10 * 10)


def drawn(sampler: Any, energy: nn.Module, x: Tensor, steps: int, thin: int, seed: int, engine: str) -> Draws:
    """Run our chains from x."""
    began = time.perf_counter()
    with_rng = torch.Generator().manual_seed(seed)
    done = run_chains(sampler, energy, x, steps, with_rng, thin=thin, engine=engine)
    return Draws(done.x.numpy(), float(done.gradients.sum()), time.perf_counter() - began)


def tuning_of(name: str, target: Target) -> Tuning:
    """Return the tuning for burn-in; none if the step size has a closed form."""
    if name in UNADJUSTED:
        return Tuning("none" if target.curvature else "step", target_bias=BIAS)
    return Tuning("step" if name == "tempering" else "all")


def tuned(sampler: Any, tuning: Tuning, target: Target, burn_in: int) -> tuple[Any, Tensor]:
    """Return the sampler and the states of the chains after a burn-in."""
    rng = torch.Generator().manual_seed(0)
    done = run_chains(sampler, target.energy, target.start, 1, rng, burn_in=burn_in, tuning=tuning, thin=None)
    return done.sampler, done.last.x


def best_of(candidates: Sequence[Any], name: str, target: Target, short: int) -> tuple[Any, Tensor]:
    """Return the tuned candidate with the largest ESS per gradient in a run of about `short` gradients."""
    tuning = tuning_of(name, target)
    if len(candidates) == 1:
        return tuned(candidates[0], tuning, target, short)
    best, most = None, -1.0
    for candidate in candidates:
        flight = candidate.passes
        sampler, x = tuned(candidate, tuning, target, max(100, short // flight))
        steps = max(100, short // flight)
        draws = drawn(sampler, target.energy, x, steps, 1 if name == "hmc" else 10, 0, "eager")
        rate = np.nan_to_num(draws.ess / draws.gradients)
        if rate > most:
            best, most = (sampler, x), rate
    assert best is not None
    return best


def setting(sampler: Any) -> str:
    """Describe the tuned or selected settings."""
    step = statistics.mean(sampler.replica_step_factors) if isinstance(sampler, Tempering) else sampler.step_size
    words = [f"step {step:.3g}"]
    words += [
        f"{field} {getattr(sampler, field)}" for field in ("leapfrog_steps", "friction") if hasattr(sampler, field)
    ]
    return ", ".join(words)


def row(target: Target, kernel: str, words: str, runs: Sequence[Draws]) -> dict[str, Any]:
    """Return the results of one kernel over its seeds."""
    ess = [run.ess for run in runs]
    every = np.concatenate([run.x.reshape(-1, *run.x.shape[2:]) for run in runs]).astype(np.float64)
    notes = []
    broke = int((~np.isfinite(runs[0].x[-1].reshape(CHAINS, -1)).all(1)).sum())
    if broke:
        notes.append(f"{broke} of {CHAINS} chains broke")
    elif not min(ess) >= ENOUGH * CHAINS:
        notes.append(f"too short: {min(ess) / CHAINS:.2g} effective draws per chain")
    error = None
    if target.variances is not None and not broke:
        relative = every.var(0).reshape(-1) / target.variances.double().numpy().reshape(-1) - 1
        error = float(relative[np.abs(relative).argmax()])
    if target.name == APART and not broke:
        notes.append(f"{(every[:, 0] > 0).mean():.2f} in the heavier mode")
    return {
        "target": target.name,
        "kernel": kernel,
        "setting": words,
        "ess_a_gradient": [e / run.gradients for e, run in zip(ess, runs, strict=True)],
        "ess_a_second": [e / run.seconds for e, run in zip(ess, runs, strict=True)],
        "microseconds_a_gradient": statistics.median(1e6 * run.seconds / run.gradients * CHAINS for run in runs),
        "variance_error": error,
        "notes": notes,
    }


def our_row(target: Target, name: str, candidates: Sequence[Any], quick: bool) -> dict[str, Any]:
    """Select and tune the sampler, compile it, and sample."""
    burn_in = 200 if name == "nuts" else 2000
    sampler, x = best_of(candidates, name, target, 200 if quick else burn_in)
    steps = max(100, target.steps[name] // (100 if quick else 1))
    thin = thinning(name, steps)
    engine = "eager" if name == "nuts" or quick else "compiled"
    drawn(sampler, target.energy, x, 2 * thin, thin, 0, engine)
    runs = [drawn(sampler, target.energy, x, steps, thin, seed, engine) for seed in SEEDS]
    return row(target, name, f"{setting(sampler)}, {engine}", runs)


def blackjax_row(target: Target, x: Tensor, leapfrog: int | None, quick: bool) -> dict[str, Any]:
    """Run NUTS of blackjax, or its HMC if `leapfrog` is given, from the states x, after the warm-up of blackjax."""
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    from scripts.bench import blackjax_chains

    density, starts, warm_up = target.density(), jnp.asarray(x.numpy()), 100 if quick else 1000
    draws = max(100, target.steps["nuts" if leapfrog is None else "hmc"] // (100 if quick else 1))
    if leapfrog is None:
        step_size, mass = blackjax_chains.adapted(density, starts[0], warm_up, 0)
        run = blackjax_chains.nuts(density, step_size, mass, draws, keep=True)
    else:
        step_size, mass = blackjax_chains.adapted_hmc(density, starts[0], warm_up, 0, leapfrog)
        run = blackjax_chains.hmc(density, step_size, mass, leapfrog, draws, keep=True)
    jax.block_until_ready(run(jax.random.key(0), starts))
    runs = []
    for seed in SEEDS:
        began = time.perf_counter()
        kept, gradients = jax.block_until_ready(run(jax.random.key(seed), starts))
        took = time.perf_counter() - began
        runs.append(Draws(np.asarray(kept).swapaxes(0, 1), float(gradients.sum()), took))
    words = f"step {step_size:.3g}" + (f", leapfrog_steps {leapfrog}" if leapfrog else "")
    return row(target, f"blackjax {'hmc' if leapfrog else 'nuts'}", words, runs)


def measured(chosen: Sequence[Target], quick: bool) -> list[dict[str, Any]]:
    rows = []
    for target in chosen:
        leapfrog = None
        for name, candidates in first_kernels(target).items():
            began = time.perf_counter()
            rows.append(our_row(target, name, candidates, quick))
            print(f"{target.name}: {name}, {time.perf_counter() - began:.0f} s", flush=True)
            if name == "hmc":
                leapfrog = int(rows[-1]["setting"].split("leapfrog_steps ")[1].split(",")[0])
        if not table.has("blackjax"):
            continue
        x = equilibrated(target)
        for flight in [None] if leapfrog is None else [None, leapfrog]:
            began = time.perf_counter()
            rows.append(blackjax_row(target, x, flight, quick))
            print(f"{target.name}: {rows[-1]['kernel']}, {time.perf_counter() - began:.0f} s", flush=True)
    return rows


def equilibrated(target: Target) -> Tensor:
    """Return states after a burn-in with our NUTS from the initial states."""
    return tuned(NUTS(1e-2, 10, 1.0, None), Tuning("step"), target, 200)[1]


def rate(rows: Sequence[dict[str, Any]], target: str, kernels: Sequence[str], what: str) -> float | None:
    """Return the largest median over seeds among these kernels on the target; None if none was run."""
    found = [statistics.median(r[what]) for r in rows if r["target"] == target and r["kernel"] in kernels]
    return max(found) if found else None


def over(rows: Sequence[dict[str, Any]], target: str, kernels: Sequence[str], other: str, what: str) -> float | None:
    ours, theirs = rate(rows, target, kernels, what), rate(rows, target, [other], what)
    return ours / theirs if ours and theirs else None


def bars(rows: Sequence[dict[str, Any]]) -> list[Bar]:
    promised = []
    for name in [n for n in (ALIGNED, ROTATED) if any(r["target"] == n for r in rows)]:
        a_gradient, a_second = "ess_a_gradient", "ess_a_second"
        flights = ("hmc", "nuts")
        promised += [
            Bar(
                f"best adapted kernel / sgld, ESS per gradient, {name}",
                over(rows, name, ("mala", *flights), "sgld", a_gradient),
                20.0,
                True,
            ),
            Bar(f"sghmc / sgld, ESS per gradient, {name}", over(rows, name, ("sghmc",), "sgld", a_gradient), 4.0, True),
            Bar(
                f"hmc or nuts / blackjax nuts, ESS per gradient, {name}",
                over(rows, name, flights, "blackjax nuts", a_gradient),
                0.8,
                True,
            ),
            Bar(
                f"hmc or nuts / blackjax nuts, ESS per second, {name}",
                over(rows, name, flights, "blackjax nuts", a_second),
                1.0,
                True,
            ),
        ]
    return promised


def spread(values: Sequence[float], scale: float = 1.0) -> str:
    """Format median and range; a dash if chains became non-finite."""
    if not all(math.isfinite(v) for v in values):
        return "–"
    low, middle, high = (table.figure(scale * v) for v in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low}–{high})"


def text(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the table of the page."""
    cells = [
        [
            r["target"],
            r["kernel"],
            r["setting"],
            spread(r["ess_a_gradient"], 1000),
            spread(r["ess_a_second"]),
            table.figure(r["microseconds_a_gradient"]),
            "–" if r["variance_error"] is None else f"{100 * r['variance_error']:+.1f} %",
            "; ".join(r["notes"]),
        ]
        for r in rows
    ]
    columns = [
        "target",
        "kernel",
        "setting",
        "ESS per 1,000 gradients",
        "ESS per second",
        "µs per gradient of 64 chains",
    ]
    assert __doc__ is not None
    return [*__doc__.split("\n\n", 2)[2].splitlines(), "", *table.lines([*columns, "worst variance", "note"], cells)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run one target with a hundredth of the steps, as a test")
    parser.add_argument("--only", help="run only targets with this text in their name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    options = parser.parse_args()
    table.alone()
    chosen = [t for t in targets() if (options.only or (ALIGNED if options.quick else "")) in t.name]
    began = time.perf_counter()
    rows = measured(chosen, options.quick)
    on = table.machine("cpu") | {"seconds": round(time.perf_counter() - began)}
    table.write(options.out / "ess-cpu", on, text(rows), {"rows": rows}, bars(rows))


if __name__ == "__main__":
    main()
