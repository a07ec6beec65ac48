"""Deep Boltzmann machine: two layers of hidden units, of which the first is between the visible and the top layer."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.data._sites import Sites
from ebm_cli.energy._joint_rbm import JointRBM
from ebm_cli.energy._layer_sum import layer_log_z
from ebm_cli.energy._units import draw_units, free_energy
from ebm_cli.energy.rbm import CENTERED_OFFSET, INITIAL_STD, initial_rates

# The largest number of top units: all their states are summed over in every evaluation.
MAX_TOP = 12


class DBM(nn.Module):
    """E_T(v) = −T log Σ_{h,g} exp(−E(v, h, g)/T), v ∈ {0, 1}^d, h ∈ {0, 1}^m, g ∈ {0, 1}^k.

    E(v, h, g) = −aᵀ(v − μ) − bᵀ(h − λ) − cᵀ(g − λ) − (v − μ)ᵀW(h − λ) − (h − λ)ᵀU(g − λ) (Salakhutdinov and Hinton,
    2009). Given g it is a restricted Boltzmann machine, with v and g as its visible layer: the sum over h has a closed
    form, and the sum over the 2^k states of g is explicit. Offsets condition the gradient, as in `RBM`.

    hidden: number m of hidden units (≥ 1).
    top: number k of top units (1 to 12).
    centered: True for offsets μ = the mean of the training rows (½ without data) and λ = ½; False for none.
    event: shape of one state.
    data: its training rows set μ and the initial a.
    """

    space = "binary"
    mu: Tensor
    top_states: Tensor

    def __init__(self, hidden: int, top: int, centered: bool, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.every(lambda: check.count("hidden", hidden), lambda: check_top(top))
        self.event = event
        self.temperature = 1.0
        rates = initial_rates(Sites("binary", event).count, data)
        self.a = nn.Parameter(rates.logit())
        self.b, self.c = nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(top))
        self.W = nn.Parameter(INITIAL_STD * torch.randn(len(rates), hidden))
        self.U = nn.Parameter(INITIAL_STD * torch.randn(hidden, top))
        self.register_buffer("mu", rates.clone() if centered else torch.zeros(len(rates)))
        self.offset = CENTERED_OFFSET if centered else 0.0
        states = Sites("binary", (top,)).all_states(torch.device("cpu"), torch.get_default_dtype())
        self.register_buffer("top_states", states, persistent=False)

    def set_temperature(self, temperature: float) -> None:
        self.temperature = temperature

    def forward(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        T, each = self.temperature, self.energies_of_top(self.hidden_fields(v), self.temperature)
        visible = -(v.flatten(1) - self.mu) @ self.a
        return visible + (-T * (-each / T).logsumexp(1) if T > 0 else each.amin(1))

    def hidden_fields(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, "n m"]:
        """Return b + Wᵀ(v − μ), the fields of the hidden units without those of the top units."""
        return self.b + (v.flatten(1) - self.mu) @ self.W

    def energies_of_top(self, fields: Float[Tensor, "n m"], temperature: float) -> Float[Tensor, "n states"]:
        """Return E(v, g) of every state of the top units, h summed over, without the terms of v alone."""
        g = self.top_states - self.offset
        return free_energy(fields[:, None] + g @ self.U.T, self.offset, temperature) - g @ self.c

    def draw_hidden_units(
        self, v: Float[Tensor, "n *event"], temperature: float, rng: torch.Generator
    ) -> Float[Tensor, "n units"]:
        """Return top units, drawn with h summed over, followed by hidden units given them."""
        fields = self.hidden_fields(v)
        p = (-self.energies_of_top(fields, temperature) / temperature).softmax(1)
        g = self.top_states[torch.multinomial(p, 1, generator=rng)[:, 0]]
        return torch.cat([g, draw_units(fields + (g - self.offset) @ self.U.T, temperature, rng)], 1)

    def visible_logits(self, h: Float[Tensor, "n units"]) -> Float[Tensor, "n *event"]:
        """Return a + W(h − λ) for top and hidden units. At temperature T, unit i is 1 with probability σ(·/T)."""
        return (self.a + (h[:, len(self.c) :] - self.offset) @ self.W.T).view(-1, *self.event)

    def joint(self) -> JointRBM:
        """Return E(v, g, h), the joint energy of a machine whose visible layer is v and g, at the present weights."""
        a, b, W, mu = self.two_layers()
        a, b, W = (nn.Parameter(each.detach(), requires_grad=False) for each in (a, b, W))
        return JointRBM(a, b, W, mu, self.offset)

    def two_layers(
        self,
    ) -> tuple[Float[Tensor, " units"], Float[Tensor, " m"], Float[Tensor, "units m"], Float[Tensor, " units"]]:
        """Return biases, weights and offsets of the machine whose visible layer is v and g: a, b, W and μ."""
        offsets = torch.full_like(self.c, self.offset)
        return torch.cat([self.a, self.c]), self.b, torch.cat([self.W, self.U.T]), torch.cat([self.mu, offsets])

    def log_z(self, temperature: float) -> float:
        with torch.no_grad():
            return float(self.log_partition(temperature))

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Σᵥ exp(−E_T(v)/T). Raises ValueError if h, and v and g together, are more than 25 units."""
        return layer_log_z(*self.two_layers(), self.offset, temperature)


def check_top(top: object) -> None:
    """Raise InputError unless the number of top units is from 1 to 12."""
    check.count("top", top)
    if isinstance(top, int) and top > MAX_TOP:
        raise check.InputError(
            f"top must be <= {MAX_TOP}, got {top}: every evaluation sums over all 2^top states of the top units"
        )
