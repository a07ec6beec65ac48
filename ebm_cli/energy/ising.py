"""Ising model: sites with two values that prefer, or avoid, the value of their neighbors."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.data._sites import Sites
from ebm_cli.energy._pairwise import PairwiseEnergy, check_graph, pairs_of


class Ising(PairwiseEnergy):
    """E(s) = −J Σ_⟨ij⟩ sᵢsⱼ − h Σᵢ sᵢ over pairs of neighbors ⟨ij⟩, with sᵢ = ±1, or 0 and 1.

    Ising, 1925; on a complete graph with separate couplings it is the Boltzmann machine of Ackley, Hinton and
    Sejnowski, 1985. Without a field, the square lattice of spins has its critical temperature at
    T_c = 2J/log(1 + √2) = 2.269 J (Onsager, 1944).

    log Z is known in closed form for spins with one J on a ring of L ≥ 3 sites, λ₊ᴸ + λ₋ᴸ with
    λ± = e^K cosh(h/T) ± √(e^{2K} sinh²(h/T) + e^{−2K}), K = J/T, and on a periodic square lattice of at least 3 × 3
    sites without a field (Kaufman, 1949, Phys. Rev. 76, 1232, equation 84).

    coupling: J, positive for neighbors that prefer equal values.
    field: h.
    graph: the pairs: lattice, periodic and of the shape of a state; complete, all pairs; or a list of pairs of sites.
    values: spin (±1) or binary (0 and 1).
    separate: True for one coupling per pair and one field per site.
    event: shape of one state; 16 × 16 by default.
    """

    colors: Tensor

    def __init__(
        self, coupling: float, field: float, graph: Any, values: str, separate: bool, event: tuple[int, ...] | None
    ) -> None:
        check_graph(graph)
        check.number("coupling", coupling)
        check.number("field", field)
        check.one_of("values", values, ["spin", "binary"])
        sites = Sites(values, event or (16, 16))
        super().__init__(sites, pairs_of(graph, sites.shape), coupling, torch.tensor([float(field)]), separate)
        self.sizes = [size for size in sites.shape if size > 1]
        is_lattice = graph == "lattice" and min(self.sizes, default=0) > 2
        self.has_closed_form = is_lattice and values == "spin" and not separate
        self.two_values = (-1.0, 1.0) if values == "spin" else (0.0, 1.0)
        self.axes = [axis for axis, size in enumerate(sites.shape) if size > 1]
        self.n_colors = len(self._groups) if is_lattice and not separate else 0
        self.register_buffer("colors", self.site_colors(), persistent=False)

    def site_colors(self) -> Int[Tensor, "*event"]:
        """Return the number of the group of each site on a lattice with one coupling, and zeros elsewhere."""
        colors = torch.zeros(self.sites.count, dtype=torch.int64)
        for color in range(self.n_colors):
            colors[self._groups[color]] = color
        return colors.view(self.event)

    def has_levels(self) -> bool:
        return self.n_colors > 0

    def sublattices(self) -> list[Bool[Tensor, "*event"]]:
        return [self.colors == color for color in range(self.n_colors)]

    def level_logits(self) -> Float[Tensor, " levels"]:
        first, last = self.two_values
        levels = torch.arange(2 * len(self.axes) + 1, device=self.coupling.device)
        sums = first * 2 * len(self.axes) + (last - first) * levels
        return (last - first) * (self.coupling.double() * sums + self.field.double()).sort().values

    def site_levels(self, v: Float[Tensor, "*event n"]) -> Float[Tensor, "*event n"]:
        first, last = self.two_values
        half = len(self.axes)
        # Counted from the other end if neighbors avoid equal values, so that logits rise with levels.
        return half + self.coupling.sign() / (last - first) * (self.lattice_sums(v) - half * (first + last))

    def lattice_energy(self, v: Float[Tensor, "*event n"]) -> Float[Tensor, " n"]:
        return -(v * (0.5 * self.coupling * self.lattice_sums(v) + self.field)).sum(tuple(range(v.dim() - 1)))

    def lattice_sums(self, v: Float[Tensor, "*event n"]) -> Float[Tensor, "*event n"]:
        """Return the sum of the neighbors of every site."""
        shifted = [v.roll(shift, axis) for axis in self.axes for shift in (1, -1)]
        return sum(shifted[1:], shifted[0])

    def log_z(self, temperature: float) -> float:
        return float(self.log_partition(temperature).detach())

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Z. Raises ValueError for a graph, values or a field without closed form."""
        K, H = self.coupling.double() / temperature, self.field.double()[0] / temperature
        value, field = float(K.detach()), float(H.detach())
        if self.has_closed_form and len(self.sizes) == 1:
            return ring_log_z(K, H, *self.sizes)
        frustrated = value < 0 and any(size % 2 for size in self.sizes)
        if self.has_closed_form and len(self.sizes) == 2 and field == 0 and value != 0 and not frustrated:
            return torus_log_z(K, *self.sizes)
        raise ValueError("it is known for spins with one coupling J, on a ring, or on a square lattice without a field")


def ring_log_z(K: Float[Tensor, ""], H: Float[Tensor, ""], length: int) -> Float[Tensor, ""]:
    """Return log (λ₊ᴸ + λ₋ᴸ), the eigenvalues of the transfer matrix."""
    exponents = torch.stack([torch.stack([K + H, -K]), torch.stack([-K, K - H])])
    # At low T an exponential overflows.
    top = exponents.amax().detach()
    values = torch.linalg.eigvalsh((exponents - top).exp())
    largest = values.abs().amax()
    return length * (top + largest.log()) + (values / largest).pow(length).sum().log()


def torus_log_z(K: Float[Tensor, ""], n: int, m: int) -> Float[Tensor, ""]:
    """Return log Z of n × m spins without a field, K = J/T ≠ 0; K > 0 unless both sizes are even.

    Z = ½(2 sinh 2K)^{nm/2} [Π 2cosh ½mγ₂ᵣ₊₁ + Π 2sinh ½mγ₂ᵣ₊₁ + Π 2cosh ½mγ₂ᵣ + Π 2sinh ½mγ₂ᵣ], r = 0 … n − 1, with
    cosh γₖ = cosh 2K coth 2K − cos(πk/n) and γ₀ = 2K + log tanh K, which is negative above the critical temperature.
    """
    K = K.abs()
    k = torch.arange(1, 2 * n, dtype=torch.float64, device=K.device)
    # cosh γ = ½e^{2K} ratio, and γ = log(cosh γ + √(cosh² γ − 1)), without e^{2K}, which overflows at low T.
    small = (-4 * K).exp()
    ratio = (1 + small) / (2 * K).tanh() - 2 * (-2 * K).exp() * (math.pi * k / n).cos()
    others = 2 * K + (0.5 * ratio + (0.25 * ratio**2 - small).sqrt()).log()
    γ = torch.cat([(2 * K + K.tanh().log())[None], others])
    logs, signs = [], []
    for each in (γ[1::2], γ[0::2]):
        growth = 0.5 * m * each.abs()
        # log 2cosh y = y + log(1 + e^{−2y}), and log 2sinh y with a minus sign.
        logs += [(growth + torch.log1p(sign * (-2 * growth).exp())).sum() for sign in (1, -1)]
        signs += [1.0, float(each.detach().sign().prod())]
    terms, top = torch.stack(logs), torch.stack(logs).amax().detach()
    total = (terms - top).exp() @ torch.tensor(signs, dtype=torch.float64, device=K.device)
    return 0.5 * n * m * (2 * K + (-torch.expm1(-4 * K)).log()) + top + (0.5 * total).log()
