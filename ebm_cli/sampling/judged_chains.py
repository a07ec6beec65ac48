"""The verdict on new chains, and the rows of metrics.json of their sampler."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ebm_cli.assembly.components import Parts
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.tuning import Tuning
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy import space_of
from ebm_cli.estimate import Estimate
from ebm_cli.mixing.sampler_metrics import describe_tuning, sampler_metrics
from ebm_cli.mixing.verdict import MixingResult, assess_mixing
from ebm_cli.sampling.fresh_chains import RecordedChains, to_chains
from ebm_cli.sampling.missed_modes import with_mode_search


@dataclass(frozen=True)
class JudgedChains:
    """mixing: the verdict. rows: the row `mixing` and those of the sampler. notes: lines for the terminal."""

    mixing: MixingResult
    rows: dict[str, Estimate]
    notes: list[str]


def context_of_chains(parts: Parts, recorded: RecordedChains) -> ChainContext:
    """Return recorded chains with what is known about their origin, and with the sampler as burn-in left it."""
    trajectory = recorded.trajectory
    sampler = trajectory.sampler
    chains = to_chains(trajectory, recorded.thin, recorded.starts, space_of(parts.energy))
    return ChainContext(chains, parts.energy, sampler.temperature, sampler, parts.start, parts.data)


def judge_chains(
    context: ChainContext,
    trajectory: Trajectory,
    tuning: Tuning,
    seed: int,
    generator: torch.Generator,
    stop: Callable[[], bool],
) -> JudgedChains:
    """Return the verdict on the mixing of chains, and what their sampler reports.

    context: the trajectory's draws. Their energy must be known.
    tuning: what burn-in tuned.
    """
    assert context.energy is not None
    rows = sampler_metrics(trajectory, context, tuning, generator)
    mixing = with_mode_search(assess_mixing(context, seed, stop), trajectory, context.energy, seed)
    return JudgedChains(mixing, {"mixing": mixing.estimate} | rows, [*describe_tuning(rows), *mixing.notes])
