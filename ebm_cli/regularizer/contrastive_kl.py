"""The dependence of the chains on the energy, a term that contrastive divergence omits from its gradient."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import CONTINUOUS
from ebm_cli.energy._score import differentiable_grad
from ebm_cli.objective import Outcome
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.nuts import NUTS
from ebm_cli.sampler.underdamped import Underdamped


class ContrastiveKL:
    """weight · KL(q_θ‖p_θ̄) up to a constant: weight · (mean E_θ̄(x(θ))/T − H(x(θ))), θ̄ held fixed.

    x(θ) = x_model − η∇E_θ(x_model) + √(2ηT) ξ is one further Langevin step, through which the gradient flows; H is
    Kozachenko and Leonenko's estimate of the entropy from nearest neighbors, d·mean log ε + const. The term and its
    one differentiated step are eq. 5 of Du et al., 2021 (arXiv 2012.01316). With their weight 1 it trains an energy
    whose chains converge. The exact gradient of KL(p_data‖p_θ) − KL(q_θ‖p_θ) has the same term with weight −1 (Hinton,
    2002, Neural Computation 14, 1771, eq. 5, with the whole chain differentiated). That sign rewards chains that do not
    converge, and is useful only for checks.

    weight: factor of the term (not 0).
    sampler: a sampler with Langevin steps. Its temperature is T, its step_size is η.

    Raises InputError for an objective without chains.
    """

    spaces = CONTINUOUS
    needs_chains = True

    def __init__(self, weight: float, sampler: Sampler) -> None:
        check.number("weight", weight)
        if weight == 0:
            raise InputError("weight must not be 0")
        step_size = getattr(sampler, "step_size", None)
        if not isinstance(step_size, float | int) or isinstance(sampler, Underdamped | HMC | NUTS):
            raise InputError("weight needs a Langevin step to act through: use sampler=sgld, mala, sghmc or jump_mala")
        check.positive("temperature of the sampler", sampler.temperature)
        self.weight = weight
        # This is the sampler of the run. If training lowers its step size, the step size of this term is lowered too.
        self.sampler = sampler

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]:
        if outcome.x_model is None or len(outcome.x_model) < 2:
            raise InputError(
                "regularizer contrastive_kl needs an objective with two chains or more from the first step on"
            )
        η, T = getattr(self.sampler, "step_size"), self.sampler.temperature  # noqa: B009
        before, _, grad = differentiable_grad(energy, outcome.x_model)
        x = before.detach() - η * grad + (2 * η * T) ** 0.5 * normal_like(before, rng)
        fixed = {name: p.detach() for name, p in energy.named_parameters()}
        e = functional_call(energy, fixed, (x,))
        return self.weight * (e.mean() / T - entropy(x.flatten(1)))


def entropy(x: Float[Tensor, "n size"]) -> Float[Tensor, ""]:
    """Return d·mean log εᵢ + log V_d + ψ(n) − ψ(1) in nats.

    εᵢ is the distance to the nearest other state and V_d the volume of the unit ball. Kozachenko and Leonenko, 1987;
    consistent. For equal states εᵢ is the smallest number of their type. Thus the estimate stays finite.
    """
    n, d = x.shape
    square = torch.cdist(x.detach(), x.detach()).fill_diagonal_(math.inf)
    nearest = x[square.argmin(1)]
    tiny = torch.finfo(x.dtype).tiny
    ε = (x - nearest).square().sum(1).clamp(min=tiny).sqrt()
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    count = torch.digamma(torch.tensor(float(n))) - torch.digamma(torch.tensor(1.0))
    return d * ε.log().mean() + log_ball + float(count)
