"""The components of a run."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from ebm_cli.data import Data
from ebm_cli.energy._composition import notes_of
from ebm_cli.objective import Objective
from ebm_cli.optimizer import OptimizerRecipe
from ebm_cli.regularizer import Regularizer
from ebm_cli.run import machine
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


@dataclass(frozen=True)
class Parts:
    """The components of a run; None for a group that its configuration leaves out.

    replaced: nodes that took the place of defaults which do not work on the energy's states, by group.
    assembly_notes: a message on each of them.
    """

    machine: machine.Machine
    event: tuple[int, ...]
    energy: nn.Module
    data: Data | None
    sampler: Sampler
    start: Start | None
    objective: Objective | None
    regularizers: dict[str, Regularizer]
    optimizer: OptimizerRecipe | None
    engine: str
    replaced: dict[str, dict[str, Any]] = field(default_factory=dict)
    assembly_notes: tuple[str, ...] = ()

    def with_sampler(self, sampler: Sampler) -> "Parts":
        """Return the parts with another sampler, and give the same sampler to the objective and the regularizers."""
        holders = [*(() if self.objective is None else self.objective.modules()), *self.regularizers.values()]
        for part in holders:
            if "sampler" in getattr(part, "__dict__", {}):
                vars(part)["sampler"] = sampler
        return replace(self, sampler=sampler)

    @property
    def has_chains(self) -> bool:
        """Return True if the objective moves chains of the model, at its first training step or later."""
        return self.objective is not None and any("sampler" in vars(part) for part in self.objective.modules())

    def set_chain_steps(self, steps: int) -> None:
        """Set the number of kernel steps that chains of the objective make per training step."""
        for part in () if self.objective is None else self.objective.modules():
            if "sampler" in vars(part) and "steps" in vars(part):
                vars(part)["steps"] = steps

    @property
    def notes(self) -> list[str]:
        """Return the notes of data and energy on how they were composed, and those on defaults that were replaced."""
        return [*(note for part in (self.data, self.energy) for note in notes_of(part)), *self.assembly_notes]
