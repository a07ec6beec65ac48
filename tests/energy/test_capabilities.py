"""Capabilities belong to classes: submodules, parameters and buffers of the same name do not count, on any Python."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.energy import declared_attribute, energy_and_grad, space_of
from ebm_cli.energy._capabilities import AnalyticGradient, ExactDraws, ExactLogZ, Logits, LogPartition, offers
from ebm_cli.energy._composition import notes_of
from tests.contract import build

METHODS = {
    "log_z": ExactLogZ,
    "log_partition": LogPartition,
    "draw": ExactDraws,
    "energy_and_grad": AnalyticGradient,
    "logits": Logits,
}


class Named(nn.Module):
    """½‖x‖² with parts of any names."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        for name, part in parts.items():
            if isinstance(part, Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x.square().sum(1)


PARTS = {"a submodule": lambda: nn.Linear(2, 2), "a parameter": lambda: nn.Parameter(torch.ones(2)),
         "a buffer": lambda: torch.ones(2)}  # fmt: skip


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("name", METHODS)
def test_a_part_of_a_methods_name_is_no_capability(name: str, kind: str) -> None:
    energy = Named(**{name: PARTS[kind]()})
    assert not offers(energy, METHODS[name])
    e, grad = energy_and_grad(energy, torch.ones(3, 2))
    assert torch.equal(e, torch.ones(3)) and torch.equal(grad, torch.ones(3, 2))


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_called_space_or_notes_declares_nothing(kind: str) -> None:
    energy = Named(space=PARTS[kind](), notes=PARTS[kind]())
    assert space_of(energy) == "continuous" and notes_of(energy) == [] and declared_attribute(energy, "space") is None


def test_what_a_class_or_its_init_declares_is_seen() -> None:
    class Binary(Named):
        space = "binary"

    assert space_of(Binary()) == "binary" and space_of(Named(space="categorical")) == "categorical"
    assert notes_of(Named(notes=["one"])) == ["one"]


def test_what_the_package_offers_is_seen() -> None:
    quadratic = build("energy", "quadratic", event=(2,))
    assert all(offers(quadratic, each) for each in (ExactLogZ, LogPartition, ExactDraws, AnalyticGradient))
    # Its parameter of that name made it one on Python 3.11 alone.
    assert not offers(build("energy", "gaussian_mixture"), Logits)
