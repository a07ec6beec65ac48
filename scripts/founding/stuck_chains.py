"""Stuck chains: their self-transition probability, autocorrelation and mixing verdict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from ebm_cli import figure
from ebm_cli.chain import chain_file
from scripts.founding import Claim, Row, Word
from scripts.founding._parts import average, ebm

ORDER = 100
HUGE, SMALL = 1.8, 0.1
LEFT = 0.3
MODES = (
    "energy=gaussian_mixture",
    "energy.means=[[-5],[5]]",
    "energy.stds=[1,1]",
    f"energy.weights=[{LEFT},{1 - LEFT}]",
)
WELL = ("energy=quadratic", "energy.a=1", "event=[1]", "start.distribution=normal", "thin=1", "burn_in=100")


def refusal(step_size: float) -> float:
    """Return the fraction of rejected MALA proposals on E = ½x², by quadrature over x and noise."""
    x = np.linspace(-8, 8, 1201)[:, None]
    z = x.T
    η = step_size
    y = x - η * x + (2 * η) ** 0.5 * z
    log_ratio = (x**2 - y**2) / 2 - (x - y + η * y) ** 2 / (4 * η) + z**2 / 2
    weight = norm.pdf(x) * norm.pdf(z)
    return float((weight * (1 - np.minimum(np.exp(log_ratio), 1))).sum() / weight.sum())


def diagnosed(place: Path, name: str, words: tuple[str, ...]) -> tuple[chain_file.Chains, dict[str, Any]]:
    """Run `ebm sample` and `ebm diagnose`; return the chains and the numbers of both."""
    run, looked = place / name, place / f"{name}-diagnosed"
    ebm("sample", *words, "engine=eager", f"out={run}")
    ebm("diagnose", f"run={run}", "diagnostic=[autocorrelation,self_transition]", f"out={looked}")
    said = [json.loads((folder / "metrics.json").read_text()) for folder in (run, looked)]
    return chain_file.read(run / "chains.nc"), said[0] | said[1]


def measure(place: Path) -> Claim:
    langevin = (*MODES, "sampler=mala", "sampler.step_size=0.5", "start.scale=1", "steps=2000")
    ladder = (*MODES, "sampler=tempering", "sampler.kernel.step_size=1", "start.scale=10", "burn_in=500", "steps=3000")
    stuck, of_stuck = diagnosed(place, "stuck", langevin)
    free, of_free = diagnosed(place, "free", ladder)
    _, huge = diagnosed(place, "huge", (*WELL, "sampler=mala", f"sampler.step_size={HUGE}", "steps=1000"))
    _, small = diagnosed(place, "small", (*WELL, "sampler=sgld", f"sampler.step_size={SMALL}", "steps=3000"))
    share = average((free.x[:, :, 0] < 0).mean(1))
    rows = [
        Row(f"self-transition of MALA, η = {HUGE}", refusal(HUGE), *both(huge["self_transition"])),
        Row(f"autocorrelation time of SGLD, η = {SMALL}, in steps", (2 - SMALL) / SMALL, *both(small["iat_max"])),
        Word(
            "two modes, Langevin chains: verdict of `ebm diagnose` on mixing", "refused", of_stuck["mixing"]["verdict"]
        ),
        Word("two modes, replica exchange: verdict on mixing", "ok", of_free["mixing"]["verdict"]),
        Row("weight of the left mode by replica exchange", LEFT, *share),
    ]
    picture, axes = figure.new(2, width=8.8, height=3.2)
    for each, chains, name in zip(
        axes, (stuck, free), ("Langevin (mala)", "replica exchange (tempering)"), strict=True
    ):
        for i, row in enumerate(chains.x[:6, :, 0]):
            steps = (np.arange(len(row)) + 1) * chains.thin
            each.plot(steps, row, color=figure.CYCLE[i], alpha=0.7, linewidth=0.7)
        each.set(xlabel="kernel steps", ylabel="x, six chains", title=name, ylim=(-9, 9))
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="Chains stall and mix slowly if high barriers separate the modes. The self-transition probability and "
        "the autocorrelation show it.",
        truth="They show it only if chains cross occasionally. Chains that never leave their mode look well mixed "
        "individually. Disagreement between chains, or extra chains started elsewhere, reveals the problem.",
        rows=rows,
        picture=picture,
        caption=f"Two modes with weights {LEFT} and {1 - LEFT}, ten widths apart.",
    )


def both(row: dict[str, Any]) -> tuple[float, float]:
    """Return value and standard error of a row of metrics.json; NaN if the verdict is refused."""
    return row["value"] if row["value"] is not None else float("nan"), row.get("se", float("nan"))
