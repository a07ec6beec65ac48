"""Two half circles, one inside the other's bend: curved, thin, and not a mixture of blobs."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch, Stream, legendre, log_mixture
from ebm_cli.rng import normal_like

NODES = 256


class TwoMoons(Stream):
    """Equal parts of two unit half circles, an angle t ~ U(0, π) each, plus N(0, noise²I); labels say which.

    Centred: the upper moon is (cos t − ½, sin t − ¼), the lower one (½ − cos t, ¼ − sin t), as scikit-learn's
    set moved to mean zero in both coordinates. The density is the integral over t by Gauss–Legendre quadrature with
    256 nodes; exact to rounding for noise ≥ 0.02.

    noise: ≥ 0.02. n: rows, or null for fresh draws. seed: of the rows.
    """

    def __init__(self, noise: float, n: int | None, seed: int) -> None:
        super().__init__(n, seed)
        check.number("noise", noise)
        if noise < 0.02:
            raise check.InputError(f"noise must be >= 0.02, got {noise}")
        self.event = (2,)
        self.noise = noise

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        y = torch.randint(2, (n,), generator=rng, device=rng.device)
        t = math.pi * torch.rand(n, generator=rng, device=rng.device)
        clean = torch.where(y[:, None] == 0, self._upper(t), -self._upper(t))
        return Batch(clean + self.noise * normal_like(clean, rng), clean=clean, y=y)

    def log_prob(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        t, weights = legendre(NODES, math.pi, x)
        upper = self._upper(t)
        arcs = torch.cat([upper, -upper])
        return log_mixture(x, arcs, (weights / (2 * math.pi)).log().repeat(2), self.noise)

    @staticmethod
    def _upper(t: Float[Tensor, " m"]) -> Float[Tensor, "m 2"]:
        return torch.stack([t.cos() - 0.5, t.sin() - 0.25], 1)
