"""Restricted Boltzmann machine: hidden units that are summed over make visible units depend on each other."""

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.energy._joint_rbm import JointRBM
from ebm_cli.energy._layer_sum import layer_log_z
from ebm_cli.energy._units import draw_units, free_energy

# Standard deviation of initial weights, and bounds of the rates that set initial visible biases (Hinton, 2012, "A
# practical guide to training restricted Boltzmann machines", section 8).
INITIAL_STD, MIN_RATE = 0.01, 0.01
# λ of hidden units in a centered machine.
CENTERED_OFFSET = 0.5


class RBM(nn.Module):
    """E_T(v) = −aᵀ(v − μ) − T Σⱼ [log(1 + exp(cⱼ/T)) − λcⱼ/T], cⱼ = bⱼ + Wⱼᵀ(v − μ), v ∈ {0, 1}^d.

    exp(−E_T/T) is the sum over hidden units h ∈ {0, 1}^m of exp(−E(v, h)/T) with
    E(v, h) = −aᵀ(v − μ) − bᵀ(h − λ) − (v − μ)ᵀW(h − λ) (Smolensky, 1986). With offsets μ = λ = 0 this is the usual form
    −aᵀv − T Σⱼ log(1 + exp((bⱼ + Wⱼᵀv)/T)). Offsets do not change the set of models, but the gradient (Montavon and
    Müller, 2012): it becomes independent of which of the two values is called 1.

    hidden: number m of hidden units.
    centered: True for offsets μ = the mean of the training rows (½ without data) and λ = ½; False for none.
    joint: True for the energy E(v, h) of states (v, h), a `JointRBM`, for which there are no rows to train on. That of
        a trained machine is `load_run(RUN).energy.joint()`.
    event: shape of one state; [d + m] for joint states.
    data: its training rows set μ and the initial a, under which units are independent with the rows' rates.
    """

    space = "binary"
    mu: Tensor

    def __init__(self, hidden: int, centered: bool, joint: bool, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.count("hidden", hidden)
        self.event = event
        self.temperature = 1.0
        size = visible_units(event, hidden, data) if joint else math.prod(event)
        rates = initial_rates(size, data)
        self.a = nn.Parameter(rates.logit())
        self.b = nn.Parameter(torch.zeros(hidden))
        self.W = nn.Parameter(INITIAL_STD * torch.randn(size, hidden))
        self.register_buffer("mu", rates.clone() if centered else torch.zeros(size))
        self.offset = CENTERED_OFFSET if centered else 0.0
        if joint:
            # Both classes have the same parameters. The class decides what an energy offers.
            cast(Any, self).__class__ = JointRBM

    def set_temperature(self, temperature: float) -> None:
        self.temperature = temperature

    def forward(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        visible = -(v.flatten(1) - self.mu) @ self.a
        return visible + free_energy(self.hidden_logits(v), self.offset, self.temperature)

    def hidden_logits(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, "n m"]:
        """Return c = b + Wᵀ(v − μ). At temperature T, hidden unit j is 1 with probability σ(cⱼ/T)."""
        return self.b + (v.flatten(1) - self.mu) @ self.W

    def draw_hidden_units(
        self, v: Float[Tensor, "n *event"], temperature: float, rng: torch.Generator
    ) -> Float[Tensor, "n m"]:
        return draw_units(self.hidden_logits(v), temperature, rng)

    def visible_logits(self, h: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        """Return a + W(h − λ). At temperature T, visible unit i is 1 with probability σ of this divided by T."""
        return (self.a + (h - self.offset) @ self.W.T).view(-1, *self.event)

    def receptive_fields(self) -> Float[Tensor, "m *event"]:
        return self.W.detach().T.reshape(-1, *self.event)

    def joint(self) -> JointRBM:
        """Return E(v, h), with the same parameters."""
        return JointRBM(self.a, self.b, self.W, self.mu, self.offset)

    def log_z(self, temperature: float) -> float:
        with torch.no_grad():
            return float(self.log_partition(temperature))

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Σᵥ exp(−E_T(v)/T). Raises ValueError if both layers have more than 25 units."""
        return layer_log_z(self.a, self.b, self.W, self.mu, self.offset, temperature)


def visible_units(event: tuple[int, ...], hidden: int, data: Data | None) -> int:
    """Return the number of visible units of states (v, h). Raises InputError for rows, and for another shape."""
    if data is not None:
        raise InputError(
            "joint=true has states of visible and hidden units, and rows have visible units only. Type joint=false, or "
            "leave data out"
        )
    if len(event) != 1 or event[0] <= hidden:
        raise InputError(
            f"joint=true needs event=[D], D the number of all units, more than hidden={hidden}; got event={list(event)}"
        )
    return event[0] - hidden


def initial_rates(size: int, data: Data | None) -> Float[Tensor, " size"]:
    """Return the mean of the training rows, away from 0 and 1; ½ without rows."""
    rates = torch.full((size,), 0.5) if data is None else data.split("train").x.flatten(1).mean(0).cpu()
    return rates.to(torch.get_default_dtype()).clamp(MIN_RATE, 1 - MIN_RATE)
