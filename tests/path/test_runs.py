"""The path through checkpoints: each anchor is an earlier model, and as few as still swap often are kept."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.replica_search import find_replicas, with_ladder
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate
from ebm_cli.sampling.summary import log_z_row
from tests.contract import History, build

WEIGHT = 0.25


class Modes(nn.Module):
    """−log of WEIGHT N(−a, s²) + (1 − WEIGHT) N(a, s²) in one dimension, minus a, with parameters a and s."""

    def __init__(self, apart: float, std: float) -> None:
        super().__init__()
        self.apart, self.std = nn.Parameter(torch.tensor(apart)), nn.Parameter(torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        squares = torch.stack([x[:, 0] + self.apart, x[:, 0] - self.apart]).div(self.std).square()
        weights = torch.tensor([WEIGHT, 1 - WEIGHT]).to(x).log()[:, None]
        log_p = (weights - 0.5 * squares).logsumexp(0) - self.std.log() - 0.5 * math.log(2 * math.pi)
        return -log_p - self.apart


# Training moves two wide modes apart, and makes them narrow.
PARAMETERS = [0.5 + 0.1 * k for k in range(25)]
LAST = Modes(3.0, 0.4)
RUN = History({100 * k: Modes(a, 1.2 - 0.25 * a).state_dict() for k, a in enumerate(PARAMETERS, 1)})


def rows(n: int) -> Batch:
    """Return rows that say nothing about the modes."""
    return Batch(2 * torch.randn(n, 1, generator=torch.Generator().manual_seed(0)))


def test_chains_in_one_mode_find_the_weights_of_both_and_log_z() -> None:
    n = 48
    path = build("path", "runs", {"base": "gaussian"}, data=rows(400), run=RUN)
    found = find_replicas(build("sampler", "tempering", path=path), LAST, n, torch.Generator().manual_seed(1))
    assert found is not None
    sampler = with_ladder(found.sampler, found.ladder)
    done = run_chains(sampler, LAST, torch.full((n, 1), 3.0), 200, torch.Generator().manual_seed(2), burn_in=40, thin=2)
    each = (done.x[..., 0] < 0).double().mean(0)
    error = float(each.std()) / n**0.5
    assert abs(float(each.mean()) - WEIGHT) < 4 * error < 0.08
    log_z = log_z_row(done, LAST, Estimate(1.0))["log_z"]
    assert abs(log_z.value - 3.0) < 4 * log_z.se and log_z.lower < 3.0 < log_z.upper
    assert done.replicas is not None
    rates = done.replicas.swap_rates().mean(1)
    kept = sampler.path.runs
    assert kept[0] == 100 and len(kept) < len(PARAMETERS)
    between_anchors = rates[: len(kept)]
    assert float(rates.min()) > 0.25 and float(between_anchors.max()) < 0.7


def test_anchors_are_the_checkpoints_and_the_model(rng: torch.Generator) -> None:
    x = 2 * torch.randn(6, 1, generator=rng)
    path = build("path", "runs", {"runs": [300, 2100]}, data=rows(400), run=RUN).annealing_path(LAST, 2.0)
    with frozen(LAST), torch.no_grad():
        z = path.space.coordinates(x)
        for beta, model in ((1 / 3, Modes(0.7, 1.025)), (2 / 3, Modes(2.5, 0.575)), (1.0, LAST)):
            torch.testing.assert_close(path.energy_at(beta)(z), model(x) / 2, rtol=1e-4, atol=1e-4)
    assert all(parameter.requires_grad for parameter in LAST.parameters())


def test_equal_swap_rates_move_replicas_only_between_their_anchors() -> None:
    path = build("path", "runs", {"runs": [100], "betas": [1.0, 0.8, 0.5, 0.3, 0.2, 0.0]}, data=rows(50), run=RUN)
    betas = path.with_equal_swap_rates([0.2, 0.9, 0.9, 0.5, 0.1]).betas
    assert betas[0] == 1.0 and betas[2] == 0.5 and betas[-1] == 0.0
    assert betas[1] == pytest.approx(1 - 0.2 * (0.9 / 2) / 0.8) and 0 < betas[4] < betas[3] < 0.3


@pytest.mark.parametrize(
    ("changes", "run", "message"),
    [
        ({}, None, "^runs leads through checkpoints of a trained run. Type ebm sample run=RUN path=runs"),
        ({}, History({}), "^runs needs earlier checkpoints, and run=outputs/run has none before checkpoint=last"),
        ({"runs": [100, 150]}, RUN, "runs must be rising steps of earlier checkpoints"),
        ({"betas": [1.0, 0.0]}, RUN, "betas=\\[…\\] needs the checkpoints"),
    ],
)
def test_runs_without_checkpoints_are_refused(changes: dict, run: History | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("path", "runs", changes, run=run)
