"""The class of a state is known."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.condition.label import Label
from ebm_cli.energy.classifier import Classifier


def test_class_energies_add_up_to_the_energy() -> None:
    # With guidance 1 and T = 1, exp(−E(x | y)) = exp f(x)[y], and these sum to exp(−E(x)).
    energy = Classifier(8, 1, 3, 1.0, 0, None, (2,), None)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    seen = Label(0, 1.0).observe("class", torch.zeros(2), torch.Generator())
    parts = torch.stack([-Label(y, 1.0).restrict(energy, 1.0, seen, (2,))(x) for y in range(3)])
    assert torch.allclose(parts.logsumexp(0), -energy(x), atol=1e-5)


def test_guidance_weighs_the_classifier() -> None:
    energy = Classifier(8, 1, 3, 1.0, 0, None, (2,), None)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    seen = Label(1, 1.0).observe("class", torch.zeros(2), torch.Generator())
    once, thrice = (Label(1, w).restrict(energy, 1.0, seen, (2,))(x) for w in (1.0, 3.0))
    log_p = energy.logits(x).log_softmax(1)[:, 1]
    assert torch.allclose(once - thrice, 2 * log_p, atol=1e-5)


def test_a_class_that_does_not_exist_is_named() -> None:
    energy = Classifier(8, 1, 3, 1.0, 0, None, (2,), None)
    seen = Label(3, 1.0).observe("class", torch.zeros(2), torch.Generator())
    with pytest.raises(InputError, match="label must be < 3"):
        Label(3, 1.0).restrict(energy, 1.0, seen, (2,))
