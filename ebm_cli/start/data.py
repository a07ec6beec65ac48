"""Chains begin at data: contrastive divergence."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.start import Begun


class AtData:
    """x₀ is the training batch itself; with k steps this is CD-k.

    Hinton, 2002 (Neural Computation 14, 1771). Biased: the neglected term is the gradient of KL(p_k‖p_θ), p_k
    the law of the chains after k steps; it vanishes as k grows.

    data: where rows come from when chains are wanted outside training.
    """

    def __init__(self, data: Data | None) -> None:
        if data is None:
            raise InputError("data must be chosen for chains that begin at its rows: data=NAME, or start=noise")
        self.data = data

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:
        x = batch.x if batch is not None else self.data.sample(n, rng).x
        return Begun(x, torch.zeros(n, dtype=torch.int64, device=x.device), None)

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Nothing is kept."""

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        return f"they start at the training samples of each step (contrastive divergence, CD-{steps})"
