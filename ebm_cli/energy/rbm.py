"""Restricted Boltzmann machine: hidden units that are summed over make visible units depend on each other."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.data._sites import Sites

# Standard deviation of initial weights, and bounds of the rates that set initial visible biases (Hinton, 2012, "A
# practical guide to training restricted Boltzmann machines", section 8).
INITIAL_STD, MIN_RATE = 0.01, 0.01
# The largest number of units over which log Z is summed, and the number of their states per block.
MAX_ENUMERATED_UNITS, BLOCK = 25, 4096


class RBM(nn.Module):
    """E_T(v) = −aᵀ(v − μ) − T Σⱼ [log(1 + exp(cⱼ/T)) − λcⱼ/T], cⱼ = bⱼ + Wⱼᵀ(v − μ), v ∈ {0, 1}^d.

    exp(−E_T/T) is the sum over hidden units h ∈ {0, 1}^m of exp(−E(v, h)/T) with
    E(v, h) = −aᵀ(v − μ) − bᵀ(h − λ) − (v − μ)ᵀW(h − λ) (Smolensky, 1986). With offsets μ = λ = 0 this is the usual form
    −aᵀv − T Σⱼ log(1 + exp((bⱼ + Wⱼᵀv)/T)). Offsets do not change the set of models, but the gradient (Montavon and
    Müller, 2012): it becomes independent of which of the two values is called 1.

    hidden: number m of hidden units.
    centered: True for offsets μ = the mean of the training rows (½ without data) and λ = ½; False for none.
    event: shape of one state.
    data: its training rows set μ and the initial a, under which units are independent with the rows' rates.
    """

    space = "binary"
    mu: Tensor

    def __init__(self, hidden: int, centered: bool, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.count("hidden", hidden)
        self.event = event
        self.temperature = 1.0
        size = math.prod(self.event)
        rates = torch.full((size,), 0.5) if data is None else data.split("train").x.flatten(1).mean(0).cpu()
        rates = rates.to(torch.get_default_dtype()).clamp(MIN_RATE, 1 - MIN_RATE)
        self.a = nn.Parameter(rates.logit())
        self.b = nn.Parameter(torch.zeros(hidden))
        self.W = nn.Parameter(INITIAL_STD * torch.randn(size, hidden))
        self.register_buffer("mu", rates.clone() if centered else torch.zeros(size))
        self.offset = 0.5 if centered else 0.0

    def set_temperature(self, temperature: float) -> None:
        self.temperature = temperature

    def forward(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        centered, c, T = v.flatten(1) - self.mu, self.hidden_logits(v), self.temperature
        # T log(1 + exp(c/T)) is max(0, c) at T = 0.
        summed = T * softplus(c / T) if T > 0 else c.relu()
        return -centered @ self.a - (summed - self.offset * c).sum(1)

    def hidden_logits(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, "n m"]:
        """Return c = b + Wᵀ(v − μ). At temperature T, hidden unit j is 1 with probability σ(cⱼ/T)."""
        return self.b + (v.flatten(1) - self.mu) @ self.W

    def visible_logits(self, h: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        """Return a + W(h − λ). At temperature T, visible unit i is 1 with probability σ of this divided by T."""
        return (self.a + (h - self.offset) @ self.W.T).view(-1, *self.event)

    def receptive_fields(self) -> Float[Tensor, "m *event"]:
        return self.W.detach().T.reshape(-1, *self.event)

    def log_z(self, temperature: float) -> float:
        with torch.no_grad():
            return float(self.log_partition(temperature))

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Σᵥ exp(−E_T(v)/T): a sum over the states of the smaller layer, with the other in closed form.

        Raises ValueError if both layers have more than 25 units.
        """
        a, b, W, mu = (each.double() for each in (self.a, self.b, self.W, self.mu))
        size, hidden = W.shape
        if min(size, hidden) > MAX_ENUMERATED_UNITS:
            raise ValueError(f"both layers have more than {MAX_ENUMERATED_UNITS} units: {size} and {hidden}")
        offset = torch.full_like(b, self.offset)
        layers = (a, mu, W, b, offset) if size <= hidden else (b, offset, W.T, a, mu)
        sites = Sites("binary", (min(size, hidden),))
        blocks = [log_sum(x, *layers, temperature) for x in sites.blocks(BLOCK, a.device, a.dtype)]
        return torch.stack(blocks).logsumexp(0)


def log_sum(
    x: Float[Tensor, "n k"],
    own: Float[Tensor, " k"],
    own_offset: Float[Tensor, " k"],
    W: Float[Tensor, "k l"],
    other: Float[Tensor, " l"],
    other_offset: Float[Tensor, " l"],
    T: float,
) -> Float[Tensor, ""]:
    """Return the log of the sum of exp(−E/T) over these states of one layer and all states of the other layer."""
    centered = x - own_offset
    c = other + centered @ W
    return (centered @ own / T + (softplus(c / T) - other_offset * c / T).sum(1)).logsumexp(0)
