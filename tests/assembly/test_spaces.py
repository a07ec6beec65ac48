"""States that are not continuous: what does not work on them is refused or left out by name, and the rest runs."""

import itertools
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.assembly.spaces import options_that_fit
from ebm_cli.cli import main
from ebm_cli.data import Batch
from ebm_cli.sampler import EnergyState, Info

HERE = "tests.assembly.test_spaces"
ENERGY = ["energy=custom", f"energy._target_={HERE}.Pair"]
GIBBS = ["sampler=custom", f"sampler._target_={HERE}.Gibbs"]
DATA = ["data=custom", f"data._target_={HERE}.Coins"]
QUICK = ["threads=1", "seed=0"]
MISFIT = f"works on continuous and periodic states; energy={HERE}.Pair has binary states"
STATES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=2)))


class Pair(nn.Module):
    """Two bits that agree with odds e^J; without a gradient by x, so that nothing can use one unnoticed."""

    space = "binary"
    event = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.coupling = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return -self.coupling * (x[:, 0] == x[:, 1]).to(x.dtype)


class Misspelt(Pair):
    space = "binry"


class Gibbs(NamedTuple):
    """Draws each bit given the other."""

    temperature: float = 1.0
    spaces = frozenset({"binary"})

    def init(self, energy: nn.Module, x: Tensor, rng: torch.Generator) -> EnergyState:
        return EnergyState(x, energy(x))

    def step(self, energy: nn.Module, state: EnergyState, rng: torch.Generator) -> tuple[EnergyState, Info]:
        x = state.x
        for i in range(2):
            zero, one = x.clone(), x.clone()
            zero[:, i], one[:, i] = 0, 1
            p = torch.sigmoid((energy(zero) - energy(one)) / self.temperature)
            x = torch.where((torch.rand(len(x), generator=rng, dtype=x.dtype) < p)[:, None], one, zero)
        e = energy(x)
        return EnergyState(x, e), Info(torch.ones_like(e), torch.zeros_like(e, dtype=torch.bool), 4)


class Coins:
    """Two fair coins."""

    space = "binary"
    event, noise, finite = (2,), 0.0, False

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        return Batch(torch.randint(2, (n, 2), generator=rng).to(torch.get_default_dtype()))

    def split(self, split: str) -> Batch:
        return self.sample(200, torch.Generator().manual_seed(len(split)))

    def decode(self, x: Tensor) -> np.ndarray:
        return x.cpu().numpy()


def errors(words: list[str], capsys: pytest.CaptureFixture) -> list[str]:
    """The errors of a command that is refused."""
    capsys.readouterr()
    assert main([*words, *QUICK]) == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]


def test_everything_that_does_not_fit_is_named_at_once(here: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["train", *ENERGY, "data=gaussians_8", "experiment=null", "sampler=mala", "start=noise"]
    named = errors([*words, "objective=score_matching", "regularizer=[gradient_norm,energy_magnitude]"], capsys)
    assert named[0] == f"error: data=gaussians_8 has continuous rows; energy={HERE}.Pair has binary states"
    assert sorted(line.split(" ")[1] for line in named[1:]) == [
        "objective=score_matching",
        "regularizer=gradient_norm",
        "sampler=mala",
    ]
    assert all(MISFIT in line for line in named[1:])
    assert not list(here.glob("outputs/*/*/config.yaml"))


def test_options_that_fit_are_named_and_no_others() -> None:
    head, _, names = options_that_fit("start", "binary").partition(": ")
    assert head == "Starts that fit"
    assert {"data", "noise", "replay"} <= set(names.split(", ")) and "descent" not in names
    assert "mala" in options_that_fit("sampler", "continuous")
    names = options_that_fit("sampler", "categorical")
    assert "gibbs_with_gradients" in names and "wolff" in names and "mala" not in names


@pytest.mark.usefixtures("here")
def test_a_space_that_does_not_exist_is_named(capsys: pytest.CaptureFixture) -> None:
    (line,) = errors(["sample", "energy=custom", f"energy._target_={HERE}.Misspelt", *GIBBS], capsys)
    assert "energy.space must be one of continuous, periodic, binary, spin, categorical, got 'binry'" in line


def test_binary_chains_have_the_enumerated_law_and_are_diagnosed(here: Path, capsys: pytest.CaptureFixture) -> None:
    size = ["chains=1000", "steps=40", "thin=4", "burn_in=8", "out=chains"]
    assert main(["sample", *ENERGY, *GIBBS, "start=noise", *size, *QUICK]) == 0
    x = torch.from_numpy(np.load(here / "chains" / "samples.npy"))[..., :2].reshape(-1, 2)[-1000:]
    p = (-Pair()(STATES)).softmax(0)
    shares = (x[:, None] == STATES).all(2).double().mean(0)
    assert shares.sum() == 1 and ((shares - p).abs() < 4 * (p * (1 - p) / 1000).sqrt()).all()
    capsys.readouterr()
    assert main(["diagnose", "run=chains", "out=diagnosis", *QUICK]) == 0
    output = capsys.readouterr()
    left_out = [line for line in (output.out + output.err).splitlines() if "left out" in line]
    assert [line.strip() for line in left_out] == [
        f"left out: diagnostic={name} {MISFIT}" for name in ("effective_temperature",)
    ]
    assert {"r_hat_max", "ess_bulk_min", "self_transition"} <= set(
        json.loads((here / "diagnosis" / "metrics.json").read_text())
    )
    typed = ["diagnose", "run=chains", "diagnostic=[ess,effective_temperature]"]
    (line,) = errors(typed, capsys)
    assert f"diagnostic=effective_temperature {MISFIT}. Diagnostics that fit: autocorrelation" in line


def test_a_binary_model_is_trained_and_evaluated(here: Path, capsys: pytest.CaptureFixture) -> None:
    small = ["trainer.steps=100", "trainer.batch_size=500", "optimizer.lr=0.05", "trainer.checkpoint_every=100"]
    common = ["experiment=null", "start.size=1000", "objective.steps=2", "out=run"]
    assert main(["train", *ENERGY, *DATA, *GIBBS, *common, *small, *QUICK]) == 0
    rows = [json.loads(line) for line in (here / "run" / "metrics.jsonl").read_text().splitlines()]
    # The bits of uniform noise would never agree.
    assert rows[0]["e_noise"] < -0.2
    # Those of the data agree as often as not: the coupling falls from 1 to 0, and with it the energy.
    assert abs(rows[-2]["e_data"]) < 0.1
    capsys.readouterr()
    assert main(["evaluate", "run=run", "steps=10", *QUICK]) == 0
    output = capsys.readouterr()
    assert "distance_to_truth needs data whose density is known: a synthetic set such as data=patterns" in output.err


@pytest.mark.parametrize(("name", "words"), [("hmc", ENERGY), ("gibbs", ["energy=double_well"])])
def test_a_kernel_that_does_not_fit_names_only_samplers_that_move_replicas(
    name: str, words: list[str], here: Path, capsys: pytest.CaptureFixture
) -> None:
    line = ["sample", *words, "path=hot", f"sampler.kernel={name}", "start=noise", *QUICK, f"out={here / 'chains'}"]
    assert main(line) == 2
    fit = capsys.readouterr().err.partition("Kernels that fit: ")[2].strip().split(", ")
    assert fit == (["gibbs", "gibbs_with_gradients", "discrete_langevin"] if name == "hmc" else ["hmc", "mala", "nuts"])
