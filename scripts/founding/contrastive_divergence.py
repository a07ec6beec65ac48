"""Contrastive divergence is biased; longer chains have a smaller bias."""

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
        rows.append(Row(f"a of CD-{longer} minus a of CD-{k}, toward infinitely long chains", 0.0, *less, ">"))
    picture, (axes,) = figure.new()
    line = np.unique(np.geomspace(1, 64, 14).astype(int))
    axes.plot(line, [fixed_point(int(k)) for k in line], color=figure.BLACK, label="CD-k by quadrature")
    means, errors = zip(*found.values(), strict=True)
    axes.errorbar(LENGTHS, means, 4 * np.array(errors), fmt="o", color=figure.BLUE, label="trained ± 4 standard errors")
    axes.axhline(endless, color=figure.PURPLE, linestyle="-.", label="infinitely long chains, same step size")
    axes.axhline(LIKELIHOOD, color=figure.GREEN, linestyle="--", label="maximum likelihood 1/12")
    axes.axhline(1 / 20, color=figure.RED, linestyle=":", label="score matching 1/20")
    axes.set(xscale="log", xlabel="number k of Langevin steps from the data", ylabel="a of the model exp(−ax⁴)/Z")
    axes.set_xticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
    axes.minorticks_off()
    axes.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="Contrastive divergence starts chains at data and stops them after k steps. This causes a bias that "
        "decreases with k.",
        truth="If the model can represent the data distribution, chains from data stay in equilibrium at the optimum, "
        "and an exact kernel has no bias. The bias occurs for misspecified models. With one short step CD is score "
        "matching (Hyvärinen, 2007). Infinitely long chains give maximum likelihood up to the bias of their step "
        f"size ({endless:.4f} compared with {LIKELIHOOD:.4f} here).",
        rows=rows,
        picture=picture,
        caption="Fixed point of training with chains of k steps, for E = ax⁴ on data from N(0, 1).",
    )
