"""Angles by the commands of real numbers: chains, statistics, log Z, training, and what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ive

from ebm_cli.chain import chain_file
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.quantities import quantities
from ebm_cli.cli import main
from ebm_cli.mixing.probe_outcome import log_mass_ratio
from ebm_cli.sampling.summary import circular_moments

QUICK = ["threads=1", "seed=0"]
CHAINS = ["chains=32", "steps=600", "burn_in=200", "thin=3"]


def rows(here: Path, run: str) -> dict:
    return json.loads((here / run / "metrics.json").read_text())


def error_line(capsys: pytest.CaptureFixture) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    return line


@pytest.mark.parametrize("kind", [["sampler=hmc"], ["path=base"], ["path=hot"]])
def test_chains_of_a_ring_have_its_energy_order_and_log_z(kind: list[str], here: Path) -> None:
    words = ["sample", "energy=xy", "event=[8]", *kind, *CHAINS, *QUICK, "out=run"]
    assert main(words) == 0
    found = rows(here, "run")
    # E = −∂log Z/∂β; neighbors i and j have ⟨cos(xᵢ − xⱼ)⟩ = Σ Iₙ⁷Iₙ'/Σ Iₙ⁸.
    n = np.arange(-30, 31)
    bessel, slope = ive(n, 1.0), (ive(n - 1, 1.0) + ive(n + 1, 1.0)) / 2
    exact = -8 * float((bessel**7 * slope).sum() / (bessel**8).sum())
    assert found["mixing"]["verdict"] == "ok"
    assert abs(found["energy"]["value"] - exact) < 4 * found["energy"]["se"]
    assert "mean" not in found and "std" not in found
    for name in ("mean_cos", "mean_sin"):
        assert all(abs(v) < 4.5 * se for v, se in zip(found[name]["value"], found[name]["se"], strict=True))
    if kind == ["path=base"]:
        log_z = 8 * math.log(2 * math.pi) + 8 + math.log((bessel**8).sum())
        assert abs(found["log_z"]["value"] - log_z) < 4 * found["log_z"]["se"]
    chains = chain_file.read(here / "run" / "chains.nc")
    assert chains.space == "periodic" and np.abs(chains.x).max() <= np.float32(math.pi)


def test_independent_sites_have_the_magnetization_of_bessel_functions(here: Path) -> None:
    words = ["sample", "energy=xy", "event=[20]", "energy.coupling=0", "energy.field=2", "sampler=hmc"]
    assert main([*words, *CHAINS, *QUICK, "out=run"]) == 0
    found = rows(here, "run")["mean_cos"]
    assert abs(found["value"] - ive(1, 2.0) / ive(0, 2.0)) < 4 * found["se"]
    assert main(["evaluate", *words[1:5], "metric=[log_z]", *QUICK, "out=e"]) == 0
    assert rows(here, "e")["log_z"]["value"] == pytest.approx(20 * math.log(2 * math.pi * ive(0, 2.0)) + 40)


def test_chains_in_one_of_two_wells_are_not_mixed(here: Path) -> None:
    # A custom energy with two wells, at 0 and ±π: probes start at uniform angles.
    (here / "wells.py").write_text(
        "import torch\n"
        "class Wells(torch.nn.Module):\n"
        "    space = 'periodic'\n"
        "    def __init__(self, event): super().__init__(); self.event = event\n"
        "    def forward(self, x): return -20 * (2 * x).cos().flatten(1).sum(1)\n"
        "class Start:\n"
        "    def __init__(self, event): self.event = event\n"
        "    def draw(self, n, batch, rng):\n"
        "        from ebm_cli.start import InitialStates\n"
        "        return InitialStates.unaged(0.1 * torch.randn(n, *self.event, generator=rng))\n"
        "    def keep(self, *_): pass\n"
    )
    words = ["energy=custom", "energy._target_=wells.Wells", "event=[2]", "start=custom", "start._target_=wells.Start"]
    assert main(["sample", *words, "sampler=hmc", *CHAINS, *QUICK, "out=run"]) in (0, 1)
    mixing = rows(here, "run")["mixing"]
    assert mixing["verdict"] == "refused" and "settled in a different region" in mixing["reason"]


def test_an_energy_without_the_period_is_refused(here: Path, capsys: pytest.CaptureFixture) -> None:
    (here / "bowl.py").write_text(
        "import torch\n"
        "class Bowl(torch.nn.Module):\n"
        "    space = 'periodic'\n"
        "    def forward(self, x): return x.flatten(1).square().sum(1)\n"
    )
    assert main(["sample", "energy=custom", "energy._target_=bowl.Bowl", "event=[2]", *QUICK]) == 2
    assert "must have the period 2π in each angle" in error_line(capsys)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("sample energy=xy sampler=gibbs", "sampler=gibbs works on binary, categorical and spin states"),
        ("sample energy=xy sampler=jump_mala", "sampler=jump_mala works on continuous states"),
        ("sample energy=xy path=rates", "path=rates works on binary, categorical and spin states"),
        ("sample energy=xy path=base path.base=mixture", "path.base=mixture needs continuous states"),
        ("train data=angles energy=autoencoder", "data=angles has periodic rows; energy=autoencoder has continuous"),
        (
            "train data=two_moons energy=xy experiment=null",
            "data=two_moons has continuous rows; energy=xy has periodic",
        ),
        ("train data=angles objective=ratio_matching", "objective=ratio_matching works on binary and spin states"),
        ("train data=angles objective=reverse_kl", "objective=reverse_kl works on"),
        (
            "train data=angles objective=noise_contrastive objective.noise=mixture",
            "noise must be uniform for periodic states, got",
        ),
        ("evaluate energy=xy metric=[log_z] path=base path.base=flow", "path.base=flow"),
    ],
)
def test_what_does_not_work_on_angles_is_named(
    words: str, problem: str, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main([*words.split(), *QUICK]) == 2
    assert problem in error_line(capsys)
    assert not list(here.glob("outputs/*/*/*"))


def test_training_on_angles_reaches_the_density_of_the_data(here: Path, capsys: pytest.CaptureFixture) -> None:
    words = [
        "data=angles",
        "data.n=4000",
        "trainer.steps=250",
        "trainer.batch_size=256",
        "energy.width=32",
        "optimizer.lr=0.02",
    ]
    assert main(["train", *words, *QUICK, "out=run"]) == 0
    assert main(["evaluate", "run=run", "samples=200", "steps=300", "burn_in=100", *QUICK, "out=e"]) == 0
    found = rows(here, "e")
    assert found["kl"]["value"] < 0.4
    assert {"mmd", "c2st", "coverage", "mean_error"} <= set(found)
    assert main(["evaluate", "run=run", "metric=[nll]", *QUICK, "out=n"]) == 0
    found = rows(here, "n")
    assert found["nll"]["upper"] - found["nll"]["lower"] < 1e-4
    assert found["nll_kernel"]["value"] < found["nll"]["value"] < found["nll_von_mises"]["value"] - 1
    assert main(["sample", "run=run", *CHAINS, *QUICK, "out=s"]) == 0
    assert main(["diagnose", "run=s", *QUICK, "out=d"]) == 0
    for name in ("laplace_wells", "mode_occupancy", "spurious_valleys"):
        capsys.readouterr()
        assert main(["diagnose", "run=s", f"diagnostic=[{name}]", *QUICK]) == 2
        assert f"diagnostic={name} works on" in error_line(capsys)
    assert {"iat_max", "ess_bulk_min", "r_hat_max", "effective_temperature"} <= set(rows(here, "d"))


def test_statistics_do_not_depend_on_where_the_circle_is_cut() -> None:
    random = np.random.default_rng(0)
    x = random.vonmises(0.0, 5.0, (8, 400, 2)).cumsum(1) * 0.2
    wrapped = (x + math.pi) % (2 * math.pi) - math.pi
    named = [quantities(Chains(each, space="periodic")) for each in (x, wrapped)]
    assert list(named[0]) == ["cos x[0]", "cos x[1]", "sin x[0]", "sin x[1]"]
    for name, values in named[0].items():
        np.testing.assert_allclose(values, named[1][name], atol=1e-12)


def test_moments_of_angles_are_those_of_a_von_mises_distribution() -> None:
    x = np.random.default_rng(1).vonmises(3.0, 4.0, (50, 400, 1))
    found = circular_moments(Chains(x, space="periodic"), [])
    length = ive(1, 4.0) / ive(0, 4.0)
    for name, true in (
        ("mean_cos", length * math.cos(3.0)),
        ("mean_sin", length * math.sin(3.0)),
        ("resultant_length", length),
    ):
        value, se = found[name].value, found[name].se
        assert isinstance(value, float) and isinstance(se, float) and abs(value - true) < 4 * se < 0.02
    uniform = np.random.default_rng(2).uniform(-math.pi, math.pi, (50, 400, 1))
    none = circular_moments(Chains(uniform, space="periodic"), [])["resultant_length"]
    assert isinstance(none.value, float) and isinstance(none.se, float) and none.value < 4 * none.se


def test_the_mass_of_a_region_on_the_circle_is_that_of_its_volume_and_energy() -> None:
    random = np.random.default_rng(3)
    chains = Chains(random.vonmises(0, 100.0, (4, 200, 1)), potential=np.zeros((4, 200)), space="periodic")
    x = chains.rows(random.vonmises(3.0, 4.0, (200, 4, 1)))
    ratio = log_mass_ratio(x, np.full((200, 4), 3.0), chains, np.ones(2), 1.0, "periodic")
    spread = math.sqrt(-2 * math.log(ive(1, 4.0) / ive(0, 4.0))) / math.sqrt(
        -2 * math.log(ive(1, 100.0) / ive(0, 100.0))
    )
    assert ratio == pytest.approx(math.log(spread) - 3.0, abs=0.15)
