"""Replica exchange in training: replicas that continue from step to step, at places that follow the model."""

import dataclasses
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.path_kernels import PathKernel
from ebm_cli.chain.pilot import Ladder
from ebm_cli.chain.replica_search import find_replicas, needs_search, with_ladder, with_places
from ebm_cli.check import InputError
from ebm_cli.path.base import BasePath
from ebm_cli.path.rates import RatesPath
from ebm_cli.sampler import Sampler
from ebm_cli.sampler._replicas import ReplicaStates
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import InitialStates

# Number of gradients that a pilot run may use in training.
PILOT_BUDGET = 200_000
# Gain of log step size per unit of acceptance error, per training step.
GAIN = 0.1


class TrainingReplicas(nn.Module):
    """Places of replicas that a pilot run renews in training, and the swaps that alternate across training steps.

    A path from a density fitted to rows, or from independent sites, has automatic places. They follow the model: every
    `path.renew_every` training steps a pilot run anneals from the base to the present model, with the sampler's kernel,
    and finds the places and the lengths of steps. If annealing does not reach the model, the last places stay. Between
    pilot runs the steps follow the acceptance, log ε' = log ε + GAIN·(acceptance − target), because a model that
    becomes steeper would otherwise reject all proposals at the states whose energy training raises.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ladder: Ladder | None = None
        self.uses = 0
        self.odd = False
        self.register_load_state_dict_pre_hook(add_state_of_old_checkpoint)

    def get_extra_state(self) -> dict[str, Any]:
        found = None if self.ladder is None else {"betas": self.ladder.betas, "steps": self.ladder.step_sizes}
        return {"ladder": found, "uses": self.uses, "odd": self.odd}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        found = state["ladder"]
        self.ladder = None if found is None else Ladder(found["betas"], found["steps"])
        self.uses, self.odd = state["uses"], state["odd"]

    def sampler(self, configured: Tempering, energy: nn.Module, rng: torch.Generator) -> Tempering:
        """Return the sampler of this training step. Raises InputError if the first pilot run finds no places."""
        if not needs_search(configured):
            return configured
        assert isinstance(configured.path, BasePath | RatesPath)
        # A kernel without a step size, such as gibbs, moves the replicas at places that another one has found.
        kernel = configured.kernel if isinstance(configured.kernel, PathKernel) else None
        if self.uses % configured.path.renew_every == 0:
            found = find_replicas(configured, energy, 0, rng, kernel, PILOT_BUDGET)
            self.ladder = self.ladder if found is None else found.ladder
        if self.ladder is None:
            raise InputError(
                "path: annealing from its far end does not reach the model. Type another path.base, path=hot, or "
                "objective.delay_steps=500 with a regularizer"
            )
        self.uses += 1
        return with_places(configured, self.ladder) if kernel is None else with_ladder(configured, self.ladder, kernel)

    def resume(self, initial: InitialStates) -> ReplicaStates:
        """Return where replicas continue: at their last states, or all at the initial state of their chain."""
        return ReplicaStates(initial.x[:, None] if initial.replicas is None else initial.replicas, self.odd)

    def follow(self, chains: Trajectory, steps: int) -> dict[str, Tensor]:
        """Take over what the next training step needs of these steps, and return the scalars to log."""
        assert chains.replicas is not None
        self.odd ^= bool(steps % 2)
        self.follow_acceptance(chains.replicas.accept, chains.sampler)
        return {"swap_rate_min": chains.replicas.min_swap_rate()}

    def follow_acceptance(self, accept: Float[Tensor, " moving"], sampler: Sampler) -> None:
        """Change the length of each replica's step by its acceptance in this training step."""
        kernel = cast(Tempering, sampler).kernel
        if self.ladder is None or not isinstance(kernel, PathKernel):
            return
        target = kernel.best_acceptance
        changes = (GAIN * (accept - target)).exp().tolist()
        steps = [step * change for step, change in zip(self.ladder.step_sizes, changes, strict=True)]
        self.ladder = dataclasses.replace(self.ladder, step_sizes=steps)


def add_state_of_old_checkpoint(_: nn.Module, stored: dict[str, Any], prefix: str, *__: Any) -> None:
    """Give a checkpoint of an earlier version, which has no such state, the state before the first training step."""
    stored.setdefault(f"{prefix}_extra_state", TrainingReplicas().get_extra_state())
