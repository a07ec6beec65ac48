"""The class of a state is known."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.condition import Condition, Observation
from ebm_cli.energy import CONTINUOUS
from ebm_cli.energy._capabilities import Logits, offers


class ClassEnergy(nn.Module):
    """E(x | y) = E(x) − w T log p(y | x), p(y | x) = softmax f(x), f the logits of a classifier and w the guidance.

    With w = 1 it is the energy of p(x | y). A larger w draws states that are more typical of the class (Dhariwal and
    Nichol, 2021, arXiv 2105.05233, section 4).
    """

    drawn: Tensor

    def __init__(
        self, energy: nn.Module, label: int, guidance: float, temperature: float, event: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.energy, self.label, self.weight, self.event = energy, label, guidance * temperature, event
        self.register_buffer("drawn", torch.ones(event, dtype=torch.bool), persistent=False)

    def complete(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return z

    def forward(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        assert offers(self.energy, Logits)
        logits = self.energy.logits(z)
        log_sum = logits.logsumexp(1)
        return -log_sum - self.weight * (logits[:, self.label] - log_sum)


class Label(Condition):
    """The class of a state is known, for an energy that is also a classifier.

    label: number of the class (≥ 0).
    guidance: weight w of log p(label | x) (> 0).
    """

    spaces: ClassVar[frozenset[str]] = CONTINUOUS

    def __init__(self, label: int, guidance: float) -> None:
        check.every(lambda: check.count("label", label, minimum=0), lambda: check.positive("guidance", guidance))
        self.label, self.guidance = label, guidance

    def observe(self, name: str, x: Float[Tensor, "*event"], rng: torch.Generator) -> Observation:  # noqa: ARG002
        return Observation(name, x.new_zeros(0), label=self.label)

    def given(self, name: str, y: Float[Tensor, "*shape"], event: tuple[int, ...]) -> Observation:  # noqa: ARG002
        raise InputError("image must not be given with condition=label: only the class is known")

    def restrict(self, energy: nn.Module, temperature: float, seen: Observation, event: tuple[int, ...]) -> ClassEnergy:
        if not offers(energy, Logits):
            raise InputError("condition=label needs an energy with classes. Train one with energy=classifier")
        classes = energy.logits(seen.y.new_zeros(1, *event)).shape[1]
        if self.label >= classes:
            raise InputError(f"condition.label must be < {classes}, the number of classes, got {self.label}")
        return ClassEnergy(energy, self.label, self.guidance, temperature, event)
