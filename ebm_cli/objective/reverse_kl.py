"""Reverse KL: minimise KL(p_θ‖p_data) with a critic that learns log p_θ/p_data, training that seeks modes."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebm_cli import check
from ebm_cli.data import Batch, Data, noised
from ebm_cli.energy import frozen
from ebm_cli.energy._network import perceptron
from ebm_cli.objective import Objective, Outcome
from ebm_cli.objective.contrastive import check_chains, negative_phase
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start

DIRECTIONS = 8


class ReverseKL(Objective):
    """loss = max_f E_θ[f(x)] − log E_data[exp f(x)] ≤ KL(p_θ‖p_data), at its best for f = log p_θ/p_data + const.

    Donsker and Varadhan, 1983 (Comm. Pure Appl. Math. 36, 183), as Belghazi et al., 2018 (arXiv 1801.04062), theorem 1,
    have it. The critic is f = c(x) − E(x)/T, so that the network c has only log 1/p_data to learn, which stays where
    it is while the model moves. It is trained in alternation, on the ends of the model's chains and fresh rows.

    The gradient is a likelihood-ratio one, ∇_θKL = −Cov_θ(f, ∇_θE)/T (Williams, 1992), estimated without bias from n
    independent chains as −Σᵢ(fᵢ − mean f)∇_θE(xᵢ)/((n − 1)T): each chain's baseline is the mean f of the others. At
    the optimum f is constant and so the gradient has no variance. Logs gradient_variance, summed over the parameters,
    beside gradient_variance_without the baseline, where f is log p_θ/p_data itself. Far from the optimum the former may
    be the larger: the mean is not the best of all baselines, E[f‖s‖²]/E[‖s‖²] with s = ∇_θ log p_θ is.

    Biases: the critic's lag and reach; the chains', as in contrastive training; log mean exp over n rows, low by about
    Var(exp f)/(2n E[exp f]²). The data must reach wherever the model has mass: with few effective rows behind
    E_data[exp f], `overlap` near 1/n, the bound says little. dv_bound, the loss, is of rows and chains that the critic
    has not seen yet; dv_bound_held_out has the held-out rows in place of the batch.

    steps: k ≥ 1 kernel steps a training step. critic: mlp, of `depth` ≥ 1 layers of `width` ≥ 1 units, or quadratic,
    with which Gaussian data are exact. critic_steps: ≥ 1 steps of Adam a training step, at rate critic_lr > 0.
    critic_average: decay in [0, 1) a step of the critic's averaged weights, which give f. wait: training steps ≥ 0 at
    first for the critic alone.
    """

    waited: Tensor

    def __init__(
        self,
        steps: int,
        critic: str,
        width: int,
        depth: int,
        critic_steps: int,
        critic_lr: float,
        critic_average: float,
        wait: int,
        data: Data,
        sampler: Sampler,
        start: Start,
        engine: str,
    ) -> None:
        super().__init__()
        check_chains(steps, sampler)
        check.one_of("critic", critic, ("mlp", "quadratic"))
        check.count("width", width)
        check.count("depth", depth)
        check.count("critic_steps", critic_steps)
        check.positive("critic_lr", critic_lr)
        check.half_open("critic_average", critic_average)
        check.count("wait", wait, least=0)
        self.steps = steps
        self.critic_steps = critic_steps
        self.wait = wait
        self.data = data
        self.sampler = sampler
        self.start = start
        self.engine = engine
        size = math.prod(data.event)
        # Only its differences matter, so that its last layer has no bias.
        net = QuadraticForm(size) if critic == "quadratic" else perceptron(size, width, depth, 1, bias=False)
        self.critic = Critic(net, data)
        self.averaged = AveragedModel(self.critic, multi_avg_fn=get_ema_multi_avg_fn(critic_average))
        # The run's optimizer is given these parameters too; as no loss reaches them, it leaves them alone.
        self.adam = torch.optim.Adam(self.critic.parameters(), lr=critic_lr)
        self.register_buffer("waited", torch.zeros((), dtype=torch.int64))

    def get_extra_state(self) -> dict[str, Any]:
        return self.adam.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.adam.load_state_dict(state)

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        n, T = len(batch.x), self.sampler.temperature
        if n < 2:
            raise check.InputError("trainer.batch_size must be >= 2 for objective=reverse_kl, got 1")
        x_model, scalars = negative_phase(self.sampler, self.start, self.steps, energy, batch, n, rng, self.engine)
        bound, overlap = self.bound(energy, x_model, batch.x)
        self.train_critic(energy, x_model, rng)
        f = self.log_ratio(energy, x_model)
        e_data, e_model = energy(batch.x), energy(x_model)
        slope = -((f - f.mean()) * e_model).sum() / ((n - 1) * T)
        if int(self.waited) < self.wait:
            self.waited += 1
            slope = 0 * slope
        with torch.no_grad():
            log_ratio = f - log_mean_exp(self.log_ratio(energy, batch.x))
        return Outcome(
            # The value is the bound, the gradient the likelihood-ratio one.
            loss=bound + slope - slope.detach(),
            x_data=batch.x,
            e_data=e_data,
            x_model=x_model,
            e_model=e_model,
            clean=batch.clean,
            scalars=scalars | {"dv_bound": bound, "overlap": overlap},
            measures={
                "dv_bound_held_out": lambda: self.bound(energy, x_model, noised(self.data, "held_out", 0).x)[0],
                "gradient_variance": lambda: gradient_variance(energy, x_model, f - f.mean(), T),
                "gradient_variance_without": lambda: gradient_variance(energy, x_model, log_ratio, T),
            },
        )

    def log_ratio(self, energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """f(x) of the averaged critic, log p_θ/p_data up to a constant, without a gradient."""
        with torch.no_grad(), frozen(energy):
            return self.averaged(x) - energy(x) / self.sampler.temperature

    def bound(
        self, energy: nn.Module, x_model: Float[Tensor, "m *event"], x_data: Float[Tensor, "n *event"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """mean f(x_model) − log mean exp f(x_data), and the share of the rows that its last mean effectively has."""
        f, g = self.log_ratio(energy, x_model), self.log_ratio(energy, x_data)
        return f.mean() - log_mean_exp(g), 1 / (len(g) * g.softmax(0).square().sum())

    def train_critic(self, energy: nn.Module, x_model: Float[Tensor, "n *event"], rng: torch.Generator) -> None:
        """Ascend the bound, these chains and fresh rows at each step."""
        for _ in range(self.critic_steps):
            x_data = self.data.sample(len(x_model), rng).x
            with torch.no_grad(), frozen(energy):
                e = energy(x_data) / self.sampler.temperature
            loss = log_mean_exp(self.critic(x_data) - e) - self.critic(x_model).mean()
            self.adam.zero_grad(set_to_none=True)
            loss.backward()
            self.adam.step()
            self.averaged.update_parameters(self.critic)


class Critic(nn.Module):
    """c(z) with z the state, flattened, in units of the training rows' own mean and spread."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, data: Data) -> None:
        super().__init__()
        rows = noised(data, "train", 0).x.flatten(1)
        self.register_buffer("mean", rows.mean(0))
        # One spread for all: a coordinate that hardly varies must not be blown up.
        self.register_buffer("std", rows.var(0).mean().sqrt())
        self.net = net

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.net((x.flatten(1) - self.mean) / self.std).squeeze(1)


