"""Replica exchange: which replicas are partners, the swap of their states, and the places with equal swap rates."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.path._schedule import equally_spaced

# A pair that always swaps still counts as this rejection rate, so that no two replicas get equal places.
MIN_REJECTION = 0.01


def partner_numbers(replicas: int, odd: bool) -> list[int]:
    """Return the partner of each replica in an even or odd step; a replica without a partner is its own."""
    partners = [k + 1 if k % 2 == int(odd) else k - 1 for k in range(replicas)]
    return [partner if 0 <= partner < replicas else k for k, partner in enumerate(partners)]


def swap_partners(replicas: int, odd: bool, device: torch.device) -> Int[Tensor, " K"]:
    """Return the partners of `partner_numbers`."""
    return torch.tensor(partner_numbers(replicas, odd), device=device)


class Swap(NamedTuple):
    """Swaps of one step. probability: of each swap; accepted: which replicas take the place of their partners."""

    probability: Float[Tensor, "K n"]
    accepted: Tensor
    partners: Int[Tensor, " K"]

    def apply(self, rows: Tensor) -> Tensor:
        """Return the rows of all replicas, K·n of them, after the swaps."""
        each = rows.reshape(*self.accepted.shape, *rows.shape[1:])
        accepted = self.accepted.view(*self.accepted.shape, *[1] * (rows.dim() - 1))
        return torch.where(accepted, each[self.partners], each).reshape(rows.shape)


def swap_replicas(log_ratio: Float[Tensor, "K n"], u: Float[Tensor, "K n"], partners: Int[Tensor, " K"]) -> Swap:
    """Return which swaps are accepted, each with probability min(1, exp(log_ratio)).

    Swendsen and Wang, 1986; Geyer, 1991. log_ratio: log of the density after the swap minus before, equal for both
    partners. u: uniform numbers in [0, 1); both partners use the number of the lower one.
    """
    probability = log_ratio.clamp(max=0).exp()
    lower = torch.minimum(partners, torch.arange(len(partners), device=partners.device))
    return Swap(probability, u[lower] < probability, partners)


def equal_rejection_places(places: list[float], swap_rates: list[float]) -> list[float]:
    """Return as many places between the same ends at which pairs would have equal rejection rates.

    Rejections add up along the path (Syed et al., 2022, section 5); evenly between two replicas.
    places: of the replicas, in the coordinate in which that holds. swap_rates: of neighbors.
    """
    rejections = np.maximum(1 - np.array(swap_rates), MIN_REJECTION)
    barrier = np.concatenate([[0.0], np.cumsum(rejections)])
    return equally_spaced(np.array(places), barrier, len(places)).tolist()
