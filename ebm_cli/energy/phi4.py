"""φ⁴ theory on a lattice: each site chooses a sign and prefers the sign of its neighbors."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check


class Phi4(nn.Module):
    """E(φ) = Σ_x [½ Σ_μ (φ_{x+μ} − φ_x)² + ½m²φ_x² + ¼λφ_x⁴], periodic in every direction μ.

    The lattice action of scalar field theory (Montvay and Münster, 1994, section 2.1, with λ/4 for their λ). For m² < 0
    each site has two wells at ±√(−m²/λ). A wall between signs has an energy proportional to its length. Z is not known
    in closed form. On a ring of L sites it is Z = tr Kᴸ with the transfer matrix
    K = e^{−V(φ)/2T} e^{−(φ−φ')²/2T} e^{−V(φ')/2T}.

    mass_squared: m².
    coupling: λ (> 0).
    event: sizes of the lattice, one per direction; a ring of 8 by default.
    """

    def __init__(self, mass_squared: float, coupling: float, event: tuple[int, ...] | None) -> None:
        super().__init__()
        check.number("mass_squared", mass_squared)
        check.positive("coupling", coupling)
        self.event = event or (8,)
        self.mass_squared = nn.Parameter(torch.tensor(float(mass_squared)))
        self.coupling = nn.Parameter(torch.tensor(float(coupling)))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        square = x.square()
        local = square * (0.5 * self.mass_squared + 0.25 * self.coupling * square)
        for direction in range(1, x.dim()):
            local = local + 0.5 * (x.roll(-1, direction) - x).square()
        return local.flatten(1).sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        grad = x * (self.mass_squared + self.coupling * x.square())
        for direction in range(1, x.dim()):
            grad = grad + 2 * x - x.roll(1, direction) - x.roll(-1, direction)
        # x·∇E counts the quartic term 4 times and the quadratic terms twice.
        e = 0.5 * (x * grad) - 0.25 * self.coupling * x.square().square()
        return e.flatten(1).sum(1), grad
