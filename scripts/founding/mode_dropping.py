"""Mode dropping: chains that never see a mode let its weight run away; replica exchange keeps it."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.data import Batch
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from scripts.founding import Claim, Row
from scripts.founding._parts import average, descended, part, seeded

ORDER = 110
WEIGHT, APART, WIDTH = 0.2, 2.0, 0.5
RUNS, STEPS, LENGTH, CHAINS = 8, 24, 100, 256


def weights(name: str, changes: dict, seed: int) -> np.ndarray:
    """The weight of the right mode after each step of training, persistent chains begun between the modes."""
    wells = [[-APART], [APART]]
    truth = GaussianMixture(wells, [WIDTH] * 2, [1 - WEIGHT, WEIGHT])
    energy, rng = GaussianMixture(wells, [WIDTH] * 2, [0.5, 0.5]), seeded(seed)
    sampler = part("sampler", name, {"step_size": 0.1} | changes)
    start = part("start", "replay", {"size": CHAINS, "restart": 0.0, "scale": 0.3}, event=(1,), data=None)
    own = {"steps": LENGTH, "chains": CHAINS}
    objective = part("objective", "contrastive", own, sampler=sampler, start=start, engine="eager")
    # Where the modes lie is known to the model; what they weigh is what it learns.
    optimizer = torch.optim.SGD([energy.logits], lr=1.0)
    return descended(
        optimizer,
        STEPS,
        loss=lambda: objective(energy, Batch(truth.draw(512, 1.0, rng)), rng).loss,
        seen=lambda: float(energy.logits.detach().softmax(0)[1]),
    )


def measure(place: Path) -> Claim:  # noqa: ARG001
    ladder = {"temperatures": [1.0, 3.0, 9.0]}
    paths = {
        name: np.stack([weights(name, changes, seed) for seed in range(RUNS)])
        for name, changes in (("mala", {}), ("tempering", ladder))
    }
    dropped, kept = (average(path[:, -1]) for path in paths.values())
    rows = [
        Row("weight of the rare mode, Langevin chains: less than the data's", WEIGHT, *dropped, "<"),
        Row("weight of the rare mode, replica exchange: the data's", WEIGHT, *kept),
    ]
    picture, (axes,) = figure.new()
    for (name, path), color in zip(paths.items(), (figure.ORANGE, figure.BLUE), strict=True):
        for i, run in enumerate(path):
            axes.plot(np.arange(STEPS) + 1, run, color=color, alpha=0.6, linewidth=1, label=name if i == 0 else None)
    axes.axhline(WEIGHT, color=figure.GREEN, linestyle="--", label="data")
    axes.set(xlabel="training step", ylabel="the model's weight of the rare mode", yscale="log")
    axes.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="Where chains do not mix, the negative phase acts on the modes they have found alone, energies "
        "elsewhere go out of control, and the model ends with a part of the data's modes.",
        truth="The mode that is lost need not be the one that chains miss: it is the one where they sit more often "
        "than data do. Here half of all chains sit in the mode of a fifth of the data, and push it up until it is "
        "gone. The cure needs long updates: the ladder is set up anew from its coldest rung at each of them, and "
        "while the hot rungs have not forgotten that, swaps are biased.",
        rows=rows,
        picture=picture,
        caption=f"Two modes known to the model, {2 * APART / WIDTH:g} widths apart, of weights {1 - WEIGHT} and "
        f"{WEIGHT}; what it learns is their weights. {RUNS} runs each.",
    )
