"""Chains that start at data: contrastive divergence."""

import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.start import InitialStates, Memoryless


class AtData(Memoryless):
    """x₀ is the training batch itself; with k steps this is CD-k.

    Hinton, 2002 (Neural Computation 14, 1771). Biased: the neglected term is the gradient of KL(p_k‖p_θ), p_k
    the distribution of the chains after k steps; it vanishes as k grows.

    data: source of samples for chains outside of training.
    """

    def __init__(self, data: Data | None) -> None:
        if data is None:
            raise InputError("data must be chosen for chains that start at its samples: data=NAME, or start=noise")
        self.data = data

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:
        return InitialStates.unaged(batch.x if batch is not None else self.data.sample(n, rng).x)

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        return f"they start at the training samples of each step (contrastive divergence, CD-{steps})"
