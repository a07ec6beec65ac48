"""MALA is exact at any step; its ratio takes a step size a chain as well."""

import pytest
import torch

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import State
from ebm_cli.sampler.mala import log_ratio
from tests.contract import build, moment_z_scores

pytestmark = pytest.mark.usefixtures("float64")
CHAINS = 40_000  # The variance's standard error is √(2/CHAINS) = 0.7 % of it.
A = 2.0


@pytest.mark.parametrize(("step_size", "temperature"), [(0.1, 2.0), (0.8, 0.5)])
def test_stationary_variance_is_unbiased(step_size: float, temperature: float, rng: torch.Generator) -> None:
    sampler, energy = (
        build("sampler", "mala", {"step_size": step_size, "temperature": temperature}),
        Quadratic([A], None),
    )
    state = sampler.init(energy, energy.draw(CHAINS, temperature, rng), rng)
    for _ in range(20):
        state, _ = sampler.step(energy, state, rng)
    z_mean, z_variance = moment_z_scores(state.x, 0.0, temperature / A)
    assert z_mean < 4 and z_variance < 4


def test_one_step_size_a_chain_gives_the_ratios_of_one_chain_each(rng: torch.Generator) -> None:
    energy, x, ξ = Quadratic([A, 1.0], None), torch.randn(4, 2, generator=rng), torch.randn(4, 2, generator=rng)
    η, T = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([1.0, 2.0, 0.5, 1.0])
    old = State(x, *energy_and_grad(energy, x))
    new = State(x + ξ, *energy_and_grad(energy, x + ξ))
    each = [
        log_ratio(
            State(*(p[i : i + 1] for p in old)),
            State(*(p[i : i + 1] for p in new)),
            ξ[i : i + 1],
            float(η[i]),
            float(T[i]),
        )
        for i in range(4)
    ]
    torch.testing.assert_close(log_ratio(old, new, ξ, η, T), torch.cat(each))
