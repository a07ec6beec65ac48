"""The only loop that moves chains, for all samplers, in training and in sampling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.chain.burn_in import BurnInResult
from ebm_cli.chain.burn_in import burn_in as tune_during_burn_in
from ebm_cli.chain.engine import Tally, engine_of
from ebm_cli.chain.preconditioning import Units
from ebm_cli.chain.tuning import Tuning
from ebm_cli.data import _angles
from ebm_cli.energy import check_bounded, frozen, space_of
from ebm_cli.run.terminal import ignore_progress, never_stop
from ebm_cli.sampler import EnergyState, Sampler, State
from ebm_cli.sampler._replicas import Replicas, ReplicaStates
from ebm_cli.sampler.tempering import Tempering


@dataclass(frozen=True)
class Trajectory:
    """The kept draws of chains.

    x, energy: states and energies of the draws, oldest first.
    accept: mean acceptance over the steps since the previous draw; one row over all steps if no draws are kept.
    diverging: number of proposals without finite energy, over the same steps as `accept`.
    last: the final state.
    first_nonfinite_step: the step at which a chain was first not finite; −1 for never.
    steps: number of kernel steps, including burn-in.
    burn_in_steps: number of steps of the burn-in, the first ones; swaps and round trips are counted after it.
    gradients: evaluations per chain, including burn-in and tuning.
    sampler: the sampler after burn-in.
    replicas: the final replicas, for replica exchange.
    replica_states: their states, from which `resumed` continues.
    delta_u: U₀ − U of all replicas on each segment of the path at each draw, for replica exchange.
    """

    x: Float[Tensor, "draws n *event"]
    energy: Float[Tensor, "draws n"]
    accept: Float[Tensor, "_ n"]
    diverging: Int[Tensor, "_ n"]
    last: State | EnergyState
    first_nonfinite_step: Int[Tensor, " n"]
    steps: int
    burn_in_steps: int
    gradients: Float[Tensor, " n"]
    sampler: Sampler
    replicas: Replicas | None
    replica_states: Float[Tensor, "n K *event"] | None
    delta_u: Float[Tensor, "draws rows n"] | None


NO_TUNING = Tuning()


def run_chains(
    sampler: Sampler,
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    steps: int,
    rng: torch.Generator,
    burn_in: int = 0,
    thin: int | None = 1,
    progress: Callable[[int], None] = ignore_progress,
    stop: Callable[[], bool] = never_stop,
    engine: str = "eager",
    tuning: Tuning = NO_TUNING,
    resumed: ReplicaStates | None = None,
) -> Trajectory:
    """Move the chains at x by burn_in + steps transitions; keep every thin-th of the last `steps`.

    thin=None keeps only the last state. resumed: where replicas of replica exchange continue.
    See `Walk`. Raises InputError if the burn-in is too short for `tuning`, and if
    proposals diverge because E is −∞ near the last draws.
    """
    with frozen(energy), torch.no_grad():
        walk = Walk(sampler, energy, x, rng, burn_in, tuning, progress, stop, engine, resumed)
        return walk.record(steps, thin)


class Walk:
    """Chains that move: a burn-in, then one or more intervals of recorded steps.

    Burn-in tunes the sampler as `tuning` defines; afterwards it is fixed. A chain that is not finite at some step
    remains so (`first_nonfinite_step`). Angles of periodic states are in [−π, π) after each interval of steps; kernels
    move them beyond, which changes nothing, because E has the period. Only a burn-in with tuning waits for the device.
    `stop` is called after each step (each block of a compiled engine); no more steps are made after it returns True.
    `progress` is called with the total number of steps. The energy must be frozen and in evaluation mode, without
    gradients.
    """

    def __init__(
        self,
        sampler: Sampler,
        energy: nn.Module,
        x: Float[Tensor, "n *event"],
        rng: torch.Generator,
        burn_in: int,
        tuning: Tuning,
        progress: Callable[[int], None],
        stop: Callable[[], bool],
        engine: str,
        resumed: ReplicaStates | None = None,
    ) -> None:
        tuning.check_fits(sampler, burn_in)
        self.progress, self.stop, self.energy = progress, stop, energy
        self.is_periodic = space_of(energy) == _angles.SPACE
        tuned = BurnInResult(x, sampler, 0.0, 0)
        if tuning.adapt != "none":
            tuned = tune_during_burn_in(sampler, tuning, energy, x, burn_in, rng, progress, stop)
        self.tuned_steps, self.tuning_gradients = tuned.steps, tuned.gradients
        self.sampler = tuned.sampler
        self.units = Units.from_sampler(self.sampler, x)
        scaled_energy = self.units.energy(energy)
        self.runner = engine_of(engine, self.sampler, scaled_energy, rng)
        replicas = tuned.replicas
        # All replicas continue from their states. A new start from x would have only those of the model's replica.
        self.state: Any = (
            self._initial_state(scaled_energy, tuned.x, rng, resumed)
            if replicas is None
            else replicas.with_zero_counts()
        )
        self.tally = Tally.zero(x)
        self.steps = 0
        # `_advance` asks `stop` after its own steps; after the steps of the tuning it is asked here.
        self.stopped = tuning.adapt != "none" and stop()
        if tuning.adapt == "none":
            self._advance(burn_in)
        self.uncounted_steps = self.tuned_steps + self.steps
        if isinstance(self.state, Replicas):
            self.state = self.state.with_zero_counts()

    def _initial_state(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator, resumed: ReplicaStates | None
    ) -> Any:
        """Return the state of the sampler before its first step."""
        if resumed is None:
            return self.sampler.init(energy, self.units.from_x(x), rng)
        assert isinstance(self.sampler, Tempering)
        return self.sampler.resume(energy, resumed._replace(x=self.units.from_x(resumed.x)))

    def _replica_states(self) -> Float[Tensor, "n K *event"] | None:
        """Return the present states of all replicas of replica exchange."""
        if not isinstance(self.sampler, Tempering):
            return None
        return self.units.to_x(self.sampler.states(self.units.energy(self.energy), self.state))

    def record(self, steps: int, thin: int | None) -> Trajectory:
        """Move all chains by `steps` transitions and keep every thin-th state; only the last state if thin is None."""
        x, end = self.units.to_x(self.state.x), self.steps + steps
        draws = steps // thin if thin else 0
        n = len(x)
        kept_x, kept_energy, kept_accept = x.new_empty(draws, *x.shape), x.new_empty(draws, n), x.new_empty(draws, n)
        kept_diverging = torch.empty(draws, n, dtype=torch.int64, device=x.device)
        kept_delta_u: list[Tensor] = []
        filled = 0
        if thin:
            self.tally = reset_interval_counts(self.tally)
        while filled < draws and self._advance(thin or 0):
            kept_x[filled], kept_energy[filled] = self.units.to_x(self.state.x), self.state.energy
            kept_accept[filled], kept_diverging[filled] = self.tally.accepted / (thin or 1), self.tally.diverging
            self.tally = reset_interval_counts(self.tally)
            if isinstance(self.sampler, Tempering):
                kept_delta_u.append(self.sampler.delta_u(self.units.energy(self.energy), self.state))
            filled += 1
        # Steps after the last draw, if thin does not divide `steps`; all steps if thin is None.
        self._advance(end - self.steps)
        if filled and bool((kept_diverging[:filled] > 0).any()):
            check_bounded_near(self.energy, kept_x[filled - 1])
        first = self.tally.first_nonfinite_step
        return Trajectory(
            x=kept_x[:filled],
            energy=kept_energy[:filled],
            accept=kept_accept[:filled] if thin else (self.tally.accepted / max(self.steps, 1))[None],
            diverging=kept_diverging[:filled] if thin else self.tally.diverging[None],
            last=self.units.state(self.state),
            first_nonfinite_step=torch.where(first >= 0, first + self.tuned_steps, first),
            steps=self.tuned_steps + self.steps,
            burn_in_steps=self.uncounted_steps,
            # One more for the gradient of the initial states.
            gradients=self.tally.gradients + (self.tuning_gradients + 1),
            sampler=self.sampler,
            replicas=self.state if isinstance(self.state, Replicas) else None,
            replica_states=self._replica_states(),
            delta_u=torch.stack(kept_delta_u) if kept_delta_u else None,
        )

    def _advance(self, steps: int) -> bool:
        """Make this many steps, or fewer if `stop` returns True. Return True if all were made."""
        end = self.steps + steps
        while self.steps < end and not self.stopped:
            count = min(self.runner.block, end - self.steps)
            self.state, self.tally = self.runner.advance(self.state, self.tally, count)
            self.steps += count
            self.progress(self.tuned_steps + self.steps)
            self.stopped = self.stop()
        if self.is_periodic:
            self.state = wrapped(self.state, self.units)
        return self.steps == end


def wrapped(state: Any, units: Units) -> Any:
    """Return the state of a kernel with angles in [−π, π). Energies and gradients there are the same."""
    period = units.from_x(torch.full_like(state.x[0], _angles.PERIOD))
    if isinstance(state, Replicas):
        states = state.states._replace(z=_angles.wrap(state.states.z, period))
        return state._replace(states=states, model=state.model._replace(x=_angles.wrap(state.x, period)))
    return state._replace(x=_angles.wrap(state.x, period))


def check_bounded_near(energy: nn.Module, x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError if E is −∞ near these states. Draws do not show it, because kernels reject such proposals.

    States are moved by normal noise with 0.3, 1 and 3 times their standard deviation. The noise has a generator of its
    own, so that the check does not change the chains.
    """
    rng = torch.Generator(x.device).manual_seed(0)
    std = (x - x.mean(0)).square().mean(0).sqrt().nan_to_num()
    for width in (0.3, 1.0, 3.0):
        near = x + width * std * torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
        check_bounded(energy(near), near)


def reset_interval_counts(tally: Tally) -> Tally:
    """Return the tally with the counts between two draws set to 0."""
    return tally._replace(accepted=torch.zeros_like(tally.accepted), diverging=torch.zeros_like(tally.diverging))
