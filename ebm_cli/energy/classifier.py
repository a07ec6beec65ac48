"""Classifier energy: a network with a logit a class, which is a density over states as well."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data, known
from ebm_cli.energy._network import Tail, perceptron, spectrally_normalised


class Classifier(nn.Module):
    """E(x) = −log Σ_y exp f(x)[y], f(x)[y] = g(x)[y] − confinement/2·‖x‖² + log b(x), g a perceptron with SiLU units.

    Grathwohl et al., 2020 (arXiv 1912.03263), section 3. What is beside g is the same for all classes and leaves
    p(y|x) = softmax f(x) as it is. g grows at most linearly, so Z(T) is finite for every T > 0 as long as
    confinement > 0 or base ≥ 1.

    width: units a hidden layer ≥ 1. depth: hidden layers ≥ 1. classes: ≥ 2, or None for as many as the training rows
    have labels. confinement: ≥ 0; at 0, without a base, Z may be infinite. base: Gaussians of b ≥ 0. spectral_norm: > 0
    or None. event: shape of one state, flattened. See `network` for confinement, base and spectral_norm. Raises
    InputError where data have labels that do not fit the classes.
    """

    def __init__(
        self,
        width: int,
        depth: int,
        classes: int | None,
        confinement: float,
        base: int,
        spectral_norm: float | None,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("width", width)
        check.count("depth", depth)
        self.event = event
        self.classes = number_of_classes(classes, data)
        self.tail = Tail(confinement, base, event, data)
        self.net = perceptron(math.prod(event), width, depth, self.classes)
        self.scale = spectrally_normalised(self.net, spectral_norm)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return -self.logits(x).logsumexp(1)

    def logits(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]:
        return self.scale * self.net(x.flatten(1)) - self.tail(x)[:, None]


def number_of_classes(classes: int | None, data: Data | None) -> int:
    """`classes`, or as many as the training rows have labels; InputError where the two do not agree."""
    if classes is not None:
        check.count("classes", classes, least=2)
    y = None if data is None else known(data).y
    if y is None:
        if classes is None:
            raise InputError("classes must be given, as there are no labels to take their number from")
        return classes
    labels = torch.unique(y)
    # A table knows its levels, of which held-out rows may lack one.
    levels = getattr(data, "levels", None)
    found = int(labels.max()) + 1 if levels is None else len(levels)
    if int(labels.min()) < 0 or found < 2:
        raise InputError(f"classes need labels 0, 1, … in the data, got {labels.tolist()[:5]}")
    if classes is not None and classes < found:
        raise InputError(f"classes must be >= {found}, the labels of the data, got {classes}")
    return found if classes is None else classes
