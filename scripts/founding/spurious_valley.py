"""A spurious valley: short chains from data never see it, long chains fall into it, a diagnostic finds it."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.chain_file import Chains
from ebm_cli.data import Data
from ebm_cli.diagnostic import Patient
from scripts.founding import Claim, Row, Word
from scripts.founding._energies import Bumps
from scripts.founding._line import energies, law
from scripts.founding._parts import average, descended, moved, part, seeded

ORDER = 115
MEAN, STD, BEYOND = -1.5, 0.4, 0.5
# One bump of the first energy that stands where no data are.
VALLEY, DEPTH = 2.6, 6.0
LENGTH, STEPS, CHAINS = 5, 300, 1024
WAYS = {
    "short chains from data": ("data", {}),
    "persistent chains from wide noise": ("replay", {"size": 256, "restart": 0.0, "scale": 4.0}),
}


def trained(start: str, own: dict, data: Data) -> Bumps:
    """An energy with the valley in it from the beginning, after training."""
    energy, rng = Bumps(), seeded(0)
    with torch.no_grad():
        energy.theta[(energy.centres - VALLEY).abs().argmin()] = -DEPTH
    sampler = part("sampler", "mala", {"step_size": 0.02})
    begin = part("start", start, own, event=(1,), data=data)
    objective = part("objective", "contrastive", {"steps": LENGTH}, sampler=sampler, start=begin, engine="eager")
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.05)
    descended(optimizer, STEPS, lambda: objective(energy, data.sample(256, rng), rng).loss)
    return energy


def valleys(energy: Bumps, x: torch.Tensor, data: Data) -> str:
    """What the diagnostic spurious_valleys says, shown these states as 32 chains."""
    chains = Chains(x=x.double().numpy().reshape(32, -1, 1))
    found = part("diagnostic", "spurious_valleys")(Patient(chains, energy, 1.0, data=data))
    count = found.estimates["spurious_valleys"].value
    return "refused" if count is None else "found" if count > 0 else "none"


def measure(place: Path) -> Claim:  # noqa: ARG001
    data: Data = part("data", "gaussian", {"dim": 1, "mean": MEAN, "std": STD})
    ladder = part("sampler", "tempering", {"temperatures": [1.0, 2.0, 4.0, 8.0], "step_size": 0.02})
    short = part("sampler", "mala", {"step_size": 0.02})
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    rows: list[Row | Word] = []
    far = []
    line = np.linspace(-4, 5, 400)
    for (way, (start, own)), color in zip(WAYS.items(), (figure.ORANGE, figure.BLUE), strict=True):
        energy, rng = trained(start, own, data), seeded(1)
        exact = law(energy, -9.0, 9.0)
        x = moved(ladder, energy, 3 * (2 * torch.rand(CHAINS, 1, generator=rng) - 1), 1000, rng)
        far.append((x > BEYOND).double())
        if start == "data":
            begun = data.sample(CHAINS, rng).x
            away = (x - MEAN).square() - (moved(short, energy, begun, LENGTH, rng) - MEAN).square()
            beyond = exact.mean(lambda x: x > BEYOND)
            rows += [
                Row(f"{way}: the model's mass beyond 5 σ of the data", beyond, *average(far[0])),
                Row(f"{way}: ⟨(x − μ)²⟩ of long chains less that of such short ones", 0.0, *average(away), ">"),
            ]
        rows.append(
            Word(
                f"{way}: the diagnostic's word on valleys",
                "found" if start == "data" else "none",
                valleys(energy, x, data),
            )
        )
        e = energies(energy, line)
        left.plot(line, e - e.min(), color=color, label=way)
        right.hist(x.flatten().numpy(), bins=90, range=(-4, 5), density=True, histtype="step", color=color)
    rows.append(Row("mass beyond 5 σ: short chains' less persistent chains'", 0.0, *average(far[0] - far[1]), ">"))
    density = np.exp(-(((line - MEAN) / STD) ** 2) / 2) / (STD * (2 * np.pi) ** 0.5)
    right.plot(line, density, color=figure.GREEN, linestyle="--", label="data")
    left.set(xlabel="x", ylabel="E − min E", ylim=(-0.5, 14))
    right.set(xlabel="x", ylabel="density of long chains")
    left.legend(fontsize=8)
    right.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="The negative phase punishes low energy only where chains go, so that valleys without data can be "
        "left in out-of-the-way places: long chains end there although short ones look right.",
        truth=f"The valley here was in the energy before training, and chains of {LENGTH} steps from data left it as "
        "it was; persistent chains from wide noise fill it.",
        rows=rows,
        picture=picture,
        caption=f"An energy of 41 bumps trained on N({MEAN}, {STD}²): energies (left), long chains of replica "
        "exchange (right).",
    )
