"""The joint energy of visible and hidden units, in which each layer is independent given the other."""

from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.energy._layer_sum import layer_log_z


class JointRBM(nn.Module):
    """E(v, h) = −aᵀ(v − μ) − bᵀ(h − λ) − (v − μ)ᵀW(h − λ), with states (v, h) ∈ {0, 1}^(d + m).

    Its log Z is that of the energy of v alone, in which h is summed over. A path from independent units to it, whose β
    multiplies this energy, is that of Salakhutdinov and Murray (2008).

    a, b: biases of the visible and of the hidden units.
    W: weights between them.
    mu, offset: μ and λ.
    """

    space = "binary"
    mu: Tensor

    def __init__(
        self, a: nn.Parameter, b: nn.Parameter, W: nn.Parameter, mu: Float[Tensor, " d"], offset: float
    ) -> None:
        super().__init__()
        self.a, self.b, self.W, self.offset = a, b, W, offset
        self.register_buffer("mu", mu)
        self.event = (len(a) + len(b),)

    def forward(self, x: Float[Tensor, "n units"]) -> Float[Tensor, " n"]:
        v, h = self.layers(x)
        return self.energy_from(v, h, self.visible_fields(h))

    def energy_and_grad(self, x: Float[Tensor, "n units"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n units"]]:
        v, h = self.layers(x)
        fields = self.visible_fields(h)
        return self.energy_from(v, h, fields), -torch.cat([fields, self.hidden_fields(v)], 1)

    def layers(self, x: Float[Tensor, "n units"]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n m"]]:
        """Return the visible and the hidden units."""
        v, h = x.split([len(self.a), len(self.b)], 1)
        return v, h

    def visible_fields(self, h: Float[Tensor, "n m"]) -> Float[Tensor, "n d"]:
        """Return a + W(h − λ) = −∂E/∂v."""
        return self.a + (h - self.offset) @ self.W.T

    def hidden_fields(self, v: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
        """Return b + Wᵀ(v − μ) = −∂E/∂h."""
        return self.b + (v - self.mu) @ self.W

    def energy_from(
        self, v: Float[Tensor, "n d"], h: Float[Tensor, "n m"], visible_fields: Float[Tensor, "n d"]
    ) -> Float[Tensor, " n"]:
        """Return E, given the fields of the visible units."""
        return -((v - self.mu) * visible_fields).sum(1) - (h - self.offset) @ self.b

    def independent_sites(self) -> list[Int[Tensor, " _"]]:
        return [group.to(self.a.device) for group in self._groups]

    def site_logits(self, x: Float[Tensor, "n units"], sites: Int[Tensor, " s"]) -> Float[Tensor, "n s 2"]:
        v, h = self.layers(x)
        hidden, visible = self.independent_sites()
        # The fields of a whole layer need one product of matrices.
        if sites is hidden:
            fields = self.hidden_fields(v)
        elif sites is visible:
            fields = self.visible_fields(h)
        else:
            fields = torch.cat([self.visible_fields(h), self.hidden_fields(v)], 1)[:, sites]
        return torch.stack([torch.zeros_like(fields), fields], 2)

    def log_z(self, temperature: float) -> float:
        with torch.no_grad():
            return float(self.log_partition(temperature))

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        return layer_log_z(self.a, self.b, self.W, self.mu, self.offset, temperature)

    @cached_property
    def _groups(self) -> list[Int[Tensor, " _"]]:
        """Return the hidden and the visible units."""
        units = torch.arange(len(self.a) + len(self.b), device="cpu")
        return [units[len(self.a) :], units[: len(self.a)]]
