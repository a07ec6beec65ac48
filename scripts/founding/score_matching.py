"""Score matching: equivalent to maximum likelihood for a well-specified model, but with another optimum otherwise."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.data import Batch
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective import Objective
from scripts.founding import Claim, Row
from scripts.founding._energies import Quartic
from scripts.founding._parts import average, part

ORDER = 130
RUNS = 64
ROWS = (50, 200, 1000)
MANY = 4000


def fitted(energy: Quadratic | Quartic, objective: Objective, x: torch.Tensor) -> torch.Tensor:
    """Minimize the objective on these rows; return the parameter of each coordinate, an independent repeat."""
    optimizer = torch.optim.LBFGS(energy.parameters(), max_iter=60, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = objective(energy, Batch(x), torch.Generator()).loss * RUNS
        value.backward()
        return value

    optimizer.step(loss)
    return energy.a.detach()


def left(n: int) -> float:
    """Return ⟨½(a − 1)²x²⟩ of the fit a = n/Σx² on n rows from N(0, 1), by the moments of 1/χ²."""
    return 0.5 * (n**2 / ((n - 2) * (n - 4)) - 2 * n / (n - 2) + 1)


def measure(place: Path) -> Claim:  # noqa: ARG001
    sampler = part("sampler", "sgld")
    rows, found = [], []
    for n in ROWS:
        data = part("data", "gaussian", {"dim": RUNS, "n": n})
        objective = part(
            "objective", "score_matching", {"max_dimension": RUNS}, event=(RUNS,), data=data, sampler=sampler
        )
        energy = Quadratic([1.5] * RUNS, None)
        a = fitted(energy, objective, data.split("train").x)
        found.append(average(0.5 * (a.double() - 1).square()))
        rows.append(Row(f"Fisher divergence of a Gaussian fitted to {n:,} rows", left(n), *found[-1]))
    data = part("data", "gaussian", {"dim": RUNS, "n": MANY, "seed": 1})
    x = data.split("train").x
    matched = fitted(
        Quartic(0.07, (RUNS,)),
        part("objective", "score_matching", {"max_dimension": RUNS}, event=(RUNS,), data=data, sampler=sampler),
        x,
    )
    likeliest = fitted(Quartic(0.07, (RUNS,)), part("objective", "exact", event=(RUNS,), data=data, sampler=sampler), x)
    rows += [
        Row("a of E = ax⁴ by score matching", 1 / 20, *average(matched)),
        Row("a of E = ax⁴ by maximum likelihood", 1 / 12, *average(likeliest)),
        Row("a by maximum likelihood minus a by score matching", 0.0, *average(likeliest - matched), ">"),
    ]
    picture, (axes, right) = figure.new(2, width=8.8, height=3.2)
    line = np.geomspace(20, 3000, 50)
    axes.plot(line, [left(int(n)) for n in line], color=figure.BLACK, label="closed form, near 1/n")
    means, errors = zip(*found, strict=True)
    axes.errorbar(ROWS, means, errors, fmt="o", color=figure.BLUE, label="fitted")
    axes.set(xscale="log", yscale="log", xlabel="training rows n", ylabel="Fisher divergence, 1/x²")
    axes.legend()
    line = np.linspace(-4, 4, 400)
    right.plot(line, np.exp(-(line**2) / 2) / (2 * np.pi) ** 0.5, color=figure.BLACK, label="data")
    for a, name, color in ((matched, "score matching", figure.RED), (likeliest, "likelihood", figure.GREEN)):
        density = np.exp(-float(a.mean()) * line**4)
        right.plot(line, density / (density.sum() * (line[1] - line[0])), color=color, label=name)
    right.set(xlabel="x", ylabel="density")
    right.legend()
    return Claim(
        section="原理与机制 › 替代性训练目标 · Other objectives",
        sentence="If the model family contains the data distribution, score matching is equivalent to maximum "
        "likelihood: both have their optimum at p_θ = p_data with Fisher divergence 0.",
        truth="The value 0 is reached in the limit of many rows. If the family does not contain the data distribution, "
        "the two optima differ.",
        rows=rows,
        picture=picture,
        caption="Fisher divergence of the fitted Gaussian against the number of rows (left); exp(−ax⁴)/Z fitted to "
        "N(0, 1) by each objective (right).",
    )
