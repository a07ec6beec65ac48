"""Classifier energy: the energy is the log-sum-exp of the logits, and the classes are the labels."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy._capabilities import Logits
from ebm_cli.energy.classifier import Classifier
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def test_minus_the_energy_is_the_log_sum_exp_of_the_logits(rng: torch.Generator) -> None:
    energy, x = build("energy", "classifier", event=(2, 3)), torch.randn(5, 2, 3, generator=rng)
    assert isinstance(energy, Logits) and energy.logits(x).shape == (5, 3)
    torch.testing.assert_close(energy(x), -energy.logits(x).exp().sum(1).log())


def test_confinement_leaves_the_classes_chances_as_they_are(rng: torch.Generator) -> None:
    free, confined = (Classifier(5, 1, 3, confinement, 0, None, (2,), None) for confinement in (0.0, 0.7))
    confined.load_state_dict(free.state_dict())
    x = torch.randn(5, 2, generator=rng)
    torch.testing.assert_close(confined.logits(x).softmax(1), free.logits(x).softmax(1))
    torch.testing.assert_close(confined(x) - free(x), 0.35 * x.square().sum(1))


def test_classes_are_as_many_as_the_labels_or_more() -> None:
    eight = build("data", "gaussians_8", {"n": 200})
    sizes = [build("energy", "classifier", {"classes": k}, event=(2,), data=eight).classes for k in (None, 8, 10)]
    assert sizes == [8, 8, 10]
    with pytest.raises(InputError, match=r"^classes must be >= 8, the labels of the data, got 3"):
        build("energy", "classifier", {"classes": 3}, event=(2,), data=eight)


@pytest.mark.parametrize("data", [None, "gaussian"])
def test_classes_must_be_given_where_there_are_no_labels(data: str | None) -> None:
    rows = None if data is None else build("data", data)
    with pytest.raises(InputError, match=r"^classes must be given"):
        build("energy", "classifier", {"classes": None}, event=(2,), data=rows)
    assert build("energy", "classifier", {"classes": 4}, event=(2,), data=rows).classes == 4
