"""Reverse KL: the bound against closed forms, an unbiased gradient with less variance, and mode seeking."""

import math
from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._synthetic import SyntheticData
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy._capabilities import ExactDraws
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.energy.shifted_quadratic import ShiftedQuadratic
from ebm_cli.objective import Objective
from ebm_cli.objective._critic import QuadraticForm
from ebm_cli.objective.reverse_kl import ReverseKL
from ebm_cli.run.checkpoint import read_checkpoint, write_checkpoint
from ebm_cli.start import InitialStates
from tests.contract import build

HALF = 3.0


class Exact:
    """Chains start at exact draws from the model. Therefore they are independent and follow it."""

    def __init__(self, energy: nn.Module, temperature: float) -> None:
        self.energy = energy
        self.temperature = temperature

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:
        assert isinstance(self.energy, ExactDraws)
        return InitialStates(self.energy.draw(n, self.temperature, rng), torch.zeros(n, dtype=torch.int64), None)

    def keep(self, begun: InitialStates, x: Tensor, steps: int) -> None:
        pass


class TwoModes(SyntheticData):
    """½N(−3e₁, I) + ½N(3e₁, I)."""

    def __init__(self, dim: int = 1) -> None:
        super().__init__(None, 0)
        self.event = (dim,)
        self.noise = 1.0

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        mean = torch.zeros(n, *self.event)
        mean[:, 0] = HALF * (2.0 * torch.randint(2, (n,), generator=rng) - 1)
        return Batch(mean + torch.randn(n, *self.event, generator=rng), clean=mean)


def exact_chains(
    energy: nn.Module, data: SyntheticData, changes: dict[str, object], temperature: float = 1.0
) -> ReverseKL:
    sampler = build("sampler", "mala", {"step_size": 0.5, "temperature": temperature})
    start = Exact(energy, temperature)
    changes = {"steps": 1, "delay_steps": 0} | changes
    return build("objective", "reverse_kl", changes, data=data, sampler=sampler, start=start, engine="eager")


def persistent(data: SyntheticData, changes: dict[str, object] | None = None) -> ReverseKL:
    sampler = build("sampler", "mala", {"step_size": 0.5})
    start = build("start", "replay", {"size": 1024, "restart": 0.0}, event=data.event)
    changes = {"steps": 5, "width": 32, "critic_lr": 1e-2, "delay_steps": 20} | (changes or {})
    return build("objective", "reverse_kl", changes, data=data, sampler=sampler, start=start, engine="eager")


def optimal(objective: ReverseKL) -> None:
    """The critic whose f is log p_θ/p_data up to a constant, for data of N(0, I)."""
    mean, std = objective.critic.mean, objective.critic.std
    for critic in (objective.critic, objective.averaged.module):
        form = critic.net
        assert isinstance(form, QuadraticForm)
        with torch.no_grad():
            form.A.copy_(std**2 * torch.eye(len(mean)))
            form.b.copy_(std * mean)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_is_that_of_the_kl_and_its_variance_the_one_that_is_logged(temperature: float) -> None:
    energy, data = ShiftedQuadratic([2.0], None), Gaussian(1, 0.0, 1.0, None, 0)
    changes: dict[str, object] = {"critic": "quadratic", "critic_steps": 1, "critic_lr": 1e-300}
    objective = exact_chains(energy, data, changes, temperature)
    rng, repeats = torch.Generator().manual_seed(1), 150
    optimal(objective)
    gradients, logged = [], []
    for _ in range(repeats):
        outcome = objective(energy, data.sample(100, rng), rng)
        gradients.append(torch.autograd.grad(outcome.loss, energy.theta)[0])
        logged.append([outcome.measures[f"gradient_variance{which}"]() for which in ("", "_without")])
    found, (own, without) = torch.cat(gradients), torch.tensor(logged).T
    # KL(N(θ, T)‖N(0, 1)) = ½θ² + a function of T.
    assert abs(float(found.mean() - energy.theta.detach())) < 4 * float(found.std()) / repeats**0.5
    squares = (found - found.mean()).square()
    error = (float(squares.var() + own.var()) / repeats) ** 0.5
    assert abs(float(squares.mean() - own.mean())) < 4 * error
    assert own.mean() < 0.9 * without.mean()


def kl_case(kind: str, d: int, kl: float) -> tuple[nn.Module, float]:
    """A Gaussian shifted from N(0, I), or narrower than it, and its own KL to that."""
    if kind == "shifted":
        return ShiftedQuadratic([(2 * kl / d) ** 0.5] * d, None), kl
    # ½d(v − 1 − log v) = kl on v < 1, a fixed point that attracts.
    v = 0.1
    for _ in range(200):
        v = math.exp(v - 1 - 2 * kl / d)
    return Quadratic([1 / v] * d, None), 0.5 * d * (v - 1 - math.log(v))


def assert_bound_is_kl(kind: str, d: int, kl: float, changes: dict[str, object], steps: int) -> None:
    energy, exact = kl_case(kind, d, kl)
    data, rng = Gaussian(d, 0.0, 1.0, None, 0), torch.Generator().manual_seed(3)
    objective = exact_chains(energy, data, changes)
    for _ in range(steps):
        objective(energy, data.sample(1024, rng), rng)
    assert isinstance(energy, ExactDraws)
    found, _ = objective.bound(energy, energy.draw(1_000_000, 1.0, rng), data.sample(1_000_000, rng).x)
    assert float(found) == pytest.approx(exact, rel=0.02)


