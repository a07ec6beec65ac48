"""Noise-contrastive estimation: its gradient, its log Z, and its state in checkpoints."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._sites import Sites
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy._gaussians import Gaussians, fitted_gaussians
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective._noise import FlowNoise, Noise, SiteNoise, fit_noise
from ebm_cli.objective.noise_contrastive import NoiseContrastive
from tests.contract import build, log_integral
from tests.energy.parts import Rows
from tests.objective.slope import assert_gradient_is_slope
from tests.sampler.discrete import MODELS, probabilities, sites_and_states, state_numbers

pytestmark = pytest.mark.usefixtures("float64")


class Normal:
    """N(0, I): a distribution of the user's own."""

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * x.square().sum(1) - 0.5 * x.shape[1] * math.log(2 * math.pi)

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, 2, generator=rng)


def nce(changes: dict[str, object] | None = None, temperature: float = 1.0) -> NoiseContrastive:
    sampler = build("sampler", "sgld", {"temperature": temperature})
    data = build("data", "gaussians_8", {"n": 500})
    return build("objective", "noise_contrastive", changes, data=data, sampler=sampler)


@pytest.mark.parametrize("form", ["binary", "ranking"])
def test_the_gradient_is_the_slope_of_the_loss(form: str, rng: torch.Generator) -> None:
    objective = nce({"loss": form, "ratio": 3}, 2.0)
    energy, batch = build("energy", "mlp", {"width": 6}, event=(2,)), Batch(torch.randn(16, 2, generator=rng))
    objective(energy, batch, rng)
    assert_gradient_is_slope(lambda: objective(energy, batch, torch.Generator().manual_seed(1)).loss, energy, objective)


