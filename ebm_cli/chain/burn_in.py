"""Burn-in that tunes a sampler: its step size, a scale a coordinate, a ladder of temperatures; then all are frozen."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.preconditioning import Units
from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Adjusted, HasLocalKernel, Info, Sampler, Unadjusted
from ebm_cli.sampler.tempering import Replicas, Tempering

LEAST_BURN_IN = 100
# Shares of the burn-in after which scales and ladder are set anew; what is left tunes the step size alone.
WINDOWS = (0.1, 0.25, 0.5)
# A step size is never brought below this share of where its window began.
FLOOR = 1e-4
HALVINGS = 40
# Power iterations before the first step; each step adds one.
FIRST_LOOKS = 8


@dataclass
class DualAveraging:
    """log ε_{t+1} = μ − √t/γ · 1/(t + t₀) Σ_{i≤t} (target − αᵢ), averaged with weights t^{−κ}; μ = log(10 ε₁).

    Nesterov's scheme in the form of Hoffman and Gelman, 2014, section 3.2, with their γ = 0.05, t₀ = 10, κ = 0.75. α:
    mean acceptance of all chains; an array adapts several step sizes at once. Never below FLOOR·ε₁.
    """

    first: Float[np.ndarray, " K"]
    target: float
    t: int = 0
    sum: Float[np.ndarray, " K"] = field(init=False)
    average: Float[np.ndarray, " K"] = field(init=False)

    def __post_init__(self) -> None:
        self.sum = np.zeros_like(self.first)
        self.average = np.log(self.first)

    def next(self, accept: Float[np.ndarray, " K"]) -> Float[np.ndarray, " K"]:
        """The step size to try after one that was accepted as often as this."""
        self.t += 1
        self.sum = self.sum + self.target - np.nan_to_num(accept)
        floor = np.log(FLOOR * self.first)
        log_step = np.maximum(np.log(10 * self.first) - self.sum * self.t**0.5 / (0.05 * (self.t + 10)), floor)
        weight = self.t**-0.75
        self.average = weight * log_step + (1 - weight) * self.average
        return np.exp(log_step)


@dataclass
class Spread:
    """Running variance of every coordinate over all chains and steps."""

    count: float = 0.0
    mean: Any = 0.0
    squares: Any = 0.0

    def add(self, x: Float[Tensor, "n *event"]) -> None:
        """Count in the states of all chains that are finite."""
        good = x[x.flatten(1).isfinite().all(1)].double()
        if not len(good):
            return
        centre, n = good.mean(0), len(good)
        shift, total = centre - self.mean, self.count + n
        self.squares = self.squares + (good - centre).square().sum(0) + shift.square() * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    def deviations(self) -> list[float] | None:
        """Standard deviations, drawn a little to their geometric mean; None before any coordinate has moved."""
        variance = torch.as_tensor(self.squares / max(self.count - 1, 1.0)).flatten()
        if self.count < 2 or not bool((variance > 0).any()):
            return None
        typical = variance[variance > 0].log().mean().exp()
        weight = self.count / (self.count + 5.0)
        return (weight * variance + (1 - weight) * typical).clamp(min=1e-8 * float(typical)).sqrt().tolist()


class AimAtAcceptance:
    """Tunes an adjusted kernel's step size to `target`, an acceptance. gradients: those of a chain for tuning alone.

    Begins at a step size that is accepted neither always nor never, found by doubling or halving the given one with no
    chain moved (Hoffman and Gelman, 2014, algorithm 4, here with the mean acceptance of all chains).
    """

    def __init__(self, energy: nn.Module, target: float) -> None:
        self.energy = energy
        self.target = target
        self.gradients = 0.0

    def begin(self, sampler: Any, state: Any, rng: torch.Generator) -> Any:
        """The sampler with a first step size for chains in `state`."""
        steps = np.array(sampler.step_sizes if isinstance(sampler, Tempering) else [sampler.step_size])
        active, direction = np.ones(len(steps), dtype=bool), None
        for _ in range(HALVINGS):
            trial = with_steps(sampler, steps)
            tried, info = trial.step(self.energy, restepped(state, trial), rng)
            self.gradients += of_a_chain(info.gradients)
            wish = np.where(np.nan_to_num(acceptance(tried, info)) > self.target, 1.0, -1.0)
            direction = wish if direction is None else direction
            active &= wish == direction
            if not active.any():
                break
            steps = np.where(active, steps * 2.0**direction, steps)
        self.averaging = DualAveraging(steps, self.target)
        return with_steps(sampler, steps)

    def next(self, sampler: Any, state: Any, info: Info, rng: torch.Generator) -> Any:  # noqa: ARG002
        """The sampler with the step size to try after a step that was accepted so often."""
        return with_steps(sampler, self.averaging.next(acceptance(state, info)))

    def settled(self, sampler: Any) -> Any:
        """The sampler with the step size that was found."""
        return with_steps(sampler, np.exp(self.averaging.average))


class AimAtBias:
    """Tunes an unadjusted kernel's step size to `target`, a relative bias in the stiffest direction.

    That is the one of the largest eigenvalue of the mean Hessian E[∇²E] over chains, found by power iteration on
    differences of gradients, one iteration a step: u ← ⟨∇E(x + δu) − ∇E(x)⟩/δ, whose length is the estimate. No second
    derivatives are needed, so that piecewise linear networks have one too. gradients: as above.
    """

    def __init__(self, energy: nn.Module, target: float) -> None:
        self.energy = energy
        self.target = target
        self.gradients = 0.0
        self.direction: Tensor | None = None
        self.curvature = math.nan

    def begin(self, sampler: Any, state: Any, rng: torch.Generator) -> Any:
        """The sampler with a first step size for chains in `state`."""
        self.direction = normal_like(state.x[0], rng)
        for _ in range(FIRST_LOOKS):
            self._look(state)
        return self.settled(sampler)

    def next(self, sampler: Any, state: Any, info: Info, rng: torch.Generator) -> Any:  # noqa: ARG002
        """The sampler with the step size for the stiffness that chains see now."""
        self._look(state)
        return self.settled(sampler)

    def settled(self, sampler: Any) -> Any:
        """The sampler with the step size for the stiffness found; as it is where none was."""
        if not math.isfinite(self.curvature):
            return sampler
        return dataclasses.replace(sampler, step_size=sampler.step_size_for(self.curvature, self.target))

    def _look(self, state: Any) -> None:
        """One iteration at the chains of `state`."""
        assert self.direction is not None
        x, u = state.x, self.direction / self.direction.norm()
        δ = 1e-3 * (float(x.std(0).norm()) if len(x) > 1 else 0.0) + 1e-3
        _, grad = energy_and_grad(self.energy, x + δ * u)
        self.gradients += 1
        push = ((grad - state.grad) / δ).double()
        push = push[push.flatten(1).isfinite().all(1)].mean(0).to(x)
        curvature = float(push.norm())
        if math.isfinite(curvature) and curvature > 0:
            self.direction, self.curvature = push, curvature


@dataclass(frozen=True)
class Burned:
    """Chains after their burn-in: where they are, the sampler as it is frozen, gradients a chain and steps so far."""

    x: Float[Tensor, "n *event"]
    sampler: Sampler
    gradients: float
    steps: int


@dataclass(frozen=True)
class Tuning:
    """What burn-in tunes.

    adapt: none; step, the step size; all, a scale a coordinate as well. An automatic ladder of temperatures is spaced
    by either. target_accept: the mean acceptance in (0, 1) at which the step size of a kernel with a Metropolis test
    aims; None for the kernel's own best. target_bias: the relative bias in (0, 1) at which that of a kernel without a
    test aims.
    """

    adapt: str = "none"
    target_accept: float | None = None
    target_bias: float = 0.05

    def __post_init__(self) -> None:
        check.every(
            lambda: check.one_of("adapt", self.adapt, ["auto", "none", "step", "all"]),
            lambda: None if self.target_accept is None else check.inside("target_accept", self.target_accept),
            lambda: check.inside("target_bias", self.target_bias),
        )

    @staticmethod
    def of(config: Mapping[str, Any]) -> "Tuning":
        """What the keys of a verb say."""
        return Tuning(config["adapt"], config["target_accept"], config["target_bias"])

    def settled(self, sampler: Sampler, typed: bool, burn_in: int | str) -> "Tuning":
        """The same for this sampler, with what adapt=auto means for it.

        auto tunes step size and scales of a kernel with a Metropolis test, and the step size of one without; a step
        size that is `typed` stays, and nothing is tuned in a `burn_in` that is too short for it.
        """
        if self.adapt != "auto":
            return self
        short = isinstance(burn_in, int) and burn_in < LEAST_BURN_IN
        if typed or short or not can_be_tuned(sampler):
            return dataclasses.replace(self, adapt="none")
        whole = isinstance(sampler, Adjusted)
        return dataclasses.replace(self, adapt="all" if whole else "step")

    def refuse(self, sampler: Sampler, burn_in: int) -> None:
        """Raise InputError where there is something to tune and no room or no way to do it."""
        if self.adapt == "none":
            return
        if burn_in < LEAST_BURN_IN:
            raise InputError(
                f"burn_in must be >= {LEAST_BURN_IN} for adapt={self.adapt}, got {burn_in}: a sampler is tuned in its "
                "burn-in alone"
            )
        if not can_be_tuned(sampler):
            raise InputError(f"adapt={self.adapt} needs a sampler with a step size to tune; type adapt=none")


def can_be_tuned(sampler: Sampler) -> bool:
    """Whether burn-in knows how to find the sampler's step size."""
    return isinstance(sampler, Adjusted | Unadjusted | HasLocalKernel)


