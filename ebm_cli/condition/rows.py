"""The cells of a table that are not empty are known."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.condition._known_part import Known


class Rows(Known):
    """The cells of a file's rows that have a value are known, and the empty ones are drawn: imputation.

    path: a table with the columns of the training file, or an array in the units of the model.
    """

    def __init__(self, path: str) -> None:
        self.path = str(path)

    def known(self, x: Float[Tensor, "*event"], rng: torch.Generator) -> Bool[Tensor, "*event"]:  # noqa: ARG002
        return x.isfinite()
