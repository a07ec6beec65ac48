"""Composition: product, mixture and negation of two trained runs have the densities of their formulas."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure, load_run
from ebm_cli.chain import chain_file
from scripts.founding import Claim, Row
from scripts.founding._parts import average, ebm

ORDER = 200
ALPHA, CHAINS, EDGE, SIDE = 0.4, 2048, 5.0, 401
RUNS = {
    "A": ("data=two_moons", "objective=denoising_score_matching", "objective.sigma=0.3", "trainer.steps=300"),
    "B": (
        "data=gaussian",
        "data.mean=0.5",
        "data.std=0.6",
        "objective=denoising_score_matching",
        "objective.sigma=0.3",
    ),
}


def measure(place: Path) -> Claim:
    for name, words in RUNS.items():
        ebm(
            "train",
            "energy=mlp",
            "energy.width=32",
            "energy.confinement=1.0",
            "trainer.steps=300",
            *words,
            "optimizer.lr=0.01",
            f"out={place / name}",
        )
    axis = torch.linspace(-EDGE, EDGE, SIDE)
    x = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        a, b = (load_run(place / name).energy(x).double() for name in RUNS)
    # log of exp(−E)/Z on the grid, for each run.
    log_a, log_b = (-a).log_softmax(0), (-b).log_softmax(0)
    composed = {
        "product": (log_a + log_b).softmax(0),
        "mixture": (log_a.exp() + log_b.exp()) / 2,
        "negation": (log_a - ALPHA * log_b).softmax(0),
    }
    picture, axes = figure.new(5, width=13.0, height=3.0)
    rows, chains = [], {}
    for name, mass in composed.items():
        own = [f"energy.alpha={ALPHA}"] if name == "negation" else []
        ebm(
            *["sample", f"energy={name}", f"energy.runs=[{place / 'A'},{place / 'B'}]", *own, f"out={place / name}"],
            *["sampler=tempering", "path.temperatures=[1,3,9]", "sampler.kernel.step_size=0.316", "start.scale=3"],
            *[f"chains={CHAINS}", "steps=400", "thin=100", "engine=eager"],
        )
        chains[name] = chain_file.read(place / name / "chains.nc").x[:, -1]
        statistics = {
            "P(x₁ > ½)": lambda z: 1.0 * (z[:, 0] > 0.5),
            "⟨x₂⟩": lambda z: z[:, 1],
            "⟨‖x‖²⟩": lambda z: (z**2).sum(1),
        }
        for what, f in statistics.items():
            exact = float(mass @ f(x.double()).double())
            rows.append(Row(f"{name}: {what}", exact, *average(f(chains[name]))))
    panels = {"A": log_a.exp(), "B": log_b.exp()} | composed
    for each, (name, mass) in zip(axes, panels.items(), strict=True):
        density = mass.view(SIDE, SIDE).T.numpy()
        each.contourf(axis, axis, density, levels=np.linspace(0, density.max(), 9), cmap="Blues")
        if name in chains:
            each.scatter(*chains[name][:300].T, s=3, color=figure.RED, linewidths=0)
        each.set(xlabel="x₁", ylabel="x₂", title=name, xlim=(-2.5, 3), ylim=(-2.5, 2.5), aspect="equal")
        each.grid(False)
    return Claim(
        section="引言，动手实践 · Introduction, composition",
        sentence="Energies compose: sums are products of densities, soft minima are mixtures, and a difference removes "
        "one model from another.",
        truth="A mixture also needs log Z of each component. A negation needs a sum that grows in every direction. "
        "Both are checked when the composition is made.",
        rows=rows,
        picture=picture,
        caption=f"Two trained runs A and B. Densities p_A·p_B, ½p_A + ½p_B and p_A/p_B^{ALPHA} by quadrature "
        "(blue), and chains of `ebm sample energy=product|mixture|negation` (red).",
    )
