"""A spurious valley: short chains from data never see it, long chains fall into it, a diagnostic finds it."""

import json
from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure, load_run
from scripts.founding import Claim, Row, Word
from scripts.founding._line import energies, law
from scripts.founding._parts import average, ebm, moved, part, seeded

ORDER = 115
STD, STEPS, WIDE = 0.5, 1, 12.0
FAR = 5 * STD
CHAINS = 2048
# Waves let a network bend sharply everywhere, also where no data and no chains are.
RECIPE = (
    *("energy=mlp", "energy.width=64", "energy.frequencies=6", "energy.bandwidth=1.5", "energy.confinement=0.02"),
    *("data=gaussian", "data.dim=1", f"data.std={STD}", "seed=1", "trainer.steps=500", "sampler.step_size=0.02"),
)
WAYS = {
    "short chains from data": ("start=data", f"objective.steps={STEPS}"),
    "persistent chains from wide noise": (
        *("start=replay", "start.scale=10", "start.size=1024", "start.restart=0.05", "objective.steps=15"),
        "sampler.step_size=0.05",
    ),
}


def valleys(place: Path, run: Path) -> str:
    """What `ebm diagnose` says of valleys without data, from chains of the run begun far and wide."""
    chains, looked = place / f"{run.name}-chains", place / f"{run.name}-diagnosed"
    ebm(
        *["sample", f"run={run}", "start=noise", f"start.scale={WIDE}", "sampler=mala", "sampler.step_size=0.05"],
        *["chains=64", "steps=400", "thin=50", "engine=eager", f"out={chains}"],
    )
    ebm("diagnose", f"run={chains}", "diagnostic=[spurious_valleys]", f"out={looked}")
    count = json.loads((looked / "metrics.json").read_text())["spurious_valleys"]["value"]
    return "refused" if count is None else "found" if count > 0 else "none"


def measure(place: Path) -> Claim:
    sampler = part("sampler", "tempering", {"temperatures": [1.0, 2.5, 6.0, 15.0], "step_size": 0.05})
    picture, axes = figure.new(2, width=8.8, height=3.2)
    rows, shares, squares = [], [], []
    for i, (way, words) in enumerate(WAYS.items()):
        run = place / f"run-{i}"
        ebm("train", *RECIPE, *words, f"out={run}")
        energy, rng = load_run(run).energy, seeded(i)
        exact = law(energy, -25.0, 25.0)
        x = moved(sampler, energy, WIDE * (2 * torch.rand(CHAINS, 1, generator=rng) - 1), 500, rng)
        shares.append(average((x.abs() > FAR).double()))
        rows.append(
            Row(f"{way}: the model's mass beyond 5 σ of the data", exact.mean(lambda x: np.abs(x) > FAR), *shares[-1])
        )
        if not i:
            begun = STD * torch.randn(CHAINS, 1, generator=rng)
            short = moved(load_run(run).sampler, energy, begun, STEPS, rng)
            squares = [average(each.double().square()) for each in (x, short)]
        rows.append(Word(f"{way}: valleys without data by `ebm diagnose`", "none" if i else "found", valleys(place, run)))
        line = np.linspace(-10, 10, 500)
        e = energies(energy, line)
        axes[0].plot(line, e - e.min(), color=(figure.ORANGE, figure.BLUE)[i], label=way)
        axes[1].hist(x.flatten().numpy(), 100, (-10, 10), density=True, histtype="step", color=(figure.ORANGE, figure.BLUE)[i])
    excess = shares[0][0] - shares[1][0], float(np.hypot(shares[0][1], shares[1][1]))
    looks = squares[0][0] - squares[1][0], float(np.hypot(squares[0][1], squares[1][1]))
    rows += [
        Row("short chains from data: ⟨x²⟩ of long chains less that of such short ones", 0.0, *looks, ">"),
        Row("mass beyond 5 σ: short chains' less persistent chains'", 0.0, *excess, ">"),
    ]
    line = np.linspace(-10, 10, 500)
    density = np.exp(-((line / STD) ** 2) / 2) / (STD * (2 * np.pi) ** 0.5)
    axes[1].plot(line, density, color=figure.GREEN, linestyle="--", label="data")
    axes[0].set(xlabel="x", ylabel="E − min E", ylim=(-0.5, 16))
    axes[1].set(xlabel="x", ylabel="density of long chains", yscale="log", ylim=(1e-4, 2))
    for each in axes:
        each.legend(fontsize=8)
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="The negative phase punishes low energy only where chains go, so that valleys without data can be left in "
        "out-of-the-way places: long chains end there although short ones look right.",
        truth="It takes an energy that bends where nothing holds it, and chains that never go there; persistent chains "
        "from wide noise fill the valleys.",
        rows=rows,
        picture=picture,
        caption=f"A network of waves trained on N(0, {STD}²) by CD-{STEPS} and by persistent chains: energies (left), long "
        "chains of replica exchange (right).",
    )
