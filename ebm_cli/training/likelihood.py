"""The held-out nll of a model in training, by annealing or by replica exchange."""

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from ebm_cli import rng
from ebm_cli.assembly.components import Parts
from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.chain.replica_search import PILOT_KERNEL, find_replicas, with_ladder
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import CONTINUOUS, DISCRETE, frozen, space_of
from ebm_cli.estimate import Estimate, refused
from ebm_cli.metric.nll import nll_estimate, reduced_energies
from ebm_cli.partition import Budget, Integrand, log_z
from ebm_cli.partition.replica_log_z import replica_log_z
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.path.base import BasePath
from ebm_cli.run.scores import LIKELIHOOD
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.training.state import TrainState

MAX_ROWS = 500
# One round of few and short paths.
CHEAP_SETTINGS = dataclasses.replace(
    DEFAULT_SETTINGS, base="gaussian", chains=32, temperatures=100, leapfrog_steps=3, steps=150
)
# The same for discrete states and angles, whose paths start at independent ones.
CHEAP_SITE_SETTINGS = dataclasses.replace(CHEAP_SETTINGS, base=DEFAULT_SETTINGS.base)
# Chains of replica exchange, and their steps before and while they count.
N_CHAINS, N_BURN_IN, N_STEPS = 16, 20, 25


class Likelihood:
    """nll of up to 500 held-out samples with the data's own noise, from the averaged weights.

    It uses no generator of the training state, and each measurement depends only on the weights, the seed and the step.

    method: replicas, for log Z by replica exchange; otherwise by one cheap round of annealing.
    terminal: where a refusal is said, once for each reason.
    """

    def __init__(self, data: Data, seed: int, method: str | None, terminal: Terminal) -> None:
        if method == "replicas" and space_of(data) in DISCRETE:
            raise InputError(
                "trainer.track=replicas needs continuous states. Set trainer.nll_every for brackets of nll"
            )
        self.data, self.seed, self.method, self.terminal = data, seed, method, terminal
        self.refusals: set[str] = set()
        self.held_out = noisy_split(data, "held_out", 0).x[:MAX_ROWS]
        self.path = BasePath("auto", None, "auto", renew_every=1, data=data)

    @cached_property
    def train(self) -> Batch:
        """Return the training rows with their noise."""
        return noisy_split(self.data, "train", 0)

    def measure(self, parts: Parts, state: TrainState) -> dict[str, float]:
        """Return nll, its bounds and, by replica exchange, the swap rate and log Z; without those that are refused."""
        energy = state.energy if state.averaged is None else state.averaged.module
        T = parts.sampler.temperature
        if self.method == "replicas":
            found, named = self.by_replicas(energy, T, rng.generator(self.seed, f"nll/{state.step}", state.device))
        else:
            found, named = self.by_annealing(energy, T, parts.event), {}
        nll = nll_estimate(reduced_energies(energy, T, self.held_out), found, 1.0, "nats")
        if nll.value is None and nll.reason not in self.refusals:
            self.refusals.add(nll.reason)
            self.terminal.say(f"step {state.step}: nll has no value: {nll.reason}")
        named |= {"nll": nll.value, "nll_lower": nll.lower, LIKELIHOOD: nll.upper}
        return {name: value for name, value in named.items() if isinstance(value, float)}

    def by_annealing(self, energy: nn.Module, T: float, event: tuple[int, ...]) -> Estimate:
        """Return log Z by annealing from a Gaussian, or from independent sites, and back; exactly where it is known."""
        settings = CHEAP_SETTINGS if space_of(energy) in CONTINUOUS else CHEAP_SITE_SETTINGS
        integrand = Integrand.from_data(energy, T, event, self.train, self.data.noise, self.seed)
        return log_z(integrand, settings, Budget()).estimate

    def by_replicas(self, energy: nn.Module, T: float, generator: torch.Generator) -> tuple[Estimate, dict[str, Any]]:
        """Return log Z by replica exchange along a path from a density fitted to the training rows, and what to log.

        A pilot run finds the places of replicas and the initial states. log Z is refused without a round trip.
        """
        sampler = Tempering(PILOT_KERNEL, T, None, None, self.path)
        found = find_replicas(sampler, energy, N_CHAINS, generator)
        if found is None:
            return refused("annealing from the base does not reach the model", "nats"), {}
        sampler = with_ladder(found.sampler, found.ladder)
        with frozen(energy), torch.no_grad():
            chains = run_chains(sampler, energy, found.x, N_STEPS, generator, burn_in=N_BURN_IN)
            log_volume = self.path.annealing_path(energy, T).space.log_volume
        return log_z_of(chains, found.ladder.betas, log_volume)


def with_error_bounds(estimate: Estimate) -> Estimate:
    """Return the estimate with two standard errors on each side as its bounds.

    The bounds of integration between few replicas are wider, and vary more from one measurement to the next than the
    estimate does, so that the lowest of them would be chosen by chance.
    """
    value, se = estimate.value, estimate.se
    if not isinstance(value, float) or not isinstance(se, float):
        return estimate
    return dataclasses.replace(estimate, lower=value - 2 * se, upper=value + 2 * se)


def log_z_of(chains: Trajectory, betas: list[float], log_volume: float) -> tuple[Estimate, dict[str, Any]]:
    """Return log Z from replicas, and its value, its bounds and the smallest swap rate to log."""
    assert chains.replicas is not None and chains.delta_u is not None
    if not bool(chains.replicas.round_trips.any()):
        return refused("no state came from the far end of the path", "nats"), {}
    delta_u = chains.delta_u.double().cpu().numpy()
    estimate = with_error_bounds(replica_log_z(np.array(betas), delta_u, log_volume, Estimate(1.0)))
    # The scalar log_z belongs to objectives that estimate it.
    bounds = {"": estimate.value, "_lower": estimate.lower, "_upper": estimate.upper}
    named = {f"tracked_log_z{end}": value for end, value in bounds.items()}
    return estimate, named | {"nll_swap_rate_min": float(chains.replicas.min_swap_rate())}
