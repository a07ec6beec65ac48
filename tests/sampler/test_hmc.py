"""HMC: one leapfrog step is MALA's proposal, flights come back, and jitter breaks their resonance."""

import pytest
import torch

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import PhaseState
from ebm_cli.sampler.nuts import leapfrog
from tests.contract import build
from tests.sampler.distributions import mixture

pytestmark = pytest.mark.usefixtures("float64")
MODERATE = {"step_size": 1.2, "leapfrog_steps": 3}


def test_a_flight_of_one_step_is_malas_proposal_and_acceptance(rng: torch.Generator) -> None:
    energy, x, ε = mixture(), torch.randn(50, 2, generator=rng), 0.8
    hmc = build("sampler", "hmc", {"step_size": ε, "leapfrog_steps": 1, "step_size_jitter": 0.0, "temperature": 2.0})
    mala = build("sampler", "mala", {"step_size": ε**2 / 2, "temperature": 2.0})
    state = hmc.init(energy, x, rng)
    ξ, u = torch.randn(50, 2, generator=rng), torch.rand(50, generator=rng)
    ours, info = hmc.update(energy, state, (ξ, u, u))
    theirs, other = mala.update(energy, state, (ξ, u))
    torch.testing.assert_close(info.accept, other.accept)
    torch.testing.assert_close(ours.x, theirs.x)


def test_a_flight_flown_back_ends_where_it_began(rng: torch.Generator) -> None:
    energy, x, v = mixture(), torch.randn(20, 2, generator=rng), torch.randn(20, 2, generator=rng)
    begun = at = PhaseState(x, v, *energy_and_grad(energy, x))
    for _ in range(12):
        at = leapfrog(energy, at, torch.tensor(0.3))
    for _ in range(12):
        at = leapfrog(energy, at, torch.tensor(-0.3))
    torch.testing.assert_close(at.x, begun.x)
    torch.testing.assert_close(at.v, begun.v)


@pytest.mark.parametrize(("jitter", "correlated"), [(0.0, True), (0.3, False)])
def test_without_jitter_a_flight_of_one_period_goes_nowhere(
    jitter: float, correlated: bool, rng: torch.Generator
) -> None:
    energy, steps = Quadratic([1.0], None), 20
    # The leapfrog period of a unit well: cos(ω) = 1 − ε²/2.
    ε = float((2 * (1 - torch.cos(torch.tensor(2 * torch.pi / steps)))).sqrt())
    sampler = build("sampler", "hmc", {"step_size": ε, "leapfrog_steps": steps, "step_size_jitter": jitter})
    x = energy.draw(4000, 1.0, rng)
    state, info = sampler.step(energy, sampler.init(energy, x, rng), rng)
    assert info.gradients == steps
    correlation = float((x * state.x).mean() / x.square().mean())
    assert (correlation > 0.99) == correlated
