"""Neal's funnel: a neck so narrow and a mouth so wide that no single step size fits both."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.rng import normal_like


class Funnel(nn.Module):
    """E(x) = x₁²/(2s²) + ½ Σ_{i>1} (xᵢ² e^{−x₁} + x₁). At T = 1, x₁ ~ N(0, s²) and xᵢ | x₁ ~ N(0, e^{x₁}).

    Neal, 2003 (Annals of Statistics 31, 705), section 8, with s = 3 and d = 10. At any T, xᵢ | x₁ ~ N(0, T e^{x₁})
    and x₁ ~ N(m, s²T) with m = s²(d − 1)(T − 1)/2, by completing the square. Hence
    log Z(T) = ½ log(2πs²T) + (d − 1)/2·log(2πT) + m²/(2s²T).

    spread: standard deviation s of x₁ (> 0).
    event: (d,) with d ≥ 2; 10-D by default.
    """

    def __init__(self, spread: float, event: tuple[int, ...] | None) -> None:
        super().__init__()
        check.positive("spread", spread)
        self.event = event or (10,)
        if math.prod(self.event) < 2:
            raise check.InputError(f"event must have at least 2 coordinates for a funnel, got {list(self.event)}")
        self.log_spread = nn.Parameter(torch.tensor(float(spread)).log())

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        first, rest = x.flatten(1)[:, :1], x.flatten(1)[:, 1:]
        neck = first.square() * (-2 * self.log_spread).exp()
        return 0.5 * (neck + (rest.square() * (-first).exp() + first).sum(1, keepdim=True)).squeeze(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        first, rest = x.flatten(1)[:, :1], x.flatten(1)[:, 1:]
        precision, narrow = (-2 * self.log_spread).exp(), (-first).exp()
        squares = (rest.square() * narrow).sum(1, keepdim=True)
        others = rest.shape[1]
        e = 0.5 * (first.square() * precision + squares + others * first).squeeze(1)
        slope = first * precision - 0.5 * squares + 0.5 * others
        return e, torch.cat([slope, rest * narrow], 1).view(x.shape)

    def log_z(self, temperature: float) -> float:
        T, s2, others = temperature, self._variance(), math.prod(self.event) - 1
        square = self._mean(T) ** 2 / (2 * s2 * T)
        return 0.5 * math.log(2 * math.pi * s2 * T) + 0.5 * others * math.log(2 * math.pi * T) + square

    def moments(self, temperature: float) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]:
        T, s2, m = temperature, self._variance(), self._mean(temperature)
        mean, variance = torch.zeros(math.prod(self.event)), torch.full((math.prod(self.event),), T)
        mean[0], variance[0] = m, s2 * T
        variance[1:] *= math.exp(m + 0.5 * s2 * T)
        like = self.log_spread.detach()
        return mean.view(self.event).to(like), variance.view(self.event).to(like)

    def draw(self, n: int, temperature: float, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        T = temperature
        ξ = normal_like(self.log_spread.detach().expand(n, math.prod(self.event)), rng)
        first = self._mean(T) + (self._variance() * T) ** 0.5 * ξ[:, :1]
        return torch.cat([first, (0.5 * first).exp() * T**0.5 * ξ[:, 1:]], 1).view(n, *self.event)

    def _variance(self) -> float:
        return float((2 * self.log_spread.detach().double()).exp())

    def _mean(self, temperature: float) -> float:
        """Return the mean of x₁."""
        return 0.5 * self._variance() * (math.prod(self.event) - 1) * (temperature - 1)
