"""The other tools of `brackets`. This module runs in their own environment, which has no part of ours but the energies.

python -m scripts.bench._bracket_rivals versions                              # {"pymc": "5.28.5", …}
python -m scripts.bench._bracket_rivals TOOL '[["funnel", 0], …]'             # one row of JSON per energy and seed
"""

import importlib.metadata
import json
import logging
import math
import sys
from typing import Any

import numpy as np
import torch

from scripts.bench._bracket_cases import CASES, Case
from scripts.bench._bracket_row import Row, Tool, interval, measured_row

PACKAGES = ("ebmkit", "pymc", "torchebm", "torch")
# The prior of pymc and the number of its runs, from which the error is computed with Student's quantile.
PRIOR_STD, RUNS, QUANTILE = 10.0, 4, 3.182


def ebmkit(name: str, seed: int) -> Row:
    """Return ebmkit's bracket by its defaults: the hull of its forward and reverse values with their errors."""
    import ebm  # pyright: ignore[reportMissingImports]

    case = CASES[name]
    torch.manual_seed(seed)
    energy = case.energy()
    forward = ebm.ais_log_z(energy, shape=(case.d,))
    reverse = ebm.reverse_ais_log_z(energy, forward.samples)
    answers = [interval(each.log_z, 1.96 * each.stderr) for each in (forward, reverse)]
    effective = min(forward.ess, reverse.ess)
    bounds = {"lower": min(each["lower"] for each in answers), "upper": max(each["upper"] for each in answers)}
    reason = f"effective sample size {effective:.1f}"
    return interval(forward.log_z, 0.0, reason, is_doubted=effective < 2) | bounds


def pymc(name: str, seed: int) -> Row:
    """Return the mean log marginal likelihood of pymc's SMC over its runs."""
    import pymc as pm  # pyright: ignore[reportMissingImports]

    case, warnings = CASES[name], []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())
    logging.getLogger("pymc").addHandler(handler)
    with pm.Model():
        x = pm.Normal("x", 0.0, PRIOR_STD, shape=case.d)
        prior = pm.logp(pm.Normal.dist(0.0, PRIOR_STD), x).sum()
        pm.Potential("energy", log_density(case)(x) - prior)
        trace = pm.sample_smc(chains=RUNS, cores=1, random_seed=seed, progressbar=False)
    logging.getLogger("pymc").removeHandler(handler)
    values = final_values(trace.sample_stats["log_marginal_likelihood"].values)
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(RUNS)
    return interval(mean, QUANTILE * error, " ".join(warnings), bool(warnings))


def final_values(stages: np.ndarray) -> list[float]:
    """Return the last value of each run. Runs of different numbers of stages come as one row of lists."""
    runs = stages.ravel() if isinstance(stages.flat[0], list) else stages
    return [[float(value) for value in run if math.isfinite(value)][-1] for run in runs]


def log_density(case: Case) -> Any:
    """Return −E as an operation of pytensor, in double precision."""
    import pytensor.tensor as pt  # pyright: ignore[reportMissingImports]
    from pytensor.graph.op import Op  # pyright: ignore[reportMissingImports]

    energy = case.energy().double()

    class LogDensity(Op):
        itypes = [pt.dvector]  # noqa: RUF012
        otypes = [pt.dscalar]  # noqa: RUF012

        def perform(self, node: Any, inputs: Any, outputs: Any) -> None:  # noqa: ARG002
            with torch.no_grad():
                outputs[0][0] = np.asarray(-energy(torch.from_numpy(inputs[0])[None]).numpy()[0])

    return LogDensity()


TOOLS: dict[str, Tool] = {"ebmkit": ebmkit, "pymc": pymc}


def main(what: str, jobs: str = "[]") -> None:
    """Print one line of JSON per result; what the tools print goes to the standard error."""
    output, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)
    if what == "versions":
        print(json.dumps({name: importlib.metadata.version(name) for name in PACKAGES}), file=output)
        return
    for name, seed in json.loads(jobs):
        print(json.dumps(measured_row(what, TOOLS[what], name, seed)), file=output, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
