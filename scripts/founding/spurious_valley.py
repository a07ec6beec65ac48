"""A spurious valley: it forms unnoticed with short chains from data, long chains enter it, a diagnostic finds it."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.chain.chains import Chains
from ebm_cli.data import Batch
from ebm_cli.data._synthetic import SyntheticData
from ebm_cli.diagnostic import ChainContext
from scripts.founding import Claim, Row, Word
from scripts.founding._energies import SkewedQuartic
from scripts.founding._line import energies, law
from scripts.founding._parts import average, descended, moved, part, seeded, tempering

ORDER = 115
# The Gumbel distribution has mean γ (Euler's constant) and standard deviation π/√6.
EULER, STD = 0.5772156649, np.pi / 6**0.5
BEYOND = 5 * STD
LENGTH, CHAINS, WIDE = 5, 1024, 12.0
# Start of the chains, its settings, kernel steps per training step, number of training steps.
WAYS = {
    "short chains from data": ("data", {}, LENGTH, 4000),
    "persistent chains from wide noise": ("replay", {"size": 1024, "restart": 0.02, "scale": WIDE}, 20, 2000),
}


class Gumbel(SyntheticData):
    """p(x) = exp(−z − e^{−z}), z = x + γ, with mean 0: steep on the left, a long tail on the right."""

    event: tuple[int, ...] = (1,)
    noise = 0.0

    def __init__(self) -> None:
        super().__init__(None, 0)

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        u = torch.rand(n, 1, generator=rng, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
        return Batch((-(-u.log()).log() - EULER).to(torch.get_default_dtype()))


def trained(way: str, data: Gumbel) -> SkewedQuartic:
    """Train an energy that initially has one valley."""
    start, own, length, steps = WAYS[way]
    energy, rng = SkewedQuartic(), seeded(0)
    sampler = part("sampler", "mala", {"step_size": 0.05})
    begin = part("start", start, own, event=(1,), data=data)
    objective = part("objective", "contrastive", {"steps": length}, sampler=sampler, start=begin, engine="eager")
    optimizer = torch.optim.Adam(energy.parameters(), lr=0.02)
    descended(optimizer, steps, lambda: objective(energy, data.sample(256, rng), rng).loss)
    return energy


def beyond(energy: SkewedQuartic) -> float:
    """Return the mass in the region without data, by quadrature."""
    return law(energy, -30.0, 60.0).mean(lambda x: x > BEYOND)


def valleys(energy: SkewedQuartic, x: torch.Tensor, data: Gumbel) -> str:
    """Return the result of the diagnostic spurious_valleys on these states, as 32 chains."""
    chains = Chains(x=x.double().numpy().reshape(32, -1, 1))
    found = part("diagnostic", "spurious_valleys")(ChainContext(chains, energy, 1.0, data=data))
    count = found.estimates["spurious_valleys"].value
    return "refused" if count is None else "found" if count > 0 else "none"


def measure(place: Path) -> Claim:  # noqa: ARG001
    data = Gumbel()
    ladder = tempering([1.0, 1.6, 2.5, 4.0], [0.4, 0.6, 1.0, 1.6])
    short = part("sampler", "mala", {"step_size": 0.05})
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    rows: list[Row | Word] = [
        Word(
            "mass beyond 5 σ of the data before training",
            "under 1e-5",
            "under 1e-5" if beyond(SkewedQuartic()) < 1e-5 else "more",
        )
    ]
    far = []
    line = np.linspace(-5, 19, 500)
    for way, color in zip(WAYS, (figure.ORANGE, figure.BLUE), strict=True):
        energy, rng = trained(way, data), seeded(1)
        begun = torch.empty(CHAINS, 1).uniform_(-3, 15, generator=rng)
        x = moved(ladder, energy, begun, 2000, rng)
        far.append((x > BEYOND).double())
        if way == "short chains from data":
            few = moved(short, energy, data.sample(CHAINS, rng).x, LENGTH, rng)
            rows += [
                Row(f"{way}: mean of new such chains, equal to the data", 0.0, *average(few)),
                Row(f"{way}: mass of the model beyond 5 σ of the data", beyond(energy), *average(far[0])),
            ]
        rows.append(
            Word(
                f"{way}: result of the diagnostic",
                "found" if way == "short chains from data" else "none",
                valleys(energy, x, data),
            )
        )
        e = energies(energy, line)
        near = e[line < BEYOND].min()
        left.plot(line, e - near, color=color, label=way)
        right.hist(x.flatten().numpy(), bins=96, range=(-5, 19), density=True, histtype="step", color=color)
    rows.append(Row("mass beyond 5 σ: short chains minus persistent chains", 0.0, *average(far[0] - far[1]), ">"))
    before = energies(SkewedQuartic(), line)
    left.plot(line, before - before.min(), color="0.6", linestyle=":", label="before training")
    z = line + EULER
    right.plot(line, np.exp(-z - np.exp(-z)), color=figure.GREEN, linestyle="--", label="data")
    left.set(xlabel="x", ylabel="E minus its minimum near the data", ylim=(-6, 16))
    right.set(xlabel="x", ylabel="density of long chains")
    left.legend(fontsize=8)
    right.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="The negative phase raises low energies only in regions that chains visit. Valleys without data can "
        "therefore form elsewhere: long chains reach them although short chains look correct.",
        truth=f"Chains of {LENGTH} steps from data determine the slope of E only near the data. A quartic with this "
        "slope has a valley far out that is deeper than the valley of the data. Persistent chains from wide noise "
        "remove it.",
        rows=rows,
        picture=picture,
        caption="E(x) = θ₁x + θ₂x² + θ₃x³ + cx⁴ with c fixed, trained on Gumbel data: energies (left), long chains of "
        "replica exchange (right).",
    )
