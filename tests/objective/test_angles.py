"""Objectives on angles: each finds the concentration and the mean direction of a von Mises distribution."""

import math

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch, _angles, _von_mises
from ebm_cli.data.angles import Angles
from ebm_cli.energy.xy import XY
from ebm_cli.objective.contrastive import difference
from ebm_cli.objective.exact import Exact
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")
KAPPA, MEAN = 1.5, 3.0


class VonMises:
    """Draws of one angle around 3.0, which lie on both sides of ±π; with noise, wrapped."""

    space, event, finite = "periodic", (1,), False

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        clean = _von_mises.draw(torch.full((n, 1), MEAN), torch.full((n, 1), KAPPA), rng)
        return Batch(_angles.wrap(clean + self.noise * torch.randn(n, 1, generator=rng)), clean=clean)

    def split(self, split: str) -> Batch:
        return self.sample(1000, torch.Generator().manual_seed(len(split)))

    def decode(self, x: torch.Tensor) -> object:
        return x.numpy()


def fitted(name: str, changes: dict, data: VonMises, T: float, seed: int) -> torch.Tensor:
    """The trained field, T·κ(cos μ, sin μ)."""
    rng = torch.Generator().manual_seed(seed)
    energy = XY(0.0, 0.1, "lattice", True, (1,))
    sampler = build("sampler", "sgld", {"temperature": T})
    objective = build("objective", name, changes, event=(1,), data=data, sampler=sampler, start=None, engine="eager")
    optimizer = torch.optim.LBFGS([energy.field, *objective.parameters()], max_iter=60, line_search_fn="strong_wolfe")
    batch = data.sample(20_000, rng)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = objective(energy, batch, torch.Generator().manual_seed(7)).loss
        value.backward()
        return value

    optimizer.step(loss)
    return energy.field.detach()[0] / T


SCORES = {
    "exact": {},
    "score_matching": {},
    "sliced_score_matching": {},
    "noise_contrastive": {"noise": "uniform", "ratio": 2},
    "energy_discrepancy": {"scale": 0.3, "samples": 16, "stabilizer": 0.0},
}


@pytest.mark.parametrize(("name", "changes"), SCORES.items())
@pytest.mark.parametrize("T", [1.0, 2.0])
def test_each_objective_finds_concentration_and_mean_direction(name: str, changes: dict, T: float) -> None:
    true = KAPPA * torch.tensor([math.cos(MEAN), math.sin(MEAN)])
    found = torch.stack([fitted(name, changes, VonMises(), T, seed) for seed in range(6)])
    error = found.std(0) / 6**0.5
    # 6.9 is the bound of Student's t with 5 degrees of freedom that a normal distribution has at 4.
    assert bool(((found.mean(0) - true).abs() < 8 * error).all()) and float(error.max()) < 0.05


@pytest.mark.parametrize("noise", [0.4, 1.5])
def test_denoising_finds_the_score_of_the_wrapped_noisy_distribution(noise: float) -> None:
    # Noise of 1.5 goes around the circle. The noisy distribution has the Fourier coefficients Iₙ(κ)/I₀(κ)·exp(−n²σ²/2).
    data, sampler = VonMises(noise), build("sampler", "sgld", {"temperature": 1.0})
    n = torch.arange(1, 25.0)
    from scipy.special import ive

    coefficients = torch.tensor([ive(k, KAPPA) / ive(0, KAPPA) for k in range(1, 25)]) * (-(n**2) * noise**2 / 2).exp()

    class Noisy(torch.nn.Module):
        space = "periodic"

        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(1.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -self.scale * (1 + 2 * ((x - MEAN) * n).cos() @ coefficients).clamp(min=1e-9).log()

    energy = Noisy()
    for sigma in (None, noise):
        objective = build("objective", "denoising_score_matching", {"sigma": sigma}, data=data, sampler=sampler)
        slopes = []
        for seed in range(30):
            rng = torch.Generator().manual_seed(seed)
            batch = data.sample(4000, rng)
            batch = batch if sigma is None else Batch(batch.clean)
            (slope,) = torch.autograd.grad(objective(energy, batch, rng).loss, energy.scale)
            slopes.append(slope)
        found = torch.stack(slopes)
        # At the true score the gradient is 0.
        assert abs(float(found.mean())) < 4 * float(found.std()) / 30**0.5


def test_exact_needs_a_grid_that_resolves_the_model() -> None:
    data, sampler = Angles(None, 0), build("sampler", "sgld")
    objective = Exact(None, 1, 1e-6, (2,), data, sampler)
    energy = XY(0.3, 0.5, [[0, 1]], False, (2,))
    batch = data.sample(10, torch.Generator().manual_seed(0))
    log_z = objective(energy, batch, torch.Generator()).scalars["log_z"]
    axis = 2 * math.pi * torch.arange(500) / 500
    x = torch.cartesian_prod(axis, axis)
    assert log_z.item() == pytest.approx((-energy(x)).logsumexp(0).item() + 2 * math.log(2 * math.pi / 500), abs=1e-6)
    with torch.no_grad():
        energy.coupling.fill_(1e6)
    with pytest.raises(InputError, match="too coarse"):
        objective(energy, batch, torch.Generator())


@pytest.mark.parametrize(("noise", "problem"), [("mixture", "uniform"), ("flow", "uniform")])
def test_noise_of_real_numbers_is_refused(noise: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"noise must be {problem} for periodic states"):
        build("objective", "noise_contrastive", {"noise": noise}, data=VonMises(), sampler=build("sampler", "sgld"))


def test_chains_move_the_shorter_way_around_the_circle() -> None:
    energy = XY(1.0, 0.0, "lattice", False, (2,))
    moved = difference(energy, torch.tensor([[3.1, 0.2]]), torch.tensor([[-3.1, 0.0]]))
    assert moved[0].tolist() == pytest.approx([6.2 - 2 * math.pi, 0.2])