def burn_in(
    sampler: Sampler,
    tuning: Tuning,
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    steps: int,
    rng: torch.Generator,
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> Burned:
    """Move the chains at x by `steps` transitions while tuning the sampler.

    One that mixes a simpler kernel with other moves is tuned by that kernel alone.

    The acceptance of all chains is read after every step, so this part waits for the device. In three windows the
    scales (where adapt is all) and an automatic ladder are set from what the chains did, each with the step size begun
    anew; the last half tunes the step size alone. Chains are not a sample while they are tuned: draw none from here.
    """
    if isinstance(sampler, HasLocalKernel):
        step = dataclasses.replace(tuning, adapt="step")
        local = burn_in(sampler.local_kernel(), step, energy, x, steps, rng, progress, stop)
        found = cast(Any, local.sampler).step_size
        return dataclasses.replace(local, sampler=dataclasses.replace(cast(Any, sampler), step_size=found))
    tuned: Any = sampler
    spaced = getattr(tuned, "temperatures", None) == "auto"
    step, gradients = 0, 0.0
    for end in [*(int(share * steps) for share in WINDOWS), steps]:
        units, spread = Units.of(tuned, x), Spread()
        inner = units.energy(energy)
        tuner = aim(sampler, inner, tuning)
        tuned = tuner.begin(tuned, tuned.init(inner, units.into(x), rng), rng)
        state = tuned.init(inner, units.into(x), rng)
        gradients += 2
        while step < end and not stop():
            state, info = tuned.step(inner, state, rng)
            gradients += of_a_chain(info.gradients)
            tuned = tuner.next(tuned, state, info, rng)
            state = restepped(state, tuned)
            spread.add(units.back(state.x))
            step += 1
            progress(step)
        x, tuned = units.back(state.x), tuner.settled(tuned)
        gradients += tuner.gradients
        if end < steps and tuning.adapt == "all":
            tuned = dataclasses.replace(tuned, scales=spread.deviations())
        if end < steps and spaced:
            tuned = tuned.with_equal_swap_rates(state.swap_rates().tolist())
    return Burned(x, tuned, gradients, step)


def aim(sampler: Sampler, energy: nn.Module, tuning: Tuning) -> AimAtBias | AimAtAcceptance:
    """What tunes this sampler's step size: by its bias where it has no test, by its acceptance where it has one."""
    if isinstance(sampler, Unadjusted):
        return AimAtBias(energy, tuning.target_bias)
    best = cast(Adjusted, sampler).best_acceptance
    return AimAtAcceptance(energy, best if tuning.target_accept is None else tuning.target_accept)


def of_a_chain(gradients: Tensor | int) -> float:
    """Evaluations that a step took, the mean over chains."""
    return float(gradients.mean()) if isinstance(gradients, Tensor) else float(gradients)


def acceptance(state: Any, info: Info) -> Float[np.ndarray, " K"]:
    """Mean acceptance of all chains: one number, or one a rung."""
    mean = state.accept if isinstance(state, Replicas) else info.accept.mean()[None]
    return mean.double().cpu().numpy()


def with_steps(sampler: Any, steps: Float[np.ndarray, " K"]) -> Any:
    """The sampler with this step size, or these of its rungs."""
    step_size = steps.tolist() if isinstance(sampler, Tempering) else float(steps[0])
    return dataclasses.replace(sampler, step_size=step_size)


def restepped(state: Any, sampler: Any) -> Any:
    """The state under the sampler's new step sizes, where the state holds them."""
    if isinstance(state, Replicas):
        return state._replace(steps=state.steps.new_tensor(sampler.step_sizes))
    return state
