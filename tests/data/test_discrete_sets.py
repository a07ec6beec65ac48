"""Discrete sets: rows are states of the space that a set declares, and come from the pictures or texts it names."""

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data._rows import available_rows
from ebm_cli.data._sites import Sites
from ebm_cli.data.text import paragraphs
from ebm_cli.energy import DISCRETE, space_of
from tests.contract import build, options

NAMES = [name for name in options("data") if space_of(build("data", name)) in DISCRETE]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_states_of_the_space_that_the_set_declares(name: str) -> None:
    data = build("data", name)
    sites = Sites(space_of(data), data.event)
    for x in (data.sample(50, seeded(0)).x, data.split("train").x, data.split("held_out").x, available_rows(data).x):
        assert sites.contain(x)
    assert data.noise == 0


@pytest.mark.parametrize(("name", "half"), [("digits", 8 / 16), ("mnist", 128 / 255)])
def test_thresholded_pictures_are_one_from_half_of_white(name: str, half: float) -> None:
    gray, binary = build("data", name), build("data", f"{name}_binary")
    for part in ("train", "held_out"):
        dark = (gray.split(part).x + 1) / 2 >= half - 1e-4
        assert torch.equal(binary.split(part).x == 1, dark) and torch.equal(binary.split(part).y, gray.split(part).y)
    shown = binary.decode(binary.split("train").x[:5])
    np.testing.assert_array_equal(shown, binary.split("train").x[:5, 0].numpy())


def test_resampled_pixels_have_the_mean_of_their_gray_levels_and_differ_between_batches() -> None:
    gray, data = build("data", "digits"), build("data", "digits_binary", {"binarize": "resample"})
    n = 40_000
    x, again = data.sample(n, seeded(0)).x, data.sample(n, seeded(0)).x
    assert torch.equal(x, again) and len(x.flatten(1).unique(dim=0)) > 0.99 * n
    mean = (gray.split("train").x.mean(0) + 1) / 2
    error = (mean * (1 - mean) / n).sqrt()
    assert ((x.mean(0) - mean).abs() <= 4 * error).all()
    # Given its picture, a pixel is a coin: the rows of a split differ from the pixels that are most probable.
    held_out, levels = data.split("held_out"), (gray.split("held_out").x + 1) / 2
    deviation = (held_out.x - levels).square().mean() - (levels * (1 - levels)).mean()
    assert abs(float(deviation)) < 4 * 0.25 / levels.numel() ** 0.5
    assert torch.equal(held_out.x[(levels == 0) | (levels == 1)], levels[(levels == 0) | (levels == 1)])


@pytest.mark.parametrize("space", ["spin", "binary"])
def test_patterns_have_the_fraction_of_units_on_and_are_all_of_both_splits(space: str) -> None:
    changes = {"count": 50, "size": 400, "fraction": 0.2, "space": space}
    data, other = build("data", "patterns", changes), build("data", "patterns", changes | {"seed": 1})
    x = data.split("train").x
    assert torch.equal(x, data.split("held_out").x) and space_of(data) == space
    on = (x == 1).double()
    assert torch.equal((x == (-1 if space == "spin" else 0)).double(), 1 - on)
    assert abs(float(on.mean()) - 0.2) < 4 * (0.2 * 0.8 / x.numel()) ** 0.5
    drawn = data.sample(1000, seeded(0))
    assert drawn.y is not None and torch.equal(drawn.x, x[drawn.y]) and len(drawn.y.unique()) == 50
    assert not torch.equal(other.split("train").x, x)


def test_text_is_cut_into_windows_without_overlap_and_parts_have_no_paragraph_in_common() -> None:
    data, texts = build("data", "text", {"length": 12}), paragraphs()
    parts = ["".join(data.decode(data.split(part).x)[:, 0]) for part in ("train", "held_out")]
    assert len(texts) == len(set(texts)) and sum(map(len, parts)) > 200_000
    assert abs(len(parts[1]) / sum(map(len, parts)) - 0.2) < 0.05
    # Both parts are whole paragraphs, but for a last one that is cut.
    long = {text for text in texts if len(text) > 100}
    found = [{text for text in long if text in part} for part in parts]
    assert not found[0] & found[1] and len(long - found[0] - found[1]) <= 2
    with pytest.raises(InputError, match=r"^length must be <= \d+, the length of the shorter part, got 1000000$"):
        build("data", "text", {"length": 1_000_000})
