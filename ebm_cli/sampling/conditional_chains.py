"""Chains of p(x | y): the part of one state that is drawn, given what was observed of it."""

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.space_defaults import sampler_for
from ebm_cli.condition import Condition, ConditionalEnergy, Observation
from ebm_cli.data import Batch
from ebm_cli.density.normals import NormalMixture
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.estimate import Estimate
from ebm_cli.path.base import BasePath
from ebm_cli.path.rates import RatesPath
from ebm_cli.run.shipped import defaults
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.fresh_chains import record_chains, tuning_of
from ebm_cli.sampling.judged_chains import context_of_chains, judge_chains
from ebm_cli.sampling.priors import Prior, flattened
from ebm_cli.sampling.sampler_choice import SamplerChoice, keeps_sampler, tempering_node, with_replicas
from ebm_cli.sampling.sampling_plan import SamplingPlan
from ebm_cli.sampling.summary import log_z_row

# Draws of the density at which a path starts, to which its coordinates are fitted; training rows for discrete states.
BASE_DRAWS, BASE_ROWS = 2000, 300
# At most this many draws are kept per observation.
MAX_DRAWS = 1000


@dataclass(frozen=True)
class ConditionalDraws:
    """Draws given an observation.

    x: whole states. drawn: the coordinates that are drawn.
    given: the densities of the training rows given the same observation, by name.
    mixing: the verdict on their chains. rows: other estimates from them.
    log_truth: log p of the true state given the observation, if both are known.
    """

    seen: Observation
    x: Float[Tensor, "n *event"]
    drawn: Bool[Tensor, "*event"]
    given: dict[str, NormalMixture]
    mixing: Estimate
    rows: dict[str, Estimate]
    log_truth: float | None

    def spaced(self, count: int) -> Float[Tensor, "count *event"]:
        """Return this many states, evenly spaced along the chains; some twice if there are fewer."""
        return self.x[np.linspace(0, len(self.x) - 1, count).round().astype(int)]


def draw_given(
    parts: Parts,
    config: Config,
    plan: SamplingPlan,
    condition: Condition,
    seen: Observation,
    energy: nn.Module,
    prior: Prior,
    say: Terminal,
) -> ConditionalDraws | None:
    """Return draws of a state given an observation of it; None if a signal came before there were any.

    A typed sampler moves the chains. Otherwise it is replica exchange from a density of the training rows that is given
    the observation too, if a pilot run finds places of replicas; otherwise the run's own sampler.

    energy: the `ConditionalEnergy` of the model given this observation.
    """
    assert isinstance(energy, ConditionalEnergy)
    T, seed = parts.sampler.temperature, rng.derive(config["seed"], f"condition/{seen.name}") % 2**31
    generator = rng.generator(seed, "chains", parts.machine.device)
    given = prior.given(condition, seen)
    path = start_of_path(condition, seen, prior, given, energy, seed)
    open_parts = dataclasses.replace(parts, energy=energy, event=energy.event, data=None, start=None)
    choice = choose(open_parts, config | {"seed": seed}, plan.chains, path, say)
    tuning = tuning_of(config, choice, plan.burn_in)
    recorded = record_chains(choice.parts, choice.x, plan, tuning, generator, say)
    if not len(recorded.trajectory.x):
        return None
    context = context_of_chains(choice.parts, recorded)
    judged = judge_chains(context, recorded.trajectory, tuning, seed, generator, say.stopping)
    rows = judged.rows | log_z_row(recorded.trajectory, energy, judged.mixing.estimate)
    x = energy.complete(spread_out(recorded.trajectory.x))
    log_truth = log_probability(energy, seen, T, rows)
    return ConditionalDraws(seen, x, energy.drawn, given, judged.mixing.estimate, rows, log_truth)


def start_of_path(
    condition: Condition,
    seen: Observation,
    prior: Prior,
    given: dict[str, NormalMixture],
    energy: ConditionalEnergy,
    seed: int,
) -> BasePath | RatesPath:
    """Return a path from a density that is given the observation, as far as there is a formula for it.

    given: the densities of the prior given the observation.
    """
    if not prior.densities:
        node = defaults("ebm_cli.path.rates.RatesPath")
        rows = prior.nearest(condition, seen, BASE_ROWS).to(energy.drawn.device)
        return make(node, data=Batch(rows[:, energy.drawn].view(-1, *energy.event)))
    node = defaults("ebm_cli.path.base.BasePath")
    density = flattened(list((given or prior.densities).values())[-1])
    draws = density.draw(BASE_DRAWS, rng.generator(seed, "base", "cpu")).view(-1, *energy.event)
    x = draws.to(energy.drawn.device, torch.get_default_dtype())
    return make(node | {"base": density}, data=Batch(x))


def choose(parts: Parts, config: Config, n: int, path: BasePath | RatesPath, say: Terminal) -> SamplerChoice:
    """Return the sampler of n chains, and their initial states: draws of the path's start, or of its pilot run."""
    rows, _ = path.rows()
    assert rows is not None
    x = rows.x[torch.arange(n) % len(rows.x)]
    if space_of(parts.energy) in DISCRETE and (node := sampler_for(parts.energy, {})) and not is_typed(config):
        parts = parts.with_sampler(make(node | {"temperature": parts.sampler.temperature}))
    if keeps_sampler(config["made"]["chosen"], parts.sampler.temperature):
        return SamplerChoice(parts, x)
    tempered = make(cast(Config, tempering_node(parts)), path=path)
    return with_replicas(dataclasses.replace(parts, sampler=tempered), config, x, say, otherwise=parts)


def is_typed(config: Config) -> bool:
    """Return True if the line chooses a sampler."""
    return keeps_sampler(config["made"]["chosen"], 1.0)


def spread_out(x: Float[Tensor, "draws n *part"]) -> Float[Tensor, "m *part"]:
    """Return finite states of all chains, evenly spaced along them, and at most MAX_DRAWS."""
    each = max(1, min(len(x), MAX_DRAWS // x.shape[1]))
    at = torch.linspace(len(x) - 1, 0, each + 1)[:each].round().long()
    flat = x[at].flatten(0, 1)
    return flat[flat.flatten(1).isfinite().all(1)]


def log_probability(energy: ConditionalEnergy, seen: Observation, T: float, rows: dict[str, Estimate]) -> float | None:
    """Return log p(x | y) = −E(x | y)/T − log Z of the true state, by the log Z of these chains."""
    log_z = rows.get("log_z")
    if seen.truth is None or log_z is None or not isinstance(log_z.value, float):
        return None
    with torch.no_grad():
        return -float(energy(seen.truth[energy.drawn].reshape(1, *energy.event))) / T - log_z.value
