"""Mode dropping: chains that do not cross between modes lose a mode; replica exchange keeps it."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.data import Batch
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.sampler import Sampler
from scripts.founding import Claim, Row
from scripts.founding._parts import average, descended, part, seeded, tempering

ORDER = 110
WEIGHT, APART, WIDTH = 0.2, 2.0, 0.5
RUNS, STEPS, LENGTH, CHAINS = 8, 24, 100, 256
STEP_SIZE = 0.1


def weights(sampler: Sampler, seed: int) -> np.ndarray:
    """Return the weight of the right mode after each training step; persistent chains start between the modes."""
    wells = [[-APART], [APART]]
    truth = GaussianMixture(wells, [WIDTH] * 2, [1 - WEIGHT, WEIGHT])
    energy, rng = GaussianMixture(wells, [WIDTH] * 2, [0.5, 0.5]), seeded(seed)
    start = part("start", "replay", {"size": CHAINS, "restart": 0.0, "scale": 0.3}, event=(1,), data=None)
    own = {"steps": LENGTH, "chains": CHAINS}
    objective = part("objective", "contrastive", own, sampler=sampler, start=start, engine="eager")
    # The positions of the modes are fixed; only their weights are trained.
    optimizer = torch.optim.SGD([energy.logits], lr=1.0)
    return descended(
        optimizer,
        STEPS,
        loss=lambda: objective(energy, Batch(truth.draw(512, 1.0, rng)), rng).loss,
        seen=lambda: float(energy.logits.detach().softmax(0)[1]),
    )


def measure(place: Path) -> Claim:  # noqa: ARG001
    kernels = {
        "mala": part("sampler", "mala", {"step_size": STEP_SIZE}),
        "tempering": tempering([1.0, 3.0, 9.0], [STEP_SIZE] * 3),
    }
    paths = {name: np.stack([weights(sampler, seed) for seed in range(RUNS)]) for name, sampler in kernels.items()}
    dropped, kept = (average(path[:, -1]) for path in paths.values())
    rows = [
        Row("weight of the rare mode, Langevin chains: below the weight in the data", WEIGHT, *dropped, "<"),
        Row("weight of the rare mode, replica exchange: equal to the weight in the data", WEIGHT, *kept),
    ]
    picture, (axes,) = figure.new()
    for (name, path), color in zip(paths.items(), (figure.ORANGE, figure.BLUE), strict=True):
        for i, run in enumerate(path):
            axes.plot(np.arange(STEPS) + 1, run, color=color, alpha=0.6, linewidth=1, label=name if i == 0 else None)
    axes.axhline(WEIGHT, color=figure.GREEN, linestyle="--", label="data")
    axes.set(xlabel="training step", ylabel="weight of the rare mode in the model", yscale="log")
    axes.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="If chains do not mix, the negative phase acts only on the modes that they visit. Energies elsewhere "
        "are not controlled, and the model finally lacks some modes of the data.",
        truth="The lost mode is not necessarily a mode without chains: it is a mode with a larger fraction of chains "
        "than of data. Here half of all chains are in the mode of a fifth of the data, and they raise its energy "
        "until it vanishes. Replica exchange needs long updates: each update restarts the ladder from its coldest "
        "replica, and swaps are biased until the hot replicas have decorrelated.",
        rows=rows,
        picture=picture,
        caption=f"Two modes at fixed positions, {2 * APART / WIDTH:g} widths apart, with weights {1 - WEIGHT} and "
        f"{WEIGHT} in the data; only the weights are trained. {RUNS} runs per sampler.",
    )
