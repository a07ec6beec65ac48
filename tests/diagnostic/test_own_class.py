"""A user's own diagnostic or metric: two short functions are enough, and the numbers do not need matplotlib."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ebm_cli.cli import main
from tests.contract import options

OWN = """
from ebm_cli.estimate import Estimate, Result

class Skewness:
    def __call__(self, context):
        x = context.chains.flat()
        skewness = ((x - x.mean()) ** 3).mean((1, 2)) / x.std() ** 3
        return Result({"skewness": Estimate(float(skewness.mean()))}, skewness, picture)

class Count:
    def __call__(self, context):
        return Result({"count": Estimate(float(len(context.chains.x)))})

class Gap:
    needs_samples = True

    def __call__(self, context):
        samples, held_out = context.pair()
        gaps = context.energy(samples) - context.energy(held_out.x).mean()
        return Result({"mean_energy_gap": Estimate(float(gaps.detach().mean()))}, gaps.detach().numpy(), picture)

def picture(result):
    from matplotlib.figure import Figure
    figure = Figure()
    figure.subplots().hist(result.arrays)
    return figure, "What is plotted. Look for 0."
"""


def metrics(folder: str) -> dict[str, dict]:
    return json.loads(Path(folder, "metrics.json").read_text())


def test_own_diagnostics_run_with_and_without_a_picture(here: Path) -> None:
    Path("own_results.py").write_text(OWN)
    np.save("x.npy", np.random.default_rng(0).standard_normal((4, 50, 2)))
    for name, drawn in (("Skewness", True), ("Count", False)):
        words = ["diagnostic=[custom]", f"diagnostic.custom._target_=own_results.{name}", f"out={name}"]
        assert main(["diagnose", "run=x.npy", *words]) == 0
        assert metrics(name)[name.lower()]["verdict"] == "ok"
        assert Path(name, "figures/custom.png").exists() == drawn
    assert json.loads(Path("Skewness/figures/captions.json").read_text())["custom"] == "What is plotted. Look for 0."


def test_an_own_metric_runs_with_a_picture(here: Path) -> None:
    Path("own_results.py").write_text(OWN)
    words = ["energy=quadratic", "data=gaussian", "samples=16", "steps=4", "metric=[custom]", "out=m"]
    assert main(["evaluate", *words, "metric.custom._target_=own_results.Gap"]) == 0
    assert metrics("m")["mean_energy_gap"]["verdict"] == "ok" and Path("m/figures/custom.png").exists()


def test_numbers_need_no_matplotlib() -> None:
    modules = [f"ebm_cli.{group}.{name}" for group in ("diagnostic", "metric") for name in options(group)]
    code = f"""
import sys
sys.modules["matplotlib"] = None
import importlib
import numpy as np
for name in {modules} + ["ebm_cli.metric._score", "ebm_cli.mixing.verdict", "ebm_cli.mixing.record"]:
    importlib.import_module(name)
from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.autocorrelation import Autocorrelation
from ebm_cli.mixing.verdict import assess_mixing
context = ChainContext(Chains(np.random.default_rng(0).standard_normal((8, 200, 2))))
print(Autocorrelation(5.0)(context).estimates["iat_max"].verdict, assess_mixing(context, 0).estimate.verdict)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["ok", "ok"], done.stderr
