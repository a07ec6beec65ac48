"""Objectives: what training minimises. Every other file in this folder is one of them.

An objective is an `nn.Module`; its buffers, a second network and, through `get_extra_state`, an optimizer of
its own are saved with the run. Sampler, start and data reach it from the verb, never through its YAML.
"""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class Outcome:
    """One step's loss and both phases; None where a part does not exist.

    loss: what is differentiated. x_data, e_data: the positive phase; x_model, e_model: the negative one.
    clean: the rows of x_data before noise.
    scalars: further figures to log, by name; tensors of one number.
    """

    loss: Float[Tensor, ""]
    x_data: Float[Tensor, "n *event"]
    e_data: Float[Tensor, " n"]
    x_model: Float[Tensor, "m *event"] | None = None
    e_model: Float[Tensor, " m"] | None = None
    clean: Float[Tensor, "n *event"] | None = None
    scalars: dict[str, Tensor] = field(default_factory=dict)


class Objective(nn.Module):
    """Base of all objectives: `forward(energy, batch, rng) -> Outcome`."""
