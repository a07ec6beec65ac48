"""All that a training run is at one step, and its way to disk and back on the same bits."""

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


class TrainState:
    """Energy, its average, objective (buffer, own networks), optimizer, schedule, generators and step.

    `save` and `load` are its whole persistence: a run resumed from a checkpoint goes on as if never stopped.
    """

    def __init__(
        self,
        energy: nn.Module,
        averaged: AveragedModel | None,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        schedule: LambdaLR,
        seed: int,
        device: str,
    ) -> None:
        self.energy = energy
        self.averaged = averaged
        self.objective = objective
        self.optimizer = optimizer
        self.schedule = schedule
        self.generators = {name: rng.generator(seed, name, device) for name in GENERATORS}
        self.seed = seed
        self.step = 0
        self.rollbacks = 0

    def tree(self) -> dict[str, Any]:
        """Everything, as nested dicts and lists of tensors and plain values."""
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
        """The starts inside the objective that keep chains, by the prefix of their names in its state."""
        modules = self.objective.named_modules(remove_duplicate=False)
        return {f"{name}.": module for name, module in modules if isinstance(module, Buffered)}

    def split(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """`tree()` without the chains that starts keep, and these; `chains` of the tree tells whether there are any."""
        tree, prefixes = self.tree(), tuple(self.buffered())
        apart = {name: value for name, value in tree["objective"].items() if name.startswith(prefixes)}
        tree["objective"] = {name: value for name, value in tree["objective"].items() if name not in apart}
        has_chains = any(start.holds_chains() for start in self.buffered().values())
        return tree | {"chains": has_chains}, apart if has_chains else {}

    def reseed(self, purpose: str) -> None:
        """Start all generators anew, torch's global ones too, from the run's seed and `purpose`."""
        for name, generator in self.generators.items():
            generator.manual_seed(rng.derive(self.seed, f"{name}/{purpose}"))
        torch.manual_seed(rng.derive(self.seed, f"layers/{purpose}"))

    def cleared(self) -> dict[str, Tensor]:
        """The state of starts without any chain."""
        prefixes = tuple(self.buffered())
        for start in self.buffered().values():
            start.clear()
        return {name: value for name, value in self.objective.state_dict().items() if name.startswith(prefixes)}

    def save(self, run: Run) -> Path:
        """Write checkpoints/step-N aside, read it back, rename it, then let `last` name it."""
        return write_step(run, self.step, *self.split())

    def load(self, folder: Path) -> list[str]:
        """Take over what a checkpoint holds; generators come last, so that nothing here moves them.

        Returns what it lacks: chains that are not stored with it any more, or are damaged, start again.
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
                chains = self.cleared()
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
            "energy has no torch.nn.Parameter, so there is nothing to train; ebm sample draws from it as it is"
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