class QuadraticForm(nn.Module):
    """½zᵀAz + bᵀz, from 0 on."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.A = nn.Parameter(torch.zeros(size, size))
        self.b = nn.Parameter(torch.zeros(size))

    def forward(self, z: Float[Tensor, "n size"]) -> Float[Tensor, "n 1"]:
        return (0.5 * (z @ self.A * z) + z * self.b).sum(1, keepdim=True)


def log_mean_exp(f: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """log of the mean of exp f."""
    return f.logsumexp(0) - math.log(len(f))


def gradient_variance(
    energy: nn.Module, x: Float[Tensor, "n *event"], f: Float[Tensor, " n"], T: float
) -> Float[Tensor, ""]:
    """Σ over parameters of Var(f·s)/n, s = −(∇_θE − mean ∇_θE)/T: of the mean of n independent terms.

    From derivatives along a few random directions v of signs ±1, the same each time, as E[(vᵀa)²] = ‖a‖².
    """
    parameters = [p for p in energy.parameters() if p.requires_grad]
    rng = torch.Generator(x.device).manual_seed(0)
    weight = torch.ones_like(f, requires_grad=True)
    grads = torch.autograd.grad((weight * energy(x)).sum(), parameters, create_graph=True, materialize_grads=True)
    terms = []
    for _ in range(DIRECTIONS):
        signs = [2 * torch.randint(2, g.shape, generator=rng, device=g.device).to(g.dtype) - 1 for g in grads]
        along = torch.stack([(g * v).sum() for g, v in zip(grads, signs, strict=True)]).sum()
        (each,) = torch.autograd.grad(along, weight, retain_graph=True)
        terms.append(f * (each.mean() - each) / T)
    return torch.stack(terms).var(1).mean() / len(f)
