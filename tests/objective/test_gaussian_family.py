"""Zero-mean Gaussians with one precision per coordinate: every objective reaches its optimum within its own errors.

E(x) = ½Σᵢaᵢxᵢ², data N(0, diag(s²)), T = 1. Each test minimises the loss over one sample of n rows and asks how many
of the estimator's asymptotic standard errors the minimiser lies from the population's. Estimators that minimise a
sample mean of ℓ have the variance H⁻¹VH⁻¹/n, H the mean second derivative of ℓ and V the variance of the first.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.data import Batch
from ebm_cli.data._synthetic import SyntheticData
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.objective import Objective
from ebm_cli.objective.denoising_score_matching import DenoisingScoreMatching
from ebm_cli.objective.noise_contrastive import NoiseContrastive
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")

SIZES = pytest.mark.parametrize(
    ("d", "n"),
    [(1, 5_000), (2, 5_000), (8, 5_000), *(pytest.param(d, 100_000, marks=pytest.mark.slow) for d in (1, 2, 8))],
)
SIGMA, RATIO = 0.6, 3


class Diagonal(SyntheticData):
    """N(0, diag(s²)) with s from 0.7 to 1.5."""

    def __init__(self, d: int) -> None:
        super().__init__(None, 0)
        self.event, self.noise, self.s = (d,), 0.0, torch.linspace(0.7, 1.5, d)

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        return Batch(self.s * torch.randn(n, *self.event, generator=rng))

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * (x / self.s).square().sum(1) - self.s.log().sum() - 0.5 * x.shape[1] * math.log(2 * math.pi)


class Hidden(nn.Module):
    """The quadratic without its closed forms."""

    def __init__(self, inner: Quadratic) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def make(name: str, data: SyntheticData, **changes: object) -> Objective:
    sampler = build("sampler", "sgld")
    return build("objective", name, changes, data=data, sampler=sampler, event=data.event)


def minimised(objective: Objective, batch: Batch, hidden: bool = False) -> Tensor:
    """a at the lowest loss of one sample, random numbers held; log Z goes along where it is learned."""
    energy = Quadratic((0.9 / batch.x.square().mean(0)).tolist(), None)
    model = Hidden(energy) if hidden else energy
    objective(model, batch, torch.Generator().manual_seed(7))
    parameters = [*energy.parameters(), *objective.parameters()]
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=60, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = objective(model, batch, torch.Generator().manual_seed(7)).loss
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    assert max(float(p.grad.abs().max()) for p in parameters) < 1e-6
    return energy.a.detach()


def assert_within(found: Tensor, true: Tensor, variance: Tensor) -> None:
    assert (variance.sqrt() < 0.2 * true.abs().clamp(min=1)).all()
    assert ((found - true).abs() < 4 * variance.sqrt()).all(), (found - true) / variance.sqrt()


@SIZES
@pytest.mark.parametrize("name", ["exact", "score_matching", "sliced_score_matching"])
def test_the_optimum_is_the_maximum_likelihood_estimate_on_the_very_sample(name: str, d: int, n: int) -> None:
    data = Diagonal(d)
    batch = data.draw(n, torch.Generator().manual_seed(d))
    found, estimate = minimised(make(name, data), batch), 1 / batch.x.square().mean(0)
    torch.testing.assert_close(found, estimate, rtol=1e-5, atol=0)
    a = data.s**-2
    assert_within(found, a, 2 * a**2 / n)


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_on_the_grid_as_well(d: int) -> None:
    data = Diagonal(d)
    batch = data.draw(5_000, torch.Generator().manual_seed(d))
    objective = make("exact", data, tolerance=1e-6, grid_points=65 if d == 2 else None)
    torch.testing.assert_close(
        minimised(objective, batch, hidden=True), 1 / batch.x.square().mean(0), rtol=1e-5, atol=0
    )


@SIZES
def test_without_variance_reduction_sliced_score_matching_scatters_as_its_docstring_says(d: int, n: int) -> None:
    data = Diagonal(d)
    batch, a = data.draw(n, torch.Generator().manual_seed(d)), data.s**-2
    found = minimised(make("sliced_score_matching", data, variance_reduced=False), batch)
    # u = x∘v: δaᵢ = −aᵢ·mean uᵢΣⱼaⱼuⱼ, whose variance a row is sᵢ²Σⱼaⱼ + 1.
    assert_within(found, a, a**2 * (data.s**2 * a.sum() + 1) / n)


@SIZES
def test_denoising_comes_to_the_noised_law(d: int, n: int) -> None:
    data = Diagonal(d)
    objective = DenoisingScoreMatching(SIGMA, data, build("sampler", "sgld"))
    found = minimised(objective, data.draw(n, torch.Generator().manual_seed(d)))
    # ℓ' = −σ·x̃(ξ − σax̃) has variance σ²s², ℓ'' = σ²x̃² the mean σ²τ².
    tau = data.s**2 + SIGMA**2
    assert_within(found, 1 / tau, data.s**2 / (SIGMA**2 * tau**2 * n))


@SIZES
@pytest.mark.parametrize("noise", ["gaussian", "mixture"])
def test_noise_contrastive_comes_to_the_true_precisions_and_the_true_log_z(noise: str, d: int, n: int) -> None:
    data = Diagonal(d)
    objective = make("noise_contrastive", data, noise=noise, components=3, ratio=RATIO)
    assert isinstance(objective, NoiseContrastive) and objective.log_z is not None
    a = minimised(objective, data.draw(n, torch.Generator().manual_seed(d)))
    found = torch.cat([a, objective.log_z.detach()[None]])
    true = torch.cat([data.s**-2, (data.s.log().sum() + 0.5 * d * math.log(2 * math.pi))[None]])
    # Gutmann and Hyvärinen, 2012, theorem 3: I⁻¹ − (1 + 1/ν)·I⁻¹ E[P g] E[P g]ᵀ I⁻¹, I = E[P g gᵀ] over data.
    x = data.draw(40_000, torch.Generator().manual_seed(99)).x
    g = torch.cat([-0.5 * x.square(), -torch.ones(len(x), 1)], 1)
    P = torch.sigmoid(objective.noise.log_prob(x) + math.log(RATIO) - data.log_prob(x))[:, None]
    inverse, m = torch.linalg.inv((P * g).T @ g / len(x)), (P * g).mean(0)
    covariance = inverse - (1 + 1 / RATIO) * torch.outer(inverse @ m, inverse @ m)
    assert_within(found, true, covariance.diagonal() / n)


@SIZES
def test_the_ranking_form_comes_to_the_true_precisions(d: int, n: int) -> None:
    data = Diagonal(d)
    objective = make("noise_contrastive", data, noise="gaussian", ratio=RATIO, loss="ranking")
    assert isinstance(objective, NoiseContrastive)
    found = minimised(objective, data.draw(n, torch.Generator().manual_seed(d)))
    # A likelihood of which row is data: the inverse of the mean covariance of ∂s/∂a under the shares that s gives.
    rng = torch.Generator().manual_seed(99)
    x, y = data.draw(20_000, rng).x, objective.noise.draw(20_000 * RATIO, rng)
    rows = torch.cat([x[:, None], y.view(len(x), RATIO, d)], 1)
    flat = rows.view(-1, d)
    shares = (data.log_prob(flat) - objective.noise.log_prob(flat)).view(len(x), -1).softmax(1)
    g = -0.5 * rows.square()
    centred = g - (shares[..., None] * g).sum(1, keepdim=True)
    information = torch.einsum("nk,nki,nkj->ij", shares, centred, centred) / len(x)
    assert_within(found, data.s**-2, torch.linalg.inv(information).diagonal() / n)


@pytest.mark.parametrize("kernel", ["mala", "sgld"])
@pytest.mark.parametrize(
    ("d", "n", "blocks"), [(2, 2_000, 8), *(pytest.param(d, 100_000, 16, marks=pytest.mark.slow) for d in (1, 2, 8))]
)
def test_contrastive_comes_to_where_its_chains_have_the_datas_variance(
    kernel: str, d: int, n: int, blocks: int
) -> None:
    """With an exact kernel that is the maximum-likelihood estimate, with SGLD the root of (1/a)/(1 − aη/2) = m."""
    data, η, length = Diagonal(d), 0.2, 30
    batch = data.draw(n, torch.Generator().manual_seed(d))
    m = batch.x.square().mean(0)
    target = 1 / m if kernel == "mala" else (1 - (1 - 2 * η / m).sqrt()) / η
    sampler = build("sampler", kernel, {"step_size": η})
    start = build("start", "replay", {"size": n, "restart": 0.0}, event=(d,))
    objective = build("objective", "contrastive", {"steps": 2}, sampler=sampler, start=start, engine="eager")
    energy, rng = Quadratic(target.tolist(), None), torch.Generator().manual_seed(3)
    path = []
    for _ in range((blocks + 2) * length):
        (grad,) = torch.autograd.grad(objective(energy, batch, rng).loss, energy.a)
        with torch.no_grad():
            # ∂²/∂a² of the likelihood is 1/(2a²): every coordinate is forgotten in ten steps, a third of a block.
            energy.a.sub_(0.1 * 2 * target**2 * grad)
        path.append(energy.a.detach().clone())
    means = torch.stack(path[2 * length :]).view(blocks, length, d).mean(1)
    assert_within(means.mean(0), target, means.var(0) / blocks)
