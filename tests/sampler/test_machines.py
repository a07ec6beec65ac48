"""Machines with hidden units: every way to move them gives the distribution of the visible units."""

import pytest
import torch
from torch import nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.data._sites import Sites
from ebm_cli.energy.dbm import DBM
from ebm_cli.energy.rbm import RBM
from ebm_cli.sampler.gibbs import Gibbs
from tests.sampler.discrete import state_numbers

pytestmark = pytest.mark.usefixtures("float64")
CHAINS, STEPS = 4000, 100


def machine(kind: str, visible: int, hidden: int) -> nn.Module:
    """A machine with weights of about ½."""
    made = RBM(hidden, True, False, (visible,), None) if kind == "rbm" else DBM(hidden, 3, True, (visible,), None)
    rng = torch.Generator().manual_seed(2)
    for p in made.parameters():
        p.data.copy_(0.5 * torch.randn(p.shape, generator=rng))
    return made.requires_grad_(False)


@pytest.mark.parametrize(("kind", "visible", "hidden"), [("rbm", 8, 6), ("rbm", 12, 8), ("dbm", 8, 6)])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("joint", [False, True])
def test_visible_states_have_their_probabilities(
    kind: str, visible: int, hidden: int, temperature: float, joint: bool, rng: torch.Generator
) -> None:
    energy = machine(kind, visible, hidden)
    energy.set_temperature(temperature)
    sites = Sites("binary", (visible,))
    p = (-energy(sites.all_states(torch.device("cpu"), torch.float64)) / temperature).softmax(0)
    moved = energy.joint() if joint else energy
    x = Sites("binary", tuple(moved.event)).uniform(CHAINS, rng, torch.float64)
    last = run_chains(Gibbs(temperature, "systematic"), moved, x, STEPS, rng, thin=None).last.x
    counts = torch.bincount(state_numbers(sites, last[:, :visible]), minlength=len(p))
    distance = 0.5 * float((counts / CHAINS - p).abs().sum())
    # The expected distance of as many independent draws is at most this; one draw changes it by at most 1/n.
    expected = 0.5 * float((p * (1 - p) / CHAINS).sqrt().sum())
    assert distance < expected + 4 * 0.5 / CHAINS**0.5
    e = energy(last[:, :visible])
    mean, square = float(p @ energy(sites.all_states(torch.device("cpu"), torch.float64))), float(e.std())
    assert abs(float(e.mean()) - mean) < 4 * square / CHAINS**0.5
