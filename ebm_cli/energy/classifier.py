"""Classifier energy: a network with one logit per class that also defines a density over states."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows
from ebm_cli.energy._confined import ConfinedNetwork
from ebm_cli.energy._network import apply_spectral_norm, perceptron


class Classifier(ConfinedNetwork):
    """E(x) = −log Σ_y exp f(x)[y], f(x)[y] = g(x)[y] − confinement/2·‖x‖² + log b(x), g a perceptron with SiLU units.

    Grathwohl et al., 2020 (arXiv 1912.03263), section 3. The terms in addition to g are equal for all classes and do
    not change p(y|x) = softmax f(x).

    width: units per hidden layer (≥ 1).
    depth: number of hidden layers (≥ 1).
    classes: number of classes (≥ 2), or None for the number of labels of the training rows.
    confinement, base_components, event: defined in `ConfinedNetwork`.
    spectral_norm: factor of g after spectral normalization (> 0), or None for no normalization.

    Raises InputError if the labels of the data do not match the classes.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        classes: int | None,
        confinement: float,
        base_components: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__(width, depth, confinement, base_components, event, data)
        self.classes = number_of_classes(classes, data)
        self.net = perceptron(math.prod(event), width, depth, self.classes)
        self.scale = apply_spectral_norm(self, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return -self.logits(x).logsumexp(1)

    def logits(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]:
        return self.scale * self.net(x.flatten(1)) - self.tail(x)[:, None]


def number_of_classes(classes: int | None, data: Data | None) -> int:
    """Return `classes`, or the number of labels of the training rows; raise InputError if they disagree."""
    if classes is not None:
        check.count("classes", classes, minimum=2)
    y = None if data is None else available_rows(data).y
    if y is None:
        if classes is None:
            raise InputError("classes must be given, because their number cannot be taken from labels")
        return classes
    labels = torch.unique(y)
    # A table stores all levels. Its held-out rows may not contain all of them.
    levels = getattr(data, "levels", None)
    n_labels = int(labels.max()) + 1 if levels is None else len(levels)
    if int(labels.min()) < 0 or n_labels < 2:
        raise InputError(f"classes need labels 0, 1, … in the data, got {labels.tolist()[:5]}")
    if classes is not None and classes < n_labels:
        raise InputError(f"classes must be >= {n_labels}, the labels of the data, got {classes}")
    return n_labels if classes is None else classes
