"""The training run whose model a verb uses: what paths need of its history."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ebm_cli.run.checkpoint import energy_weights
from ebm_cli.run.folder import Run


@dataclass(frozen=True)
class SampledRun:
    """run: the folder. checkpoint: last, best or a step, whose model is used. weights: raw or averaged."""

    run: Run
    checkpoint: str
    weights: str

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> "SampledRun | None":
        """Return the run that a verb's configuration names; None if it names none."""
        if not config.get("run"):
            return None
        return SampledRun(Run(Path(config["run"])), str(config["checkpoint"]), config["weights"])

    def earlier_steps(self) -> list[int]:
        """Return the steps of the checkpoints before the one whose model is used."""
        own = int(self.run.checkpoint(self.checkpoint).name.removeprefix("step-"))
        return [step for step in self.run.steps() if step < own]

    def weights_at(self, step: int) -> dict[str, Tensor]:
        """Return the energy's weights at a checkpoint."""
        return energy_weights(self.run.checkpoint(step), self.weights)

    def objective(self) -> dict[str, Any]:
        """Return the configuration of the objective of the run."""
        return self.run.whole_config().get("objective") or {}
