"""Convolutional energy: only images with sides that halve evenly, with errors that name the parameter."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.conv import Conv
from tests.contract import build


def test_confinement_adds_half_its_strength_times_the_square(rng: torch.Generator) -> None:
    loose = Conv(3, 1, 0.0, 0, None, (2, 4, 6), None)
    tight = Conv(3, 1, 0.8, 0, None, (2, 4, 6), None)
    tight.load_state_dict(loose.state_dict())
    x = torch.randn(5, 2, 4, 6, generator=rng)
    torch.testing.assert_close(tight(x), loose(x) + 0.4 * x.square().sum((1, 2, 3)))


def test_sides_that_do_not_halve_are_blamed_on_depth() -> None:
    with pytest.raises(InputError, match=r"^depth must halve 8x6 images evenly, got 2"):
        Conv(2, 2, 0.0, 0, None, (1, 8, 6), None)


def test_states_that_are_no_images_are_blamed_on_event() -> None:
    with pytest.raises(InputError, match=r"event must be"):
        build("energy", "conv", event=(2,))
