"""The kernels that move states along a path: which one fits a model, and its step size."""

import dataclasses
import math
from typing import TypeVar

import numpy as np
from torch import nn

from ebm_cli.sampler._path_gibbs import PathGibbs, has_few_groups
from ebm_cli.sampler.discrete_langevin import DiscreteLangevin
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS

# A quarter of the period of a standard normal: a longer trajectory turns back.
QUARTER_PERIOD = math.pi / 2
# Range of the number of leapfrog steps of a ladder's kernel, and the jitter of the step size along paths.
MIN_LEAPFROG_STEPS, MAX_LEAPFROG_STEPS = 3, 6
STEP_SIZE_JITTER = 0.3
# Step of discrete kernels, in units of x², at which hardly any site is kept for its distance from other values.
LONGEST_DISCRETE_STEP = 10.0
# Move the pilot's population of discrete states.
DISCRETE_PILOT_KERNEL = DiscreteLangevin(1.0, temperature=1.0)

PATH_GIBBS = PathGibbs(backwards=False)

DiscreteKernel = DiscreteLangevin | PathGibbs
PathKernel = HMC | MALA | NUTS | DiscreteKernel
KernelType = TypeVar("KernelType", bound=PathKernel)


def path_hmc(step_size: float, leapfrog_steps: int) -> HMC:
    """Return the HMC that moves states along paths: with jittered steps, at temperature 1 of each density."""
    return HMC(step_size, leapfrog_steps, STEP_SIZE_JITTER, short=0.0, log_step_std=0.0, temperature=1.0, scales=None)


def quarter_period_hmc(step_size: float) -> HMC:
    """Return `path_hmc` with trajectories of about a quarter of a standard normal's period."""
    return path_hmc(step_size, int(np.clip(round(QUARTER_PERIOD / step_size), MIN_LEAPFROG_STEPS, MAX_LEAPFROG_STEPS)))


def discrete_kernel(energy: nn.Module) -> DiscreteKernel:
    """Return the kernel that moves states of a discrete model along a path."""
    return PATH_GIBBS if has_few_groups(energy) else DISCRETE_PILOT_KERNEL


def step_size_of(kernel: PathKernel) -> float:
    """Return the step size of a kernel; 1 for Gibbs sweeps, which have none."""
    return 1.0 if isinstance(kernel, PathGibbs) else kernel.step_size


def with_step_size(kernel: KernelType, step_size: float) -> KernelType:
    """Return the kernel with this step size; Gibbs sweeps as they are."""
    return kernel if isinstance(kernel, PathGibbs) else dataclasses.replace(kernel, step_size=step_size)


def with_longest_step(kernel: PathKernel) -> PathKernel:
    """Return the kernel at its maximum step size, at which it travels a quarter of a standard normal's period."""
    if isinstance(kernel, DiscreteLangevin):
        return dataclasses.replace(kernel, step_size=LONGEST_DISCRETE_STEP)
    if isinstance(kernel, PathGibbs):
        return kernel
    if isinstance(kernel, MALA):
        return dataclasses.replace(kernel, step_size=QUARTER_PERIOD**2 / 2)
    steps = kernel.leapfrog_steps if isinstance(kernel, HMC) else 2
    return dataclasses.replace(kernel, step_size=QUARTER_PERIOD / steps)