def test_the_bound_is_the_kl_of_two_gaussians_within_two_percent() -> None:
    assert_bound_is_kl("shifted", 2, 0.5, {"critic": "quadratic", "critic_lr": 2e-2}, 80)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["shifted", "narrow"])
@pytest.mark.parametrize("d", [1, 2, 8])
@pytest.mark.parametrize("kl", [0.5, 1.0, 2.0])
def test_the_bound_is_the_kl_in_one_two_and_eight_dimensions(kind: str, d: int, kl: float) -> None:
    assert_bound_is_kl(kind, d, kl, {"critic": "quadratic", "critic_lr": 2e-2}, 200)


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 8])
@pytest.mark.parametrize("kl", [0.5, 2.0])
def test_the_bound_of_a_network_is_the_kl_too(d: int, kl: float) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert_bound_is_kl("shifted", d, kl, {"critic_lr": 5e-3, "critic_ema_decay": 0.995}, 300)


def fit(energy: nn.Module, objective: Objective, data: SyntheticData, seed: int, steps: int) -> None:
    rng, optimizer = torch.Generator().manual_seed(seed), torch.optim.Adam(energy.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(energy, data.sample(256, rng), rng).loss.backward()
        optimizer.step()
        schedule.step()


def begun_between(kind: str, seed: int) -> ShiftedQuadratic | GaussianMixture:
    """A Gaussian near the midpoint: with its mean free on the line, with mean and scale free in the plane.

    On the line the broad Gaussian between the modes is a minimum of reverse KL itself once the scale is free: its mean
    leaves the midpoint only while σ < 0.8·3, and there the best σ is larger.
    """
    mean = (0.1 * torch.randn(2, generator=torch.Generator().manual_seed(seed))).tolist()
    return ShiftedQuadratic(mean[:1], None) if kind == "mean" else GaussianMixture([mean], [1.0], [1.0])


def mean_of(energy: ShiftedQuadratic | GaussianMixture) -> Tensor:
    return (energy.theta if isinstance(energy, ShiftedQuadratic) else energy.means[0]).detach()


def assert_seeks_a_mode(kind: str, seed: int, steps: int) -> None:
    energy = begun_between(kind, seed)
    data = TwoModes(len(mean_of(energy)))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        objective = persistent(data)
    fit(energy, objective, data, seed, steps)
    mode = torch.zeros(len(mean_of(energy)))
    mode[0] = HALF
    assert float((mean_of(energy) * mean_of(energy)[0].sign() - mode).norm()) < 0.05 * 2 * HALF, seed


def test_the_models_mean_ends_at_a_mode() -> None:
    assert_seeks_a_mode("mean", 2, 180)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mean", "mean and scale"])
@pytest.mark.parametrize("seed", range(10))
def test_the_models_mean_ends_at_a_mode_from_every_seed(kind: str, seed: int) -> None:
    assert_seeks_a_mode(kind, seed, 300)


@pytest.mark.parametrize("seed", range(10))
def test_forward_kl_ends_between_the_modes(seed: int) -> None:
    energy, data = begun_between("mean", seed), TwoModes()
    objective = build("objective", "exact", event=(1,), data=data, sampler=build("sampler", "sgld"))
    fit(energy, objective, data, seed, 100)
    assert float(mean_of(energy).norm()) < 0.05 * 2 * HALF


def test_the_critic_and_its_optimizer_go_on_on_the_same_bits(tmp_path: Path, rng: torch.Generator) -> None:
    data, energy = TwoModes(), ShiftedQuadratic([0.5], None)
    first, resumed = persistent(data), persistent(data)
    batch = data.sample(64, rng)
    first(energy, batch, rng)
    write_checkpoint(tmp_path, {"objective": dict(first.state_dict())})
    resumed.load_state_dict(read_checkpoint(tmp_path)["objective"])
    for seed in range(2):
        outcomes = [objective(energy, batch, torch.Generator().manual_seed(seed)) for objective in (first, resumed)]
        assert torch.equal(outcomes[0].loss, outcomes[1].loss)
    for own, other in zip(first.critic.parameters(), resumed.critic.parameters(), strict=True):
        assert torch.equal(own, other)


def test_the_model_waits_until_the_critic_has_had_its_steps(rng: torch.Generator) -> None:
    data, energy = TwoModes(), ShiftedQuadratic([0.5], None)
    objective = persistent(data, {"delay_steps": 2})
    slopes: list[Float[Tensor, " 1"]] = []
    for _ in range(3):
        before = [p.clone() for p in objective.critic.parameters()]
        loss = objective(energy, data.sample(64, rng), rng).loss
        slopes += torch.autograd.grad(loss, energy.theta)
        moved = [not torch.equal(a, b) for a, b in zip(before, objective.critic.parameters(), strict=True)]
        assert all(moved)
    assert [bool((slope != 0).any()) for slope in slopes] == [False, False, True]


def test_one_row_a_step_has_no_covariance_and_is_refused(rng: torch.Generator) -> None:
    data = TwoModes()
    with pytest.raises(InputError, match=r"^trainer\.batch_size must be >= 2"):
        persistent(data)(ShiftedQuadratic([0.5], None), data.sample(1, rng), rng)
