"""A path through earlier checkpoints of a run to its model: parallel trajectory tempering."""

import copy
import dataclasses
from dataclasses import dataclass

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.path._drawn_path import DrawnPath, check_anchors
from ebm_cli.run.sampled import SampledRun


@dataclass(frozen=True)
class RunsPath(DrawnPath):
    """Anchors E(x)/T of earlier checkpoints, then the model, and linear mixtures of neighbors between them.

    Early in training the model is easy to sample, and later models differ little from one checkpoint to the next, so
    that states follow the modes as training has made them (Béreux et al., 2024, arXiv 2405.15376).

    runs: rising steps of checkpoints before the model's own; auto: all of them, of which a pilot run keeps as few as
        still swap often.
    run: the run.
    Other fields: see `DrawnPath`.
    """

    runs: str | list[int]
    run: SampledRun | None

    def __post_init__(self) -> None:
        check.every(super().__post_init__, self.check_runs, lambda: check_anchors(self.betas, self.runs))

    def check_runs(self) -> None:
        """Raise InputError unless the checkpoints are auto or a rising list of earlier ones of a run."""
        if self.run is None:
            raise InputError(
                "runs leads through checkpoints of a trained run. Type ebm sample run=RUN path=runs, or path=base"
            )
        if isinstance(self.runs, list):
            steps = self.run.earlier_steps()
            if not self.runs or self.runs != [step for step in steps if step in self.runs]:
                raise InputError(f"runs must be rising steps of earlier checkpoints, of {steps}, got {self.runs}")
            return
        check.one_of("runs", self.runs, ["auto"])
        if self.betas != "auto":
            raise InputError("betas=[…] needs the checkpoints that they stand at. Type path.runs=[…]")
        if not self.run.earlier_steps():
            raise InputError(
                f"runs needs earlier checkpoints, and run={self.run.run.folder} has none before checkpoint="
                f"{self.run.checkpoint}. Type path=base, or train with trainer.checkpoint_every=100 trainer.keep=50"
            )

    @property
    def description(self) -> str:
        return f", through the checkpoints of steps {', '.join(map(str, self.runs))}"

    @property
    def segments(self) -> int:
        return len(self.runs) + 1

    def models(self, energy: nn.Module) -> list[nn.Module]:
        assert isinstance(self.runs, list)
        return [*(self.model_at(step, energy) for step in self.runs), energy]

    def model_at(self, step: int, energy: nn.Module) -> nn.Module:
        """Return the energy with the weights of a checkpoint."""
        assert self.run is not None
        earlier = copy.deepcopy(energy)
        earlier.load_state_dict(self.run.weights_at(step))
        return earlier.eval().requires_grad_(False)

    def with_candidates(self, energy: nn.Module) -> "RunsPath":  # noqa: ARG002
        if self.runs != "auto":
            return self
        assert self.run is not None
        return dataclasses.replace(self, runs=self.run.earlier_steps())

    def with_anchors(self, kept: list[int]) -> "RunsPath":
        assert isinstance(self.runs, list)
        path = dataclasses.replace(self, runs=[self.runs[number - 1] for number in kept[1:-1]])
        return self.with_cache_of_anchors(path, kept)
