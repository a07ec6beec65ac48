"""Detailed balance: flows x → x′ and x′ → x are equal under MALA, but not under SGLD, which has no Metropolis test."""

from pathlib import Path

import numpy as np
from scipy.stats import norm

from ebm_cli import figure
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from scripts.founding import Claim, Row
from scripts.founding._line import drift, law
from scripts.founding._parts import average, moved, part, seeded

ORDER = 60
STEP, DRAWS = 0.2, 1_000_000
EDGE = 0.3
BINS = np.linspace(-3.0, 3.0, 13)


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = GaussianMixture([[-1.5], [1.0]], [0.4, 0.8], [0.4, 0.6])
    rng = seeded(0)
    x = energy.draw(DRAWS, 1.0, rng)
    target = law(energy, -9.0, 9.0)
    middle, width = drift(energy, target.x, STEP), (2 * STEP) ** 0.5
    # Flows from left of −EDGE to right of EDGE and in reverse, and a third moment that is antisymmetric in x and x′.
    there = norm.sf((EDGE - middle) / width) * (target.x < -EDGE)
    back = norm.cdf((-EDGE - middle) / width) * (target.x > EDGE)
    twisted = target.x**2 * middle - target.x * (middle**2 + width**2)
    rows, flows = [], {}
    for name in ("mala", "sgld"):
        y = moved(part("sampler", name, {"step_size": STEP}), energy, x, 1, rng)
        across = ((x < -EDGE) & (y > EDGE)).double() - ((x > EDGE) & (y < -EDGE)).double()
        cubic = (x.square() * y - x * y.square()).double()
        flat = target.mean(there - back), target.mean(twisted)
        of_left, of_cubic = (0.0, 0.0) if name == "mala" else flat
        rows += [
            Row(f"{name}: flow left to right minus right to left, per step", of_left, *average(across)),
            Row(f"{name}: ⟨x²x′ − xx′²⟩", of_cubic, *average(cubic)),
        ]
        if name == "sgld":
            rows.append(Row("sgld: ⟨x²x′ − xx′²⟩ is not 0", 0.0, *average(cubic), "<" if of_cubic < 0 else ">"))
        flows[name] = np.histogram2d(x[:, 0].numpy(), y[:, 0].numpy(), bins=[BINS, BINS])[0]
    picture, axes = figure.new(2, width=8.8, height=3.8)
    image = None
    for each, (name, flow) in zip(axes, flows.items(), strict=True):
        errors = (flow - flow.T) / np.sqrt(np.maximum(flow + flow.T, 1))
        image = each.imshow(
            errors.T, origin="lower", extent=(-3, 3, -3, 3), cmap="RdBu_r", vmin=-6, vmax=6, interpolation="nearest"
        )
        each.set(xlabel="x", ylabel="x′ one step later", title=name)
        each.grid(False)
    assert image is not None
    picture.colorbar(image, ax=axes, label="flow x → x′ minus x′ → x, in standard errors")
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="A kernel with p(x)P(x′|x) = p(x′)P(x|x′) leaves p invariant.",
        truth="MALA satisfies detailed balance. The example in the text, Langevin steps without a Metropolis "
        "test, violates it at any finite step size. This causes its bias.",
        rows=rows,
        picture=picture,
        caption=f"{DRAWS:,} exact draws of a mixture and one step of η = {STEP} from each. Look for pale cells only.",
    )
