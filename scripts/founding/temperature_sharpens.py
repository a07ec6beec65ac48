"""Temperature sharpens: T → 0 selects the lowest energy, T → ∞ gives the uniform distribution."""

import math
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import fminbound

from ebm_cli import figure
from scripts.founding import Claim, Row
from scripts.founding._energies import Walled
from scripts.founding._line import law
from scripts.founding._parts import average, moved, seeded, tempering

ORDER = 20
WALL, CHAINS, STEPS = 1.5, 2048, 1500
COLD, HOT = 0.005, 1000.0
TEMPERATURES = (COLD, 0.1, 0.5, 2.0, HOT)


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = Walled(WALL)
    lowest = np.asarray(fminbound(lambda x: 2 * (x**2 - 1) ** 2 + 0.3 * x, -WALL, 0)).item()
    curvature = 24 * lowest**2 - 8
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    found = {}
    rows = []
    for i, T in enumerate(TEMPERATURES):
        ladder = np.geomspace(1, max(4 / T, 2), 12)
        steps = np.minimum(0.05, 0.5 / (T * ladder))
        sampler = tempering(ladder.tolist(), steps.tolist(), T)
        rng = seeded(i)
        x = moved(sampler, energy, WALL * (2 * torch.rand(CHAINS, 1, generator=rng) - 1), STEPS, rng)
        exact = law(energy, -WALL, WALL, T)
        found[T] = average((x.double() - lowest).abs())
        rows.append(Row(f"⟨|x − argmin E|⟩ at T = {T:g}", exact.mean(np.abs(exact.x - lowest)), *found[T]))
        color = figure.CYCLE[i]
        left.hist(x[:, 0].numpy(), bins=80, range=(-WALL, WALL), density=True, color=color, alpha=0.35)
        left.plot(exact.x, exact.density, color=color, label=f"T = {T:g}")
    uniform = ((WALL - lowest) ** 2 + (WALL + lowest) ** 2) / (4 * WALL)
    rows += [
        Row(
            f"the same at T = {COLD:g} compared with √(2T/πE″), T → 0",
            math.sqrt(2 * COLD / math.pi / curvature),
            *found[COLD],
        ),
        Row(f"the same at T = {HOT:g} compared with the uniform distribution, T → ∞", uniform, *found[HOT]),
    ]
    left.set(xlabel="x", ylabel="density", ylim=(0.05, 20), yscale="log")
    left.legend(fontsize=8)
    line = np.geomspace(0.002, 3000, 60)
    exact = [law(energy, -WALL, WALL, T).mean(lambda x: np.abs(x - lowest)) for T in line]
    right.plot(line, exact, color=figure.BLACK, label="quadrature")
    means, errors = zip(*found.values(), strict=True)
    right.errorbar(TEMPERATURES, means, errors, fmt="o", color=figure.BLUE, label="chains")
    right.axhline(uniform, color=figure.RED, linestyle="--", linewidth=1, label="uniform")
    right.set(xscale="log", yscale="log", xlabel="temperature T, in units of E", ylabel="⟨|x − argmin E|⟩")
    right.legend()
    return Claim(
        section="原理与机制 › 概率论框架 · Probabilistic framework",
        sentence="Temperature sets the sharpness of the distribution: as T → 0 its mass concentrates at the lowest "
        "energy, and as T → ∞ it becomes uniform.",
        truth="The limit is uniform in a bounded space. An unbounded space has no uniform distribution; for example, "
        "the variance T/a of a Gaussian grows without bound.",
        rows=rows,
        picture=picture,
        caption=f"E = 2(x² − 1)² + 0.3x between walls at ±{WALL}: densities and chains of replica exchange (left), "
        "mean distance from the lowest point against temperature (right).",
    )
