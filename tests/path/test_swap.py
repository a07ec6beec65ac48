"""Swaps: alternating pairs, the Metropolis probability, states that move together, and equal swap rates."""

import numpy as np
import torch

from ebm_cli.path._swap import equal_rejection_places, swap_partners, swap_replicas

CPU = torch.device("cpu")


def test_swap_partners_alternate_and_ends_without_partner_stay() -> None:
    assert swap_partners(4, odd=False, device=CPU).tolist() == [1, 0, 3, 2]
    assert swap_partners(4, odd=True, device=CPU).tolist() == [0, 2, 1, 3]
    assert swap_partners(3, odd=False, device=CPU).tolist() == [1, 0, 2]


def test_swap_replicas_moves_both_partners_by_the_number_of_the_lower() -> None:
    partners = swap_partners(3, odd=False, device=CPU)
    log_ratio = torch.tensor([[1.0, -0.7], [1.0, -0.7], [0.0, 0.0]])
    u = torch.tensor([[0.9, 0.6], [0.0, 0.0], [0.5, 0.5]])
    swap = swap_replicas(log_ratio, u, partners)
    torch.testing.assert_close(swap.probability, torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]).where(
        log_ratio >= 0, log_ratio.exp()
    ))  # fmt: skip
    # Chain 0 swaps its first two replicas; chain 1 does not, because 0.6 > exp(−0.7).
    assert swap.apply(torch.arange(6.0)).tolist() == [2.0, 1.0, 0.0, 3.0, 4.0, 5.0]
    assert swap.apply(torch.arange(12.0).view(6, 2))[:, 1].tolist() == [5.0, 3.0, 1.0, 7.0, 9.0, 11.0]


def test_equal_rejection_places_keeps_a_geometric_ladder_and_fills_a_gap() -> None:
    ladder = [1.0, 2.0, 4.0, 8.0]
    np.testing.assert_allclose(equal_rejection_places(ladder, [0.6, 0.6, 0.6]), ladder)
    found = equal_rejection_places(ladder, [0.9, 0.2, 0.9])
    assert found[0] == 1 and found[-1] == 8 and 2 < found[1] < found[2] < 4
