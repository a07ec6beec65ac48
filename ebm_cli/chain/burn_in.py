"""Burn-in that tunes a sampler: its step size, one scale per coordinate, and the places of replicas."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.preconditioning import Units
from ebm_cli.chain.step_size_tuners import make_tuner, mean_gradients, with_current_step_sizes
from ebm_cli.chain.tuning import Tuning
from ebm_cli.data import _angles
from ebm_cli.energy import space_of
from ebm_cli.sampler import HasLocalKernel, Sampler
from ebm_cli.sampler._replicas import Replicas
from ebm_cli.sampler.tempering import Tempering

# Fractions of the burn-in after which scales and places are set. The last part tunes only the step size.
WINDOWS = (0.1, 0.25, 0.5)


@dataclass
class RunningVariance:
    """The running variance of every coordinate over all chains and steps."""

    count: float = 0.0
    mean: Any = 0.0
    squares: Any = 0.0

    def add(self, x: Float[Tensor, "n *event"]) -> None:
        """Include the states of all chains that are finite."""
        finite = x[x.flatten(1).isfinite().all(1)].double()
        if not len(finite):
            return
        center, n = finite.mean(0), len(finite)
        shift, total = center - self.mean, self.count + n
        self.squares = self.squares + (finite - center).square().sum(0) + shift.square() * (self.count * n / total)
        self.mean = self.mean + shift * (n / total)
        self.count = total

    def variance(self) -> Float[Tensor, " size"]:
        """Return the variance of each coordinate."""
        return torch.as_tensor(self.squares / max(self.count - 1, 1.0)).flatten()

    def scales(self) -> list[float] | None:
        """Return standard deviations, shrunk slightly to their geometric mean; None if no coordinate has moved."""
        variance = self.variance()
        if self.count < 2 or not bool((variance > 0).any()):
            return None
        typical = variance[variance > 0].log().mean().exp()
        weight = self.count / (self.count + 5.0)
        return (weight * variance + (1 - weight) * typical).clamp(min=1e-8 * float(typical)).sqrt().tolist()


class RunningCircularVariance(RunningVariance):
    """The same of angles: −2 log R, R the mean resultant length, but at most that of uniform angles, π²/3.

    It is not changed by full turns, by which chains of angles move away without bounds.
    """

    def add(self, x: Float[Tensor, "n *event"]) -> None:
        super().add(_angles.on_circles(x))

    def variance(self) -> Float[Tensor, " size"]:
        cosines, sines = torch.as_tensor(self.mean).chunk(2)
        square = (cosines**2 + sines**2).clamp(math.exp(-(math.pi**2) / 3), 1.0)
        return -square.log()


@dataclass(frozen=True)
class BurnInResult:
    """Chains after their burn-in.

    x: states of the chains.
    sampler: the tuned sampler.
    gradients: evaluations per chain.
    steps: number of steps made.
    """

    x: Float[Tensor, "n *event"]
    sampler: Sampler
    gradients: float
    steps: int
    replicas: Replicas | None = None


def burn_in(
    sampler: Sampler,
    tuning: Tuning,
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    steps: int,
    rng: torch.Generator,
    progress: Callable[[int], None],
    stop: Callable[[], bool],
) -> BurnInResult:
    """Move the chains at x by `steps` transitions while tuning the sampler.

    A sampler that mixes a simpler kernel with other moves is tuned with only that kernel.

    The acceptance of all chains is read after every step, so burn-in waits for the device. At the end of each of three
    windows the scales (if adapt is all) and automatic places of replicas are set from the states so far, and the
    search for the step size starts again. The last half tunes only the step size. States of a burn-in are not draws of
    the model.
    """
    if isinstance(sampler, HasLocalKernel):
        step = dataclasses.replace(tuning, adapt="step")
        local = burn_in(sampler.local_kernel(), step, energy, x, steps, rng, progress, stop)
        step_size = cast(Any, local.sampler).step_size
        return dataclasses.replace(local, sampler=dataclasses.replace(cast(Any, sampler), step_size=step_size))
    tuned: Any = sampler
    new_variance = RunningCircularVariance if space_of(energy) == _angles.SPACE else RunningVariance
    has_free_places = isinstance(tuned, Tempering) and (tuning.places or tuned.path.is_automatic)
    step, gradients, state = 0, 0.0, None
    for end in [*(int(fraction * steps) for fraction in WINDOWS), steps]:
        units, variance = Units.from_sampler(tuned, x), new_variance()
        scaled = units.energy(energy)
        tuner = make_tuner(sampler, scaled, tuning)
        tuned = tuner.first_sampler(tuned, tuned.init(scaled, units.from_x(x), rng), rng)
        state = tuned.init(scaled, units.from_x(x), rng)
        gradients += 2
        while step < end and not stop():
            state, info = tuned.step(scaled, state, rng)
            gradients += mean_gradients(info.gradients)
            tuned = tuner.next_sampler(tuned, state, info)
            state = with_current_step_sizes(state, tuned)
            variance.add(units.to_x(state.x))
            step += 1
            progress(step)
        x, tuned = units.to_x(state.x), tuner.final_sampler(tuned)
        gradients += tuner.gradients
        if end < steps and tuning.adapt == "all":
            tuned = dataclasses.replace(tuned, scales=variance.scales())
        if end < steps and has_free_places:
            tuned = tuned.with_equal_swap_rates(state.swap_rates().mean(1).tolist())
    state = with_current_step_sizes(state, tuned)
    return BurnInResult(x, tuned, gradients, step, state if isinstance(state, Replicas) else None)
