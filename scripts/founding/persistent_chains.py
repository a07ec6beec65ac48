"""Persistent chains are closer to maximum likelihood than contrastive divergence at the same cost."""

from pathlib import Path

import numpy as np

from ebm_cli import figure
from scripts.founding import Claim, Row
from scripts.founding._parts import average
from scripts.founding._quartic import CHAINS, LIKELIHOOD, LONG, fixed_point, trained

ORDER = 80
STEPS = 800


def measure(place: Path) -> Claim:  # noqa: ARG001
    ends, paths = {}, {}
    for start in ("data", "replay"):
        ends[start], paths[start] = trained(start, 1, STEPS)
    nearer = (ends["data"] - LIKELIHOOD).abs() - (ends["replay"] - LIKELIHOOD).abs()
    rows = [
        Row("a of PCD-1: the value for infinitely long chains", fixed_point(LONG), *average(ends["replay"])),
        Row("a of CD-1", fixed_point(1), *average(ends["data"])),
        Row("distance to maximum likelihood, CD-1 minus PCD-1", 0.0, *average(nearer), ">"),
    ]
    picture, (axes,) = figure.new()
    cost = CHAINS * (np.arange(STEPS) + 1)
    for start, name, color in (("data", "CD-1", figure.ORANGE), ("replay", "PCD-1", figure.BLUE)):
        path = paths[start]
        axes.fill_between(cost, *np.quantile(path, [0.1, 0.9], axis=1), color=color, alpha=0.3, linewidth=0)
        axes.plot(cost, path.mean(1), color=color, label=f"{name}, mean and central 80 % of 64 runs")
    axes.axhline(LIKELIHOOD, color=figure.GREEN, linestyle="--", label="maximum likelihood 1/12")
    axes.set(xlabel="gradient evaluations of chains per run", ylabel="a of the model exp(−ax⁴)/Z")
    axes.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="Persistent chains keep their states between updates. For the same number of steps they follow the "
        "model better than chains that restart at data.",
        rows=rows,
        picture=picture,
        caption="E = ax⁴ on data from N(0, 1), one Langevin step per update: equal cost, different final values.",
    )
