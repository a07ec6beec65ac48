"""Contrastive divergence is biased, and the less the longer its chains."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from ebm_cli import figure
from scripts.founding import Claim, Row
from scripts.founding._parts import average
from scripts.founding._quartic import LIKELIHOOD, LONG, fixed_point, trained

ORDER = 70
STEPS = 500
LENGTHS = (1, 2, 4, 8, 16)


def measure(place: Path) -> Claim:  # noqa: ARG001
    found = {k: average(trained("data", k, STEPS)[0]) for k in LENGTHS}
    rows: list[Row] = [Row(f"a trained by CD-{k}", fixed_point(k), *found[k]) for k in LENGTHS]
    endless = fixed_point(LONG)
    for k, longer in pairwise(LENGTHS):
        less = found[longer][0] - found[k][0], np.hypot(found[k][1], found[longer][1])
        rows.append(Row(f"how much nearer CD-{longer} is to chains without end than CD-{k}", 0.0, *less, ">"))
    picture, (axes,) = figure.new()
    line = np.unique(np.geomspace(1, 64, 14).astype(int))
    axes.plot(line, [fixed_point(int(k)) for k in line], color=figure.BLACK, label="CD-k by quadrature")
    means, errors = zip(*found.values(), strict=True)
    axes.errorbar(LENGTHS, means, 4 * np.array(errors), fmt="o", color=figure.BLUE, label="trained ± 4 errors")
    axes.axhline(endless, color=figure.PURPLE, linestyle="-.", label="chains without end, this step")
    axes.axhline(LIKELIHOOD, color=figure.GREEN, linestyle="--", label="maximum likelihood 1/12")
    axes.axhline(1 / 20, color=figure.RED, linestyle=":", label="score matching 1/20")
    axes.set(xscale="log", xlabel="k, Langevin steps from the data", ylabel="a, the model being exp(−ax⁴)/Z")
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.minorticks_off()
    axes.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="Contrastive divergence starts chains at data and stops them after k steps, which brings a bias: "
        "the smaller, the longer they run.",
        truth="Where the model can be the data's law, chains that start there stay there and an exact kernel has no "
        "bias at its optimum. The bias is that of a model that cannot: with one short step CD is score matching "
        "(Hyvärinen, 2007), and chains without end are maximum likelihood but for the bias of their own step "
        f"({endless:.4f} beside {LIKELIHOOD:.4f} here).",
        rows=rows,
        picture=picture,
        caption="Where training on chains of k steps comes to rest, for E = ax⁴ on data of N(0, 1).",
    )
