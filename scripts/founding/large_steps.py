"""Large steps add entropy and keep modes, but reduce calibration."""

from pathlib import Path

import numpy as np
from scipy.special import entr

from ebm_cli import figure
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from scripts.founding import Claim, Row
from scripts.founding._line import Line, langevin, law
from scripts.founding._parts import average, moved, part, seeded

ORDER = 170
STEPS, CHAINS = 100, 40_000
SIZES = (0.02, 0.08, 0.2, 0.4)
LEFT, APART, WIDTH, MASS = 0.4, 2.0, 0.6, 0.9
EDGE, BINS = 8.0, 80


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = GaussianMixture([[-APART], [APART]], [WIDTH, WIDTH], [LEFT, 1 - LEFT])
    target = law(energy, -EDGE, EDGE, points=1600)
    # The highest-density region with probability MASS under exp(−E)/Z.
    order = np.argsort(-target.mass)
    inside = np.zeros(len(order), dtype=bool)
    inside[order[: np.searchsorted(np.cumsum(target.mass[order]), MASS) + 1]] = True
    begun = law(GaussianMixture([[APART]], [WIDTH], [1.0]), -EDGE, EDGE, points=1600)
    rows, measured, curves = [], [], []
    line = np.geomspace(SIZES[0], SIZES[-1], 9)
    for η in line:
        kernel = langevin(energy, target.x, float(η))
        settled = target.after(kernel, STEPS)
        curves.append((crossed(begun.after(kernel, STEPS)), entropy(settled), settled.mean(inside.astype(float))))
    for i, η in enumerate(SIZES):
        kernel = langevin(energy, target.x, η)
        alone, settled = begun.after(kernel, STEPS), target.after(kernel, STEPS)
        sampler, rng = part("sampler", "sgld", {"step_size": η}), seeded(i)
        # Exact draws of the right mode only, and of exp(−E)/Z.
        x = moved(sampler, energy, begun.draw(CHAINS, rng), STEPS, rng)
        y = moved(sampler, energy, energy.draw(CHAINS, 1.0, rng), STEPS, rng)[:, 0].double().numpy()
        each = (
            average((x < 0).double()),
            counted_entropy(y),
            average(
                inside[np.clip(np.floor((y + EDGE) / (target.x[1] - target.x[0])).astype(int), 0, 1599)].astype(float)
            ),
        )
        measured.append(each)
        rows += [
            Row(f"η = {η}: fraction of chains that have crossed to the other mode", crossed(alone), *each[0]),
            Row(f"η = {η}: entropy of the chains in bins, nats", entropy(settled), *each[1]),
            Row(
                f"η = {η}: fraction inside the {MASS:.0%} region",
                settled.mean(inside.astype(float)),
                *each[2],
            ),
        ]
    first, last = measured[0], measured[-1]
    for j, what in enumerate(("modes found", "entropy", "calibration")):
        off = last[j][0] - first[j][0], float(np.hypot(last[j][1], first[j][1]))
        rows.append(Row(f"{what}, largest step minus smallest step", 0.0, *off, "<" if what == "calibration" else ">"))
    labels = (
        f"fraction in the other mode after {STEPS} steps",
        "entropy in bins, nats",
        f"fraction in the {MASS:.0%} region",
    )
    picture, axes = figure.new(3, width=10.2, height=3.1)
    for j, (each, label) in enumerate(zip(axes, labels, strict=True)):
        each.plot(line, [curve[j] for curve in curves], color=figure.BLACK, label="quadrature")
        means, errors = zip(*(m[j] for m in measured), strict=True)
        each.errorbar(
            SIZES, means, 4 * np.array(errors), fmt="o", color=figure.BLUE, label="chains ± 4 standard errors"
        )
        each.set(xscale="log", xlabel="step size η, x² per energy", ylabel=label)
        each.set_xticks(SIZES, [f"{η:g}" for η in SIZES])
        each.minorticks_off()
    axes[2].axhline(MASS, color=figure.GREEN, linestyle="--", label="calibrated")
    axes[1].axhline(entropy(target), color=figure.GREEN, linestyle="--", label="of exp(−E)/Z")
    for each in axes[1:]:
        each.legend(fontsize=8)
    return Claim(
        section="原理与机制 › 改进采样过程 · Better sampling",
        sentence="A large step is faster and adds entropy. This helps against mode collapse and may reduce "
        "calibration.",
        rows=rows,
        picture=picture,
        caption=f"SGLD on two modes after {STEPS} steps of size η: chains started in one mode (left), chains started "
        "at exact draws (center, right).",
    )


def crossed(line: Line) -> float:
    """Return the mass left of 0."""
    return line.mean((line.x < 0).astype(float))


def entropy(line: Line) -> float:
    """Return −Σ p log p over bins of the line."""
    return float(entr(line.mass.reshape(BINS, -1).sum(1)).sum())


def counted_entropy(y: np.ndarray) -> tuple[float, float]:
    """Return the entropy of draws with the correction of Miller and Madow (1955), and its standard error."""
    counts, _ = np.histogram(y, BINS, (-EDGE, EDGE))
    share = counts[counts > 0] / counts.sum()
    plain = float(entr(share).sum())
    spread = float(np.sqrt((share * (np.log(share) + plain) ** 2).sum() / counts.sum()))
    return plain + (len(share) - 1) / (2 * counts.sum()), spread
