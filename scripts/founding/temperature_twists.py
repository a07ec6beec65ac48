"""Temperature twists: it changes the relative weights of wells, in agreement with Laplace's formula."""

import math
from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from scripts.founding import Claim, Row
from scripts.founding._parts import average, moved, seeded, tempering, variance

ORDER = 30
NARROW, WIDE, APART = 0.5, 1.5, 6.0
CHAINS, STEPS = 1024, 1000
TEMPERATURES = (0.5, 1.0, 2.0)


def laplace(T: float) -> float:
    """Return the weight of the narrow well by exp(−Eᵢ/T)√(2πT/Hᵢ): Eᵢ = log sᵢ up to a constant, Hᵢ = 1/sᵢ²."""
    narrow, wide = (s ** (1 - 1 / T) for s in (NARROW, WIDE))
    return narrow / (narrow + wide)


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = GaussianMixture([[-APART], [APART]], [NARROW, WIDE], [0.5, 0.5])
    shares, spreads, rows = [], [], []
    for i, T in enumerate(TEMPERATURES):
        ladder = np.geomspace(1, 30 / T, 10)
        sampler = tempering(ladder.tolist(), [0.2] * len(ladder), T)
        rng = seeded(i)
        x = moved(sampler, energy, 12 * (2 * torch.rand(CHAINS, 1, generator=rng) - 1), STEPS, rng)
        # Split halfway between the wells, in units of their widths.
        left = x[:, 0] < -APART + 2 * APART * NARROW / (NARROW + WIDE)
        shares.append(average(left.double()))
        spreads.append(variance(x[~left], APART))
        rows.append(Row(f"weight of the narrow well at T = {T:g}", laplace(T), *shares[-1]))
    for T, spread in zip(TEMPERATURES, spreads, strict=True):
        rows.append(Row(f"variance in the wide well at T = {T:g}: T/H", T * WIDE**2, *spread))
    picture, (axes, right) = figure.new(2, width=8.8, height=3.2)
    line = np.geomspace(0.3, 3, 60)
    for each, value, label in (
        (axes, laplace, "weight of the narrow well"),
        (right, lambda T: T * WIDE**2, "variance in the wide well, x²"),
    ):
        measured = shares if each is axes else spreads
        each.plot(line, [value(T) for T in line], color=figure.BLACK, label="Laplace")
        means, errors = zip(*measured, strict=True)
        each.errorbar(
            TEMPERATURES, means, 4 * np.array(errors), fmt="o", color=figure.BLUE, label="chains ± 4 standard errors"
        )
        each.set(xscale="log", xlabel="temperature T, in units of E", ylabel=label)
        each.set_xticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
        each.minorticks_off()
    axes.legend()
    depth = math.log(WIDE / NARROW)
    return Claim(
        section="原理与机制 › 概率论框架 · Probabilistic framework",
        sentence="Temperature does not only scale the covariance T·H⁻¹ of modes. It also changes their relative "
        "weights, through depth and curvature.",
        rows=rows,
        picture=picture,
        caption=f"Two wells of equal mass at T = 1, with widths {NARROW} and {WIDE}; the narrow well is {depth:.2f} "
        "deeper. Its weight rises at low T and falls at high T (left). The variance is proportional to T (right).",
    )
