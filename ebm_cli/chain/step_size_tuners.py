"""Search for a kernel's step size while chains move: by acceptance if Metropolis-adjusted, otherwise by bias."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.tuning import Tuning
from ebm_cli.energy import energy_and_grad
from ebm_cli.sampler import Adjusted, Info, Sampler, Unadjusted
from ebm_cli.sampler._replicas import Replicas
from ebm_cli.sampler.tempering import Tempering

# Smallest step size, in units of the first step size.
MIN_STEP_FRACTION = 1e-4
MAX_HALVINGS = 40
# Number of power iterations before the first step. Each step adds one iteration.
N_FIRST_ITERATIONS = 8


@dataclass
class DualAveraging:
    """log ε_{t+1} = μ − √t/γ · 1/(t + t₀) Σ_{i≤t} (target − αᵢ), averaged with weights t^{−κ}; μ = log(10 ε₁).

    Nesterov's scheme in the form of Hoffman and Gelman, 2014, section 3.2, with their γ = 0.05, t₀ = 10, κ = 0.75. α is
    the mean acceptance of all chains; an array adapts several step sizes at once. ε ≥ MIN_STEP_FRACTION·ε₁.
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
        """Return the next trial step size, given the acceptance rate of the current step size."""
        self.t += 1
        self.sum = self.sum + self.target - np.nan_to_num(accept)
        floor = np.log(MIN_STEP_FRACTION * self.first)
        log_step = np.maximum(np.log(10 * self.first) - self.sum * self.t**0.5 / (0.05 * (self.t + 10)), floor)
        weight = self.t**-0.75
        self.average = weight * log_step + (1 - weight) * self.average
        return np.exp(log_step)


class AcceptanceTuner:
    """Tunes the step size of a Metropolis-adjusted kernel until the mean acceptance is `target`.

    The first step size is found by doubling or halving the given one until its acceptance crosses the target, without
    moving a chain (Hoffman and Gelman, 2014, algorithm 4, here with the mean acceptance of all chains).
    gradients: evaluations per chain that only the tuning needed.
    """

    def __init__(self, energy: nn.Module, target: float) -> None:
        self.energy = energy
        self.target = target
        self.gradients = 0.0

    def first_sampler(self, sampler: Any, state: Any, rng: torch.Generator) -> Any:
        """Return the sampler with an initial step size for chains in `state`."""
        steps = np.array(sampler.replica_step_factors if isinstance(sampler, Tempering) else [sampler.step_size])
        active, direction = np.ones(len(steps), dtype=bool), None
        for _ in range(MAX_HALVINGS):
            trial = with_step_sizes(sampler, steps)
            tried, info = trial.step(self.energy, with_current_step_sizes(state, trial), rng)
            self.gradients += mean_gradients(info.gradients)
            toward_target = np.where(np.nan_to_num(mean_acceptance(tried, info)) > self.target, 1.0, -1.0)
            direction = toward_target if direction is None else direction
            active &= toward_target == direction
            if not active.any():
                break
            steps = np.where(active, steps * 2.0**direction, steps)
        self.averaging = DualAveraging(steps, self.target)
        return with_step_sizes(sampler, steps)

    def next_sampler(self, sampler: Any, state: Any, info: Info) -> Any:
        """Return the sampler with the next trial step size after a step."""
        return with_step_sizes(sampler, self.averaging.next(mean_acceptance(state, info)))

    def final_sampler(self, sampler: Any) -> Any:
        """Return the sampler with the step size that was found."""
        return with_step_sizes(sampler, np.exp(self.averaging.average))


class BiasTuner:
    """Tunes the step size of an unadjusted kernel until the relative bias in the stiffest direction is `target`.

    That direction belongs to the largest eigenvalue of the mean Hessian E[∇²E] over chains. It is found by power
    iteration on differences of gradients, with one iteration per step: u ← ⟨∇E(x + δu) − ∇E(x)⟩/δ. The length of u
    estimates the eigenvalue. Piecewise linear networks have an estimate too, because second derivatives are not used.

    gradients: evaluations per chain that only the tuning needed.
    """

    def __init__(self, energy: nn.Module, target: float) -> None:
        self.energy = energy
        self.target = target
        self.gradients = 0.0
        self.direction: Tensor | None = None
        self.curvature = math.nan

    def first_sampler(self, sampler: Any, state: Any, rng: torch.Generator) -> Any:
        """Return the sampler with a first step size for chains in `state`."""
        self.direction = torch.randn(state.x[0].shape, generator=rng, dtype=state.x.dtype, device=state.x.device)
        for _ in range(N_FIRST_ITERATIONS):
            self._iterate(state)
        return self.final_sampler(sampler)

    def next_sampler(self, sampler: Any, state: Any, info: Info) -> Any:  # noqa: ARG002
        """Return the sampler with the step size for the curvature at the chains' present states."""
        self._iterate(state)
        return self.final_sampler(sampler)

    def final_sampler(self, sampler: Any) -> Any:
        """Return the sampler with the step size for the curvature that was found; unchanged if none was."""
        if not math.isfinite(self.curvature):
            return sampler
        return dataclasses.replace(sampler, step_size=sampler.step_size_for(self.curvature, self.target))

    def _iterate(self, state: Any) -> None:
        """Make one power iteration at the chains of `state`."""
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


def make_tuner(sampler: Sampler, energy: nn.Module, tuning: Tuning) -> BiasTuner | AcceptanceTuner:
    """Return the tuner of this sampler's step size."""
    if isinstance(sampler, Unadjusted):
        return BiasTuner(energy, tuning.target_bias)
    best = cast(Adjusted, sampler).best_acceptance
    return AcceptanceTuner(energy, best if tuning.target_accept is None else tuning.target_accept)


def mean_gradients(gradients: Tensor | int) -> float:
    """Return the mean number of evaluations of a step over chains."""
    return float(gradients.double().mean()) if isinstance(gradients, Tensor) else float(gradients)


def mean_acceptance(state: Any, info: Info) -> Float[np.ndarray, " K"]:
    """Return the mean acceptance of all chains: one number, or one per temperature."""
    mean = state.accept if isinstance(state, Replicas) else info.accept.mean()[None]
    return mean.double().cpu().numpy()


def with_step_sizes(sampler: Any, steps: Float[np.ndarray, " K"]) -> Any:
    """Return the sampler with this step size, or with these factors of its replicas' steps."""
    if isinstance(sampler, Tempering):
        return dataclasses.replace(sampler, step_factors=steps.tolist())
    return dataclasses.replace(sampler, step_size=float(steps[0]))


def with_current_step_sizes(state: Any, sampler: Any) -> Any:
    """Return the state with the sampler's step sizes, if it contains any."""
    if isinstance(state, Replicas):
        return state._replace(step_factors=state.step_factors.new_tensor(sampler.replica_step_factors))
    return state
