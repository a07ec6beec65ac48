"""What metrics of a classifier need: an energy with classes, and held-out rows with labels."""

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy._capabilities import Logits, offers
from ebm_cli.metric import NEEDS_DATA, EvaluationContext


def with_classes(energy: nn.Module) -> Logits:
    """Return the energy. Raises InputError if it has no classes."""
    if not offers(energy, Logits):
        raise InputError(
            f"needs an energy with classes, {type(energy).__name__} has none: train with energy=classifier "
            "objective=joint_classifier"
        )
    return energy


def labeled_rows(context: EvaluationContext) -> tuple[Float[Tensor, "n *event"], Int[np.ndarray, " n"]]:
    """Return the held-out rows, with noise, and their labels. Raises InputError without data or labels."""
    if context.held_out is None:
        raise InputError(NEEDS_DATA)
    if context.held_out.y is None:
        raise InputError(f"needs labels, {context.held_out_name} have none: a table gets them by data.label=COLUMN")
    return context.held_out.x, context.held_out.y.cpu().numpy()
