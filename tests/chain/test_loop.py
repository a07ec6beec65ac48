"""The loop: the draws it keeps, the step at which a chain breaks, stopping, and the state it restores."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.check import InputError
from ebm_cli.rng import generator
from ebm_cli.sampler.mala import MALA
from tests.contract import build

STEP = build("sampler", "sgld", {"step_size": 1.0, "temperature": 0.0})


class Slide(nn.Module):
    """E = −x, so that gradient descent at step 1 adds 1 a step; NaN beyond `edge`."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > self.edge, torch.nan, -x[:, 0])


def slide(steps: int, rng: torch.Generator, edge: float = 1e9, **settings) -> Trajectory:
    return run_chains(STEP, Slide(edge), torch.tensor([[0.0], [1.0], [-100.0]]), steps, rng, **settings)


def test_every_thin_th_state_after_the_burn_in_is_kept(rng: torch.Generator) -> None:
    done = slide(11, rng, burn_in=4, thin=3)
    assert done.x[:, 0, 0].tolist() == [7.0, 10.0, 13.0]
    assert torch.equal(done.energy, -done.x[..., 0])
    assert done.accept.shape == (3, 3) and done.steps == 15
    assert done.last.x[0, 0] == 15


def test_accept_is_the_mean_since_the_draw_before(rng: torch.Generator) -> None:
    energy, x = build("energy", "mlp", event=(2,)), torch.randn(5, 2, generator=rng)
    mala = build("sampler", "mala", {"step_size": 0.8})
    seeds = [torch.Generator().manual_seed(1) for _ in range(3)]
    every = run_chains(mala, energy, x, 12, seeds[0])
    thinned = run_chains(mala, energy, x, 12, seeds[1], thin=4)
    none = run_chains(mala, energy, x, 12, seeds[2], thin=None)
    assert 0.01 < every.accept.mean() < 0.99
    assert torch.equal(thinned.x, every.x[3::4])
    torch.testing.assert_close(thinned.accept, every.accept.view(3, 4, 5).mean(1))
    torch.testing.assert_close(none.accept.squeeze(0), every.accept.mean(0))


def test_without_thin_the_last_state_alone_is_left(rng: torch.Generator) -> None:
    done = slide(5, rng, thin=None)
    assert len(done.x) == len(done.energy) == 0
    assert done.last.x[:, 0].tolist() == [5.0, 6.0, -95.0]


def test_broke_names_the_step_at_which_a_chain_first_was_not_finite(rng: torch.Generator) -> None:
    assert slide(6, rng, edge=2.5).first_nonfinite_step.tolist() == [3, 2, -1]
    assert slide(3, rng, edge=2.5, burn_in=3, thin=None).first_nonfinite_step.tolist() == [3, 2, -1]


def test_stop_ends_early_with_the_draws_so_far(rng: torch.Generator) -> None:
    seen: list[int] = []
    done = slide(100, rng, burn_in=1, thin=2, progress=seen.append, stop=lambda: len(seen) == 6)
    assert seen == [1, 2, 3, 4, 5, 6] and done.steps == 6
    assert done.x[:, 0, 0].tolist() == [3.0, 5.0]
    assert len(done.energy) == len(done.accept) == 2


def test_the_starting_states_are_not_written_to(rng: torch.Generator) -> None:
    x = torch.zeros(3, 1)
    run_chains(STEP, Slide(1e9), x, 3, rng)
    assert not x.any()


class Watched(nn.Module):
    """Notes whether it was frozen while it was called; fails on its third call where told to."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.body = build("energy", "autoencoder", {"width": 4, "dropout": 0.5}, event=(2,))
        self.fails = fails
        self.loose: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.loose.append(self.training or self.body.training or any(p.requires_grad for p in self.parameters()))
        if self.fails and len(self.loose) == 3:
            raise ArithmeticError
        return self.body(x)


@pytest.mark.parametrize("fails", [False, True])
def test_the_energy_is_frozen_meanwhile_and_then_as_it_was(fails: bool, rng: torch.Generator) -> None:
    energy = Watched(fails)
    energy.body.score.eval()
    energy.body.score.weight.requires_grad_(False)
    before = [m.training for m in energy.modules()], [p.requires_grad for p in energy.parameters()]
    try:
        run_chains(STEP, energy, torch.zeros(2, 2), 4, rng)
    except ArithmeticError:
        assert fails
    assert not any(energy.loose) and len(energy.loose) == (3 if fails else 5)
    assert ([m.training for m in energy.modules()], [p.requires_grad for p in energy.parameters()]) == before
    assert all(p.grad is None for p in energy.parameters())


def test_a_draw_of_an_energy_that_is_unbounded_below_is_an_input_error() -> None:
    class Unbounded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x[:, 0] > 3, -torch.inf, 0.1 * x.square().sum(1))

    kernel = MALA(0.5, temperature=1.0, scales=None)
    with pytest.raises(InputError, match=r"energy is −∞ at x = \("):
        run_chains(kernel, Unbounded(), torch.zeros(64, 2), 400, generator(0, "test", "cpu"), thin=10)
