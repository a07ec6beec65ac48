"""Effective samples of three kernels for discrete states, per evaluation and per second, on three models.

    python -m scripts.bench.discrete_kernels [--quick]

The models are an Ising lattice of 16 × 16 spins at T = 2.6, a restricted Boltzmann machine with 500 hidden units on
mnist_binary, and a perceptron on digits_binary, both trained here for 500 steps. 64 chains start at uniform spins or at
data rows. In the burn-in the step size of discrete_langevin is moved towards the acceptance 0.574. The ESS
(arviz-stats, of the mean) is that of the energy, and the median over sites that change. Evaluations are those that a
kernel counts, of E or of E with its gradient, times 64 chains: gibbs counts one per group of sites that are drawn
together, and on the perceptron, which gives no conditional distributions, one per site, where E of both values is
computed. Seconds are of the processor, because others may share its cores. An ESS below 25 per chain is marked. Writes
scripts/bench/discrete_kernels.md and .json; ten minutes on one thread.
"""

import argparse
import dataclasses
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arviz_stats.base.array import array_stats
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import load_run
from ebm_cli.chain.loop import run_chains
from ebm_cli.cli import main as ebm
from ebm_cli.energy.ising import Ising
from ebm_cli.sampler.discrete_langevin import DiscreteLangevin
from ebm_cli.sampler.gibbs import Gibbs
from ebm_cli.sampler.gibbs_with_gradients import GibbsWithGradients
from scripts.bench import table

CHAINS, DRAWS, ENOUGH, MAX_SITES, MIN_STD, ROUNDS = 64, 300, 25, 64, 0.1, 20
LATTICE, MACHINE, DEEP = "ising, 16 × 16, T = 2.6", "rbm, 500 hidden, mnist_binary", "mlp, digits_binary"
KERNELS = ("gibbs", "gibbs_with_gradients", "discrete_langevin")
# Steps between draws. There are DRAWS draws, and half as many steps more for the burn-in.
THIN = {
    LATTICE: {"gibbs": 4, "gibbs_with_gradients": 4, "discrete_langevin": 12},
    MACHINE: {"gibbs": 4, "gibbs_with_gradients": 1, "discrete_langevin": 4},
    DEEP: {"gibbs": 1, "gibbs_with_gradients": 4, "discrete_langevin": 20},
}
TRAINING = {
    MACHINE: ["energy=rbm", "energy.hidden=500", "data=mnist_binary", "trainer.steps=500"],
    DEEP: ["energy=mlp", "data=digits_binary", "trainer.steps=500"],
}


@dataclass(frozen=True)
class Model:
    """A model with the initial states of chains."""

    name: str
    energy: nn.Module
    temperature: float
    start: Float[Tensor, "n *event"]


def trained(name: str, scratch: Path, steps: list[str]) -> Model:
    """Train a model, and start chains at training rows."""
    folder = scratch / name.partition(",")[0]
    if ebm(["train", *TRAINING[name], *steps, "seed=0", "threads=1", f"out={folder}"]) != 0:
        raise SystemExit(f"training of {name} failed")
    run = load_run(folder)
    assert run.data is not None
    rows = run.data.split("train").x
    return Model(
        name, run.energy.eval().requires_grad_(False), 1.0, rows[torch.linspace(0, len(rows) - 1, CHAINS).long()]
    )


def lattice() -> Model:
    """Return the Ising lattice with uniform spins."""
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (16, 16)).requires_grad_(False)
    start = energy.sites.uniform(CHAINS, torch.Generator().manual_seed(0), torch.float32)
    return Model(LATTICE, energy, 2.6, start)


def kernel(name: str, temperature: float) -> Any:
    """Return a kernel with the default settings of `ebm sample`."""
    return {
        "gibbs": Gibbs(temperature, "systematic"),
        "gibbs_with_gradients": GibbsWithGradients(temperature, 10),
        "discrete_langevin": DiscreteLangevin(0.2, temperature),
    }[name]


