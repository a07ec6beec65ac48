"""Reverse KL: minimize the mode-seeking KL(p_θ‖p_data), with a critic that estimates log p_θ/p_data."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import NOT_PERIODIC, frozen
from ebm_cli.objective import Outcome
from ebm_cli.objective._critic import Critic, gradient_variance
from ebm_cli.objective.contrastive import ChainObjective
from ebm_cli.objective.noise_contrastive import log_mean_exp
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


class ReverseKL(ChainObjective):
    """loss = max_f E_θ[f(x)] − log E_data[exp f(x)] ≤ KL(p_θ‖p_data), with equality for f = log p_θ/p_data + const.

    Donsker and Varadhan, 1983 (Comm. Pure Appl. Math. 36, 183), in the form of Belghazi et al., 2018 (arXiv
    1801.04062), theorem 1. The critic is f = c(x) − E(x)/T. The network c estimates only log 1/p_data. This function
    stays fixed while the model changes. Critic and model are trained in alternation, the critic on model chains and new
    data.

    The gradient is a likelihood ratio, ∇_θKL = −Cov_θ(f, ∇_θE)/T (Williams, 1992). It is estimated without bias from n
    independent chains as −Σᵢ(fᵢ − mean f)∇_θE(xᵢ)/((n − 1)T); the baseline of each chain is the mean f of the others.
    At the optimum f is constant and the variance of the gradient is 0. Logs gradient_variance, summed over the
    parameters, and gradient_variance_without the baseline, with f = log p_θ/p_data. Far from the optimum the former may
    be larger, because the mean is not the best baseline, E[f‖s‖²]/E[‖s‖²] with s = ∇_θ log p_θ.

    There are three biases: the lag and capacity of the critic; the bias of the chains, like in contrastive training;
    and log mean exp over n rows, too small by about Var(exp f)/(2n E[exp f]²). The data must cover the mass of the
    model. If few rows dominate E_data[exp f], `overlap` is near 1/n and the bound is loose. dv_bound, the loss, uses
    rows and chains that the critic was not trained on; dv_bound_held_out uses the held-out samples in place of the
    batch.

    steps: kernel steps k per training step (≥ 1).
    critic: mlp, with `depth` layers (≥ 1) of `width` units (≥ 1), or quadratic (exact for Gaussian data).
    critic_steps: steps of Adam per training step (≥ 1), at rate critic_lr (> 0).
    critic_ema_decay: decay per step of the averaged critic weights that define f (in [0, 1)).
    delay_steps: initial training steps that train only the critic (≥ 0).
    """

    spaces = NOT_PERIODIC

    waited: Tensor

    def __init__(
        self,
        steps: int,
        critic: str,
        width: int,
        depth: int,
        critic_steps: int,
        critic_lr: float,
        critic_ema_decay: float,
        delay_steps: int,
        data: Data,
        sampler: Sampler,
        start: Start,
        engine: str,
    ) -> None:
        super().__init__(steps, delay_steps, sampler, start, engine)
        check.one_of("critic", critic, ("mlp", "quadratic"))
        check.count("width", width)
        check.count("depth", depth)
        check.count("critic_steps", critic_steps)
        check.positive("critic_lr", critic_lr)
        check.half_open("critic_ema_decay", critic_ema_decay)
        self.critic_steps, self.data = critic_steps, data
        self.critic = Critic(critic, width, depth, data)
        self.averaged = AveragedModel(self.critic, multi_avg_fn=get_ema_multi_avg_fn(critic_ema_decay))
        # The optimizer of the run has these parameters too, but no loss reaches them, so it does not change them.
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
        x_model, scalars = self.negative_phase(energy, batch, n, rng)
        bound, overlap = self.bound(energy, x_model, batch.x)
        self.train_critic(energy, x_model, rng)
        f = self.log_ratio(energy, x_model)
        e_data, e_model = energy(batch.x), energy(x_model)
        slope = -((f - f.mean()) * e_model).sum() / ((n - 1) * T)
        if int(self.waited) < self.delay_steps:
            self.waited += 1
            slope = 0 * slope
        with torch.no_grad():
            log_ratio = f - log_mean_exp(self.log_ratio(energy, batch.x))
        # The value is the bound, the gradient is the likelihood ratio.
        loss = bound + slope - slope.detach()
        scalars |= {"dv_bound": bound, "overlap": overlap}
        measures = {
            "dv_bound_held_out": lambda: self.bound(energy, x_model, noisy_split(self.data, "held_out", 0).x)[0],
            "gradient_variance": lambda: gradient_variance(energy, x_model, f - f.mean(), T),
            "gradient_variance_without": lambda: gradient_variance(energy, x_model, log_ratio, T),
        }
        return Outcome(loss, batch.x, e_data, x_model, e_model, batch.clean, scalars, measures)

    def log_ratio(self, energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """Return f(x) of the averaged critic, log p_θ/p_data up to a constant, without a gradient."""
        with torch.no_grad(), frozen(energy):
            return self.averaged(x) - energy(x) / self.sampler.temperature

    def bound(
        self, energy: nn.Module, x_model: Float[Tensor, "m *event"], x_data: Float[Tensor, "n *event"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return mean f(x_model) − log mean exp f(x_data), and the effective fraction of rows in the last mean."""
        f, g = self.log_ratio(energy, x_model), self.log_ratio(energy, x_data)
        return f.mean() - log_mean_exp(g), 1 / (len(g) * g.softmax(0).square().sum())

    def train_critic(self, energy: nn.Module, x_model: Float[Tensor, "n *event"], rng: torch.Generator) -> None:
        """Increase the bound, for these chains and new data at each step."""
        for _ in range(self.critic_steps):
            x_data = self.data.sample(len(x_model), rng).x
            with torch.no_grad(), frozen(energy):
                e = energy(x_data) / self.sampler.temperature
            loss = log_mean_exp(self.critic(x_data) - e) - self.critic(x_model).mean()
            self.adam.zero_grad(set_to_none=True)
            loss.backward()
            self.adam.step()
            self.averaged.update_parameters(self.critic)