def test_the_mixtures_density_is_that_of_its_draws_and_integrates_to_one(rng: torch.Generator) -> None:
    noise = nce().noise
    assert isinstance(noise, Gaussians) and isinstance(noise, Noise)
    assert log_integral(noise.log_prob, 2, 16.0, 601) == pytest.approx(0, abs=1e-5)
    # E[r(y)] = 1 for the ratio of any density to the noise's own: here of the same mixture moved a little.
    y = noise.draw(20_000, rng)
    ratio = (noise.log_prob(y + 0.02) - noise.log_prob(y)).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 20_000**0.5


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flow that is fitted for no more than 20 steps a rate."""
    monkeypatch.setattr("ebm_cli.density.flow.MAX_STEPS", 20)
    monkeypatch.setattr("ebm_cli.density.flow.VALIDATE_EVERY", 10)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("broad", [0.0, 0.2])
def test_the_flows_density_is_that_of_its_draws_and_integrates_to_one(broad: float, rng: torch.Generator) -> None:
    noise = nce({"noise": "flow", "broad_weight": broad}).noise
    assert isinstance(noise, FlowNoise) and isinstance(noise, Noise) and not bool(noise.fitted)
    y = noise.draw(4_000, rng)
    assert bool(noise.fitted) and y.shape == (4_000, 2)
    assert log_integral(noise.log_prob, 2, 20.0, 201) == pytest.approx(0, abs=2e-3)
    ratio = (noise.log_prob(y + 0.02) - noise.log_prob(y)).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 4_000**0.5


@pytest.mark.usefixtures("quick")
def test_a_fitted_flow_is_saved_with_the_run_and_not_fitted_again(
    rng: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy, first, resumed = Quadratic([1.0, 2.0], None), nce({"noise": "flow"}), nce({"noise": "flow"})
    batch = Batch(torch.randn(50, 2, generator=rng))
    first(energy, batch, rng)
    resumed.load_state_dict(first.state_dict())
    monkeypatch.setattr("ebm_cli.objective._noise.flow.fit", None)
    losses = [objective(energy, batch, torch.Generator().manual_seed(1)).loss for objective in (first, resumed)]
    assert torch.equal(*losses)
    losses[0].backward()


def test_a_flow_without_zuko_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebm_cli.objective._noise.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"^noise=flow needs zuko: pip install 'ebm-cli\[baselines\]'$"):
        nce({"noise": "flow"})


@pytest.mark.parametrize("form", ["binary", "ranking"])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_log_z_begins_at_that_of_the_energy(form: str, temperature: float, rng: torch.Generator) -> None:
    energy, objective = Quadratic([1.0, 2.0], None), nce({"loss": form, "noise": "gaussian"}, temperature)
    outcome = objective(energy, Batch(torch.randn(20_000, 2, generator=rng)), rng)
    y = objective.noise.draw(20_000, torch.Generator().manual_seed(5))
    weights = (-energy(y) / temperature - objective.noise.log_prob(y)).exp().detach()
    error = float(weights.std() / weights.mean()) / 20_000**0.5
    assert abs(float(outcome.scalars["log_z"].detach()) - energy.log_z(temperature)) < 4 * error


def test_a_model_that_is_noise_leaves_the_loss_of_guessing(rng: torch.Generator) -> None:
    data, sampler = Gaussian(2, 0.0, 1.0, None, 0), build("sampler", "sgld")
    batch, energy = Batch(torch.randn(50, 2, generator=rng)), Quadratic([1.0, 1.0], None)
    for form, guessing in (("binary", 5 * math.log(5) - 4 * math.log(4)), ("ranking", math.log(5))):
        objective = NoiseContrastive(Normal(), 1, 0.0, 4, form, data, sampler)
        assert float(objective(energy, batch, rng).loss.detach()) == pytest.approx(guessing)


def test_log_z_and_the_noise_are_saved_with_the_run(rng: torch.Generator) -> None:
    energy, first, resumed = Quadratic([1.0, 2.0], None), nce(), nce()
    batch = Batch(torch.randn(50, 2, generator=rng))
    first(energy, batch, rng)
    with torch.no_grad():
        first.noise.means.add_(1.0)
        first.log_z.add_(1.0)
    resumed.load_state_dict(first.state_dict())
    outcomes = [objective(energy, batch, torch.Generator().manual_seed(1)) for objective in (first, resumed)]
    assert torch.equal(outcomes[0].loss, outcomes[1].loss)
    assert torch.equal(outcomes[0].scalars["log_z"], outcomes[1].scalars["log_z"])


class States(Rows):
    """Rows of a discrete space."""

    def __init__(self, x: Tensor, space: str) -> None:
        super().__init__(x)
        self.space = space


def draws(model: str, n: int, rng: torch.Generator) -> tuple[States, Sites]:
    """Independent draws of a small model, at temperature 1."""
    energy = MODELS[model]()
    sites, x = sites_and_states(energy)
    return States(
        x[torch.multinomial(probabilities(energy, 1.0), n, replacement=True, generator=rng)], sites.space
    ), sites


@pytest.mark.parametrize("kind", ["bernoulli", "bernoulli_mixture", "auto"])
@pytest.mark.parametrize("model", ["ising", "potts", "rbm"])
def test_noise_of_states_has_the_probabilities_of_its_draws(model: str, kind: str, rng: torch.Generator) -> None:
    data, sites = draws(model, 500, rng)
    noise, n = fit_noise(kind, 10, 0.2, data), 20_000
    assert isinstance(noise, SiteNoise) and isinstance(noise, Noise)
    p = noise.log_prob(sites.all_states(torch.device("cpu"), torch.float64).flatten(1)).exp()
    assert float(p.sum()) == pytest.approx(1) and float(p.min()) > 0.2 / sites.n_states
    drawn = noise.draw(n, rng).view(n, *sites.event)
    counts = torch.bincount(state_numbers(sites, drawn), minlength=sites.n_states)
    assert ((counts - n * p).abs() < 4.5 * (n * p * (1 - p)).sqrt() + 1).all()


@pytest.mark.parametrize("form", ["binary", "ranking"])
def test_the_optimum_on_states_is_the_model_of_the_data_and_its_log_z(form: str, rng: torch.Generator) -> None:
    """The mean gradient is 0 there, and not where log Z or the energy is another."""
    data, _ = draws("rbm", 50_000, rng)
    energy, sampler = MODELS["rbm"](), build("sampler", "gibbs")
    objective = NoiseContrastive("auto", 1, 0.2, 2, form, data, sampler)
    objective.begun.fill_(True)
    with torch.no_grad():
        exact = float((-energy(sites_and_states(energy)[1])).logsumexp(0))

    def significance(wanted: nn.Parameter) -> float:
        found = []
        for _ in range(50):
            loss = objective(energy, data.sample(1000, rng), rng).loss
            found.append(torch.autograd.grad(loss, wanted)[0].flatten())
        each = torch.stack(found)
        return float((each.mean(0) / (each.std(0) / 50**0.5)).abs().max())

    if objective.log_z is not None:
        objective.log_z.data.fill_(exact)
        assert significance(objective.log_z) < 4
    assert significance(energy.a) < 4
    energy.a.data += 0.3
    assert significance(energy.a) > 8


def test_noise_of_another_space_is_refused_with_what_fits(rng: torch.Generator) -> None:
    data, _ = draws("rbm", 50, rng)
    with pytest.raises(InputError, match=r"^noise must be bernoulli or bernoulli_mixture for binary states, got flow$"):
        fit_noise("flow", 10, 0.2, data)


def test_too_few_rows_for_the_mixture_are_refused() -> None:
    data, sampler = build("data", "gaussians_8", {"n": 5}), build("sampler", "sgld")
    with pytest.raises(InputError, match=r"^components must be < the 5 training rows"):
        fitted_gaussians("components", 5, data)
    NoiseContrastive("gaussian", 10, 0.2, 1, "binary", data, sampler)