def burned_in(model: Model, name: str, steps: int, rng: torch.Generator) -> tuple[Any, Tensor]:
    """Return the kernel and the states after a burn-in, in which a step size follows the acceptance."""
    sampler, x = kernel(name, model.temperature), model.start
    for count in range(1, ROUNDS + 1):
        done = run_chains(sampler, model.energy, x, max(1, steps // ROUNDS), rng, thin=None)
        x = done.last.x
        if isinstance(sampler, DiscreteLangevin):
            error = float(done.accept.mean()) - sampler.best_acceptance
            # Shorter and shorter corrections, because acceptance is steep in the step size.
            sampler = dataclasses.replace(sampler, step_size=sampler.step_size * math.exp(2 * error / count**0.5))
    return sampler, x


def ess(values: Float[np.ndarray, "draw chain k"]) -> Float[np.ndarray, " k"]:
    """Return the ESS of the mean of each function of the state."""
    by_chain = values.astype(float).transpose(1, 0, 2)
    return np.asarray(array_stats.ess(by_chain, chain_axis=0, draw_axis=1, method="mean"))


def row(model: Model, name: str, draws: int) -> dict[str, Any]:
    """Run a kernel on a model; return its effective sample sizes and what they cost."""
    thin, rng = THIN[model.name][name], torch.Generator().manual_seed(1)
    sampler, x = burned_in(model, name, draws * thin // 2, rng)
    began = time.process_time()
    done = run_chains(sampler, model.energy, x, draws * thin, rng, thin=thin)
    seconds, evaluations = time.process_time() - began, float(done.gradients.sum())
    x = done.x.flatten(2).numpy()
    moving = np.flatnonzero(x.reshape(-1, x.shape[2]).std(0) > MIN_STD)
    chosen = moving[np.linspace(0, len(moving) - 1, min(MAX_SITES, len(moving))).astype(int)]
    found = {"energy": float(ess(done.energy.numpy()[..., None])[0]), "site": float(np.median(ess(x[..., chosen])))}
    return {
        "model": model.name,
        "kernel": name,
        "step_size": getattr(sampler, "step_size", None),
        "acceptance": float(done.accept.mean()),
        "ess": found,
        "per_thousand": {of: 1000 * value / evaluations for of, value in found.items()},
        "per_second": {of: value / seconds for of, value in found.items()},
    }


def text(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of the page; the best of each model is bold."""
    columns = ["model", "kernel", "acceptance"]
    columns += [f"ESS of {of} per {unit}" for unit in ("1,000 evaluations", "second") for of in ("E", "a site")]
    lines = []
    for each in rows:
        rivals = [other for other in rows if other["model"] == each["model"]]
        cells = [each["model"], each["kernel"], f"{each['acceptance']:.2f}"]
        for unit in ("per_thousand", "per_second"):
            for of in ("energy", "site"):
                best = max(other[unit][of] for other in rivals)
                mark = "†" if each["ess"][of] < ENOUGH * CHAINS else ""
                cell = table.figure(each[unit][of])
                cells.append((f"**{cell}**" if each[unit][of] == best else cell) + mark)
        lines.append(cells)
    return [
        f"Effective samples of {CHAINS} chains, by `python -m scripts.bench.discrete_kernels`; the best are bold.",
        f"†: fewer than {ENOUGH} effective samples per chain, too few for a precise number.\n",
        *table.lines(columns, lines),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="train and sample for a few steps, as a test")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    options = parser.parse_args()
    table.alone()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        steps = ["trainer.steps=20"] if options.quick else []
        models = [lattice(), *(trained(name, Path(scratch), steps) for name in TRAINING)]
        for model in models:
            for name in KERNELS:
                rows.append(row(model, name, 8 if options.quick else DRAWS))
                print(rows[-1], flush=True)
    table.write(options.out / "discrete_kernels", table.machine("cpu"), text(rows), {"rows": rows}, [])


if __name__ == "__main__":
    main()
