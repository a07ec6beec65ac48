"""Chains begin at noise: the short-run generator, and the honest test of a trained energy."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.start import Begun, fresh, noise_name


class Noise:
    """x₀ uniform on [−scale, scale]^d or N(0, scale²I), anew for every chain.

    With a fixed number of steps K this is the short-run generator x_K = G_θ(x₀, ξ) of Nijkamp et al., 2019
    (arXiv 1904.09770).

    law: uniform or normal. scale: > 0, in units of x.
    """

    def __init__(self, law: str, scale: float, event: tuple[int, ...]) -> None:
        check.one_of("law", law, ["uniform", "normal"])
        check.positive("scale", scale)
        self.law = law
        self.scale = scale
        self.event = event

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:  # noqa: ARG002
        x = fresh(n, self.event, self.law, self.scale, rng, torch.get_default_dtype())
        return Begun(x, torch.zeros(n, dtype=torch.int64, device=x.device), None)

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Nothing is kept."""

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        return f"they start from {noise_name(self.law, self.scale)} in every step"
