"""Residual network energy: images of any size, and invariance only to shifts of the whole picture."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.resnet import Block, ResNet
from tests.contract import build


@pytest.mark.parametrize("sides", [(8, 8), (7, 5), (1, 3)])
def test_sides_may_be_of_any_length(sides: tuple[int, int], rng: torch.Generator) -> None:
    energy = ResNet(3, 2, 1.0, 0, None, (2, *sides), None)
    assert energy(torch.randn(4, 2, *sides, generator=rng)).shape == (4,)


def test_a_block_with_a_silent_branch_is_the_identity(rng: torch.Generator) -> None:
    block, h = Block(3), torch.randn(2, 3, 5, 5, generator=rng)
    with torch.no_grad():
        for p in block.branch[3].parameters():
            p.zero_()
    assert torch.equal(block(h), h)


def test_confinement_adds_half_its_strength_times_the_square(rng: torch.Generator) -> None:
    loose, tight = (ResNet(3, 1, confinement, 0, None, (1, 6, 6), None) for confinement in (0.0, 0.8))
    tight.load_state_dict(loose.state_dict())
    x = torch.randn(5, 1, 6, 6, generator=rng)
    torch.testing.assert_close(tight(x), loose(x) + 0.4 * x.square().sum((1, 2, 3)))


def test_states_that_are_no_images_are_blamed_on_event() -> None:
    with pytest.raises(InputError, match=r"event must be \(channels, height, width\) for energy resnet"):
        build("energy", "resnet", event=(2,))
