"""Autoencoder energy: the formula of its docstring from its own parts, and errors that name the parameter."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.autoencoder import Autoencoder
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")
SIGMA, CONFINEMENT = 0.3, 0.8


def built(event: tuple[int, ...] = (3,), **changes: float) -> Autoencoder:
    """A small autoencoder, without dropout, normalisation and base."""
    small = {"width": 6, "depth": 1, "channels": 0, "dropout": 0.0, "sigma": SIGMA, "confinement": CONFINEMENT}
    return build("energy", "autoencoder", small | changes, event=event)


def silu(a: torch.Tensor) -> torch.Tensor:
    return a * a.sigmoid()


def test_a_vectors_energy_is_its_formula(rng: torch.Generator) -> None:
    energy = built(depth=2)
    x = torch.randn(4, 3, generator=rng)
    h = silu(energy.features[3](silu(energy.features[0](x))))
    r, o = energy.reconstruction(h), energy.score(h)[:, 0]
    expected = (0.5 * (x - r).square().sum(1) - o) / SIGMA**2 + CONFINEMENT / 2 * x.square().sum(1)
    torch.testing.assert_close(energy(x), expected)


def test_an_images_energy_is_its_formula_with_local_features(rng: torch.Generator) -> None:
    energy = built((1, 4, 4), channels=2)
    x = torch.randn(5, 1, 4, 4, generator=rng)
    assert energy.near is not None
    same = silu(energy.near.same(x))
    h = silu(energy.features[1](silu(energy.near.down(same)).flatten(1)))
    r, o = energy.reconstruction(h).view_as(x) + energy.near.back(same), energy.score(h)[:, 0]
    expected = (0.5 * (x - r).square().sum((1, 2, 3)) - o) / SIGMA**2 + CONFINEMENT / 2 * x.square().sum((1, 2, 3))
    torch.testing.assert_close(energy(x), expected)


def test_more_convolutions_act_at_both_sizes_of_an_image(rng: torch.Generator) -> None:
    energy = built((1, 4, 4), channels=2, convolutions=2)
    x = torch.randn(5, 1, 4, 4, generator=rng)
    near = energy.near
    assert near is not None
    same = silu(near.more_same[0](silu(near.same(x))))
    down = silu(near.more_down[0](silu(near.down(same))))
    found_same, found_down = near(x)
    torch.testing.assert_close(found_same, same)
    torch.testing.assert_close(found_down, down)


def test_a_unets_reconstruction_sees_the_features_of_both_sizes(rng: torch.Generator) -> None:
    energy = built((1, 4, 6), channels=2, unet=True)
    x = torch.randn(5, 1, 4, 6, generator=rng)
    near, up = energy.near, energy.up
    assert near is not None and up is not None
    a, b = near(x)
    h = energy.features(b.flatten(1))
    laid = silu(up.lay_out(h)).view(5, 2, 3, 4).movedim(3, 1)
    half = silu(up.join_half(torch.cat([laid, b], 1)))
    full = silu(up.join_full(torch.cat([silu(up.up(half)), a], 1)))
    r = energy.reconstruction(h).view_as(x) + near.back(full)
    expected = (0.5 * (x - r).square().sum((1, 2, 3)) - energy.score(h)[:, 0]) / SIGMA**2
    torch.testing.assert_close(energy(x), expected + CONFINEMENT / 2 * x.square().sum((1, 2, 3)))


def test_a_unet_without_convolutions_is_refused() -> None:
    with pytest.raises(InputError, match="unet needs channels >= 1, got channels=0"):
        built((1, 4, 4), unet=True)


def test_the_weights_of_one_network_keep_their_names() -> None:
    """Runs of before there were `members` and `convolutions` must stay readable."""
    layers = ["near.same", "near.down", "near.back", "features.1", "reconstruction", "score"]
    names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    assert list(built((1, 4, 4), channels=2).state_dict()) == names


@pytest.mark.parametrize("event", [(3,), (1, 4, 4)])
def test_the_energy_of_members_is_the_mean_of_theirs(event: tuple[int, ...], rng: torch.Generator) -> None:
    energy = built(event, channels=2 * (len(event) == 3), ensemble_size=3).eval()
    x = torch.randn(5, *event, generator=rng)
    own = {k: v for k, v in energy.state_dict().items() if not k.startswith("others.")}
    e = []
    for weights in (own, *(other.state_dict() for other in energy.others)):
        alone = built(event, channels=2 * (len(event) == 3)).eval()
        alone.load_state_dict(weights)
        e.append(alone(x))
    assert len({float(each[0].detach()) for each in e}) == 3
    torch.testing.assert_close(energy(x), torch.stack(e).mean(0))


def test_in_training_each_row_meets_one_member(rng: torch.Generator) -> None:
    energy = built(ensemble_size=3)
    x = torch.randn(6, 3, generator=rng, requires_grad=True)
    before = energy(x)
    with torch.no_grad():
        for parameter in energy.others[1].parameters():
            parameter.add_(1)
    changed = energy(x) != before
    assert changed.tolist() == [False] * 4 + [True] * 2
    # Every member is in the game, however few the rows: none stays without a gradient.
    energy(x).sum().backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())


def test_fewer_rows_than_members_are_no_obstacle(rng: torch.Generator) -> None:
    assert built(ensemble_size=3)(torch.randn(2, 3, generator=rng)).shape == (2,)


def test_dropout_acts_in_training_alone(rng: torch.Generator) -> None:
    energy = built((2,), width=64, dropout=0.5)
    x = torch.randn(4, 2, generator=rng)
    assert not torch.equal(energy(x), energy(x))
    energy.eval()
    assert torch.equal(energy(x), energy(x))


def test_whole_channels_are_dropped_in_training_alone(rng: torch.Generator) -> None:
    energy = built((1, 4, 4), channels=64, channel_dropout=0.5)
    near, x = energy.near, torch.randn(1, 1, 4, 4, generator=rng)
    assert near is not None
    seen: list[torch.Tensor] = []
    near.down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    near(x)
    kept = (seen[0] != 0).flatten(2).any(2)
    assert torch.equal(kept, (seen[0] != 0).flatten(2).all(2)) and 0 < kept.sum() < 64
    near.eval()
    near(x)
    assert (seen[1] != 0).all()


@pytest.mark.parametrize("event", [(2,), (1, 7, 8)])
def test_convolutions_on_other_states_are_blamed_on_channels(event: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^channels must be 0 unless"):
        build("energy", "autoencoder", {"channels": 4}, event=event)
