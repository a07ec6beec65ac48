"""The whole state of a training run at one step. It is saved and loaded without a change of bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebm_cli import rng
from ebm_cli.assembly.components import Parts
from ebm_cli.check import InputError
from ebm_cli.objective import Objective
from ebm_cli.run.checkpoint import chains_of, misfit, read_checkpoint, write_step
from ebm_cli.run.folder import Run
from ebm_cli.start import Buffered
from ebm_cli.training.trainer import Trainer

GENERATORS = ("data", "chains")


@dataclass(eq=False)
class TrainState:
    """The state of training. `save` and `load` keep all of it: a resumed run gives the bits of an uninterrupted run.

    averaged: the average of the energy's weights; None without averaging.
    objective: its replay buffer and its own networks are part of the state.
    rollbacks: number of rollbacks so far.
    """

    energy: nn.Module
    averaged: AveragedModel | None
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    seed: int
    device: str
    step: int = 0
    rollbacks: int = 0

    def __post_init__(self) -> None:
        self.generators = {name: rng.generator(self.seed, name, self.device) for name in GENERATORS}

    def tree(self) -> dict[str, Any]:
        """Return the whole state as nested dicts and lists of tensors and plain values."""
        return {
            "energy": dict(self.energy.state_dict()),
            "averaged": dict(self.averaged.module.state_dict()) if self.averaged else {},
            "averaged_count": self.averaged.n_averaged if self.averaged else None,
            "objective": dict(self.objective.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": {name: g.get_state() for name, g in self.generators.items()},
            "global_generators": rng.global_states(),
            "step": self.step,
            "rollbacks": self.rollbacks,
        }

    def buffered(self) -> dict[str, Buffered]:
        """Return the starts inside the objective that keep chains, by the prefix of their names in its state."""
        modules = self.objective.named_modules(remove_duplicate=False)
        return {f"{name}.": module for name, module in modules if isinstance(module, Buffered)}

    def tree_and_chains(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return `tree()` without the chains that starts keep, and these chains. The tree's key `chains` is a flag."""
        tree, prefixes = self.tree(), tuple(self.buffered())
        chains = {name: value for name, value in tree["objective"].items() if name.startswith(prefixes)}
        tree["objective"] = {name: value for name, value in tree["objective"].items() if name not in chains}
        has_chains = any(start.holds_chains() for start in self.buffered().values())
        return tree | {"chains": has_chains}, chains if has_chains else {}

    def reseed(self, purpose: str) -> None:
        """Reset all generators, including torch's global generators, from the run's seed and `purpose`."""
        for name, generator in self.generators.items():
            generator.manual_seed(rng.derive(self.seed, f"{name}/{purpose}"))
        torch.manual_seed(rng.derive(self.seed, f"layers/{purpose}"))

    def clear_chains(self) -> dict[str, Tensor]:
        """Remove the chains of all starts, and return their state without chains."""
        prefixes = tuple(self.buffered())
        for start in self.buffered().values():
            start.clear()
        return {name: value for name, value in self.objective.state_dict().items() if name.startswith(prefixes)}

    def save(self, run: Run) -> Path:
        """Write checkpoints/step-N and let `last` name it; return its folder."""
        return write_step(run, self.step, *self.tree_and_chains())

    def load(self, folder: Path) -> list[str]:
        """Load a checkpoint. Generators are loaded last, because loading the rest may draw random numbers.

        Return messages on chains that are damaged or were removed. They start again.
        """
        tree = read_checkpoint(folder)
        chains, lacks = chains_of(folder, tree)
        problem = misfit(self.energy, tree["energy"]) if isinstance(tree.get("energy"), dict) else "it has no energy"
        if problem:
            raise InputError(f"checkpoint {folder} does not fit this run's energy: {problem}")
        try:
            self.energy.load_state_dict(tree["energy"])
            if self.averaged is not None:
                self.averaged.module.load_state_dict(tree["averaged"])
                self.averaged.n_averaged.copy_(tree["averaged_count"])
            if not chains and "chains" in tree:
                chains = self.clear_chains()
            self.objective.load_state_dict(tree["objective"] | chains)
            self.optimizer.load_state_dict(tree["optimizer"])
            self.schedule.load_state_dict(tree["schedule"])
            self.step = tree["step"]
            self.rollbacks = tree.get("rollbacks", 0)
            for name, generator in self.generators.items():
                generator.set_state(tree["generators"][name])
            rng.set_global_states(tree["global_generators"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"checkpoint {folder} does not fit this run: its objective, optimizer or generators are not those of "
                f"config.yaml ({type(error).__name__})"
            ) from error
        return lacks


def check_trainable(parts: Parts) -> None:
    """Raise InputError unless there is something to train, and everything that training needs."""
    if parts.objective is None or parts.data is None or parts.optimizer is None:
        raise InputError("objective, data and optimizer must all be chosen to train")
    if not [*parts.energy.parameters(), *parts.objective.parameters()]:
        raise InputError(
            "energy has no torch.nn.Parameter, so there is nothing to train; ebm sample draws samples from it as it is"
        )


def first_state(parts: Parts, trainer: Trainer, seed: int) -> TrainState:
    """Return the state of training before its first step."""
    assert parts.objective is not None and parts.optimizer is not None
    parts.energy.train()
    parts.objective.train()
    optimizer = parts.optimizer.build([*parts.energy.parameters(), *parts.objective.parameters()])
    averaged = None
    if trainer.ema_decay is not None:
        average = get_ema_multi_avg_fn(trainer.ema_decay)
        averaged = AveragedModel(parts.energy, multi_avg_fn=average, use_buffers=False)
    schedule = parts.optimizer.schedule(optimizer)
    return TrainState(parts.energy, averaged, parts.objective, optimizer, schedule, seed, parts.machine.device)
