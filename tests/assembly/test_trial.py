"""The trial of an energy: each of a user's mistakes is one line that names it, and every sound energy passes."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.assembly.trial import try_energy
from ebm_cli.check import InputError
from ebm_cli.energy.mlp import MLP
from scripts.hard_energies import Formula
from tests.contract import build


def in_place(x: Tensor) -> Tensor:
    x -= 1.0
    return x.square().sum(1)


def raising(x: Tensor) -> Tensor:
    raise KeyError("width")


@torch.no_grad()
def without_gradient(x: Tensor) -> Tensor:
    return 0.5 * x.square().sum(1)


def normalised(x: Tensor) -> Tensor:
    return nn.functional.batch_norm(x.flatten(1), None, None, training=True).square().sum(1)


def one_row_is_squeezed(x: Tensor) -> Tensor:
    return x.squeeze().square().sum(-1)


MISTAKES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "no gradient": (without_gradient, "gives no gradient"),
    "detached": (lambda x: x.detach().square().sum(1), "gives no gradient"),
    "by numpy": (lambda x: torch.as_tensor(x.detach().numpy() ** 2).sum(1), "gives no gradient"),
    "integers": (lambda x: x.square().sum(1).long(), "floating-point numbers, got torch.int64"),
    "truth values": (lambda x: x.sum(1) > 0, "floating-point numbers, got torch.bool"),
    "complex": (lambda x: x.to(torch.complex64).sum(1), "real numbers, got torch.complex64"),
    "in place": (in_place, "in place"),
    "raising": (raising, r"forward fails on x of shape \(5, .*KeyError: 'width'"),
    "−∞": (lambda x: torch.where(x[:, 0] > 0, -math.inf, x.square().sum(1)), "gives −∞ at x"),
    "logarithm of a coordinate": (lambda x: -x[:, 0].log(), "gives NaN at x"),
    "sum over rows": (
        lambda x: x.square().sum(0),
        r"shape \(5,\) for 5 rows, got .*, which sums over",
    ),
    "sum of all": (lambda x: x.square().sum(), r"got \(\)"),
    "a column": (lambda x: x.square().sum(1, keepdim=True), r"got \(5, 1\)"),
    "a number": (lambda x: 1.0, "got float"),
    "mean over rows": (lambda x: (x - x.mean(0)).square().sum(1), "another energy in two parts"),
    "largest of rows": (lambda x: x.square().sum(1) / x.abs().max(), "E\\(x\\) depends on the other rows"),
    "first row": (lambda x: (x - x[:1]).square().sum(1), "another energy in another order"),
    "ranks": (lambda x: x.square().sum(1) + x[:, 0].argsort().argsort().float() * 1e-2, "other rows of a batch"),
    "batch statistics": (normalised, "the other rows of a batch"),
    "one row alone": (one_row_is_squeezed, "fails for rows alone|another energy alone"),
    "noise": (lambda x: x.square().sum(1) + torch.rand(len(x)), "depends on a random number"),
    "piecewise constant": (lambda x: x[:, 0].round() + 0 * x.sum(1), "piecewise constant"),
    "NaN gradient": (lambda x: torch.where(x[:, 0] > 9, x[:, 0].sqrt(), x[:, 0].square()), "gradient of NaN"),
}


@pytest.mark.parametrize("event", [(2,), (5,), (5, 6)])
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(name: str, event: tuple[int, ...]) -> None:
    f, message = MISTAKES[name]
    if len(event) == 2:
        f, plain = (lambda x: plain(x.flatten(1))), f
    if event != (2,):
        message = message.replace("5", r"\d")
    if name == "sum over rows" and len(event) == 2:
        message = "one number per row"
    with pytest.raises(InputError, match=message) as error:
        try_energy(Formula(f), event)
    assert len(error.value.messages) == 1 and "\n" not in error.value.messages[0]
    assert error.value.messages[0].startswith("forward ")


SOUND: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda x: 0.5 * x.flatten(1).square().sum(1),
    "large": lambda x: 1e9 + 0.5 * x.flatten(1).square().sum(1),
    "walls": lambda x: torch.where(x.flatten(1).abs().amax(1) < 1, 0.0, math.inf) + 0 * x.flatten(1).sum(1),
    "walls nobody is in": lambda x: torch.where(x.flatten(1)[:, 0] > 99, 0.0, math.inf) + 0 * x.flatten(1).sum(1),
    "constant": lambda x: 0 * x.flatten(1).sum(1),
    "kinks": lambda x: x.flatten(1).abs().sum(1),
}


@pytest.mark.parametrize("event", [(1,), (5,), (2, 3)])
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sound_energy_passes(name: str, event: tuple[int, ...], dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        try_energy(Formula(SOUND[name]), event)
    finally:
        torch.set_default_dtype(before)


def test_networks_whose_sums_are_rounded_otherwise_in_parts_pass() -> None:
    for width in (16, 256):
        try_energy(MLP(width, 3, 0, 1.0, None, 1.0, 0, None, (64,), None), (64,))
    for name in ("double_well", "funnel", "quadratic", "phi4"):
        energy = build("energy", name, event=(6,))
        try_energy(energy, (6,))


def test_batch_normalisation_with_running_statistics_passes_and_keeps_its_mode_and_statistics() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x).square().sum(1)

    energy = Normalised()
    try_energy(energy, (3,))
    assert energy.norm.training and int(energy.norm.num_batches_tracked) == 0


def test_pieces_are_let_pass_where_no_gradient_is_needed() -> None:
    try_energy(Formula(lambda x: x[:, 0].round() + 0 * x.sum(1)), (2,), needs_gradient=False)


def test_no_random_number_of_others_is_drawn_and_no_gradient_left() -> None:
    energy = MLP(8, 1, 0, 1.0, None, 1.0, 0, None, (2,), None)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    try_energy(energy, (2,))
    with pytest.raises(InputError):
        try_energy(Formula(MISTAKES["noise"][0]), (2,))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None and p.requires_grad for p in energy.parameters())
