"""New chains of a verb: their initial states, the tuning of their sampler, and their recording."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import Trajectory, Walk
from ebm_cli.chain.superchains import number_starts
from ebm_cli.chain.tuning import STEP_KEYS, Tuning
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.ess import MIN_ESS_PER_CHAIN, shortage
from ebm_cli.energy import frozen, space_of
from ebm_cli.estimate import rounded_up
from ebm_cli.mixing.convergence import evidence
from ebm_cli.mixing.replica_metrics import enough_replicas, mean_crossing_steps, mean_rejection
from ebm_cli.run.checkpoint import chains_of, last_step, read_checkpoint
from ebm_cli.run.folder import Run
from ebm_cli.run.shipped import option_name
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler import is_unadjusted
from ebm_cli.sampling.sampler_choice import SamplerChoice
from ebm_cli.sampling.sampling_plan import DRAWS, SamplingPlan
from ebm_cli.start import Start

# An interval is this many times as long as needed, because autocorrelation times are estimates.
MARGIN = 1.3
# Chains that never moved may move if they are this many times as long.
FACTOR_IF_STUCK = 4.0


def tuning_of(config: Config, choice: SamplerChoice, burn_in: int | str) -> Tuning:
    """Return what burn-in tunes. With adapt=auto, a step size is kept if it was typed or is an unadjusted run's own."""
    chosen, sampler = config["made"]["chosen"], choice.parts.sampler
    own = config.get("run") is not None and "sampler" not in chosen and is_unadjusted(sampler)
    typed = own or bool(STEP_KEYS & set(chosen))
    tuning = Tuning.from_config(config).resolve(sampler, typed, burn_in)
    return replace(tuning, places=choice.has_pilot_places)


def initial_states(config: Config, parts: Parts, trained: Run | None, n: int, generator: torch.Generator) -> Tensor:
    """Return the initial states of n chains; a replay start continues from the trained run's buffer."""
    return loaded_start(config, parts, trained).draw(n, None, generator).x


def loaded_start(config: Config, parts: Parts, trained: Run | None) -> Start:
    """Return the start, with the trained run's buffer if it needs a buffer. Raises InputError if it cannot be used."""
    if parts.start is None:
        raise check.InputError("start must be chosen: start=noise or start=data")
    if isinstance(parts.start, torch.nn.Module):
        if trained is None:
            raise check.InputError("start=replay continues from a trained buffer and needs run=RUN. Type start=noise")
        try:
            parts.start.load_state_dict(trained_buffer(trained, config["checkpoint"]))
        except RuntimeError:
            raise check.InputError(
                f"run={trained.folder} has no replay buffer. Type start=noise or start=data"
            ) from None
    return parts.start


def trained_buffer(trained: Run, checkpoint: str | int) -> dict[str, Tensor]:
    """Return the replay buffer of a checkpoint. Raises InputError if an older checkpoint has lost it."""
    folder = trained.checkpoint(checkpoint)
    tree = read_checkpoint(folder)
    chains, lacks = chains_of(folder, tree)
    if lacks:
        raise check.InputError(
            f"checkpoint={checkpoint} of run={trained.folder} no longer has a replay buffer. The newest checkpoint, of "
            f"step {last_step(trained)}, has one. Type checkpoint=last, or start=noise"
        )
    saved = tree["objective"] | chains
    # In an objective that combines others, the start belongs to one of these others.
    return {key.rpartition("start.")[2]: value for key, value in saved.items() if "start." in key}


@dataclass(frozen=True)
class RecordedChains:
    """Recorded chains.

    starts: the number of each chain's initial state.
    thin: kernel steps between draws.
    steps: recorded steps.
    burn_in: steps before them.
    """

    trajectory: Trajectory
    starts: Int[np.ndarray, " n"]
    thin: int
    steps: int
    burn_in: int

    def resolved_values(self, tuning: Tuning) -> Config:
        """Return the values that `auto` stood for, by the verb's keys."""
        return {"steps": self.steps, "burn_in": self.burn_in, "thin": self.thin, "adapt": tuning.adapt}


def record_chains(
    parts: Parts, x: Tensor, plan: SamplingPlan, tuning: Tuning, generator: torch.Generator, terminal: Terminal
) -> RecordedChains:
    """Record chains that start at x.

    With steps=auto, intervals of growing length are recorded until an interval decides whether chains are mixed, or
    until the next interval would exceed the budget. Only the last interval is kept. All steps before are its burn-in.
    """
    starts = number_starts(x)
    plan = replace(plan, trajectories=getattr(parts.sampler, "passes", 1) > 1)
    steps, before = plan.first_steps, plan.burn_in_steps
    with frozen(parts.energy), torch.no_grad():
        with terminal.task("sample", before + steps) as tick:
            walk = Walk(
                parts.sampler, parts.energy, x, generator, before, tuning, tick, terminal.stopping, parts.engine
            )
            thin = plan.thin_of(steps)
            trajectory = walk.record(steps, thin)
        while plan.steps == "auto" and not walk.stopped:
            chains = to_chains(trajectory, thin, starts, space_of(parts.energy))
            further = next_steps(chains, trajectory, plan.budget, terminal.say)
            if further is None:
                break
            spacing = plan.thin_of(further)
            with terminal.task("sample", before + steps + further, before + steps) as tick:
                walk.progress = tick
                longer = walk.record(further, spacing)
            # A signal can end an interval early. It is kept if it has more draws than the interval before.
            if len(longer.x) >= len(trajectory.x):
                before, steps, thin, trajectory = before + steps, further, spacing, longer
    return RecordedChains(trajectory, starts, thin, steps, before)


def next_steps(chains: Chains, trajectory: Trajectory, budget: int, say: Callable[[str], None]) -> int | None:
    """Return the steps of the next interval; None if mixing is decided or the budget is too small."""
    factor, likely = missing_length(chains)
    if factor <= 1:
        return None
    recorded = chains.x.shape[1] * chains.thin
    steps = max(round(MARGIN * factor * recorded), trajectory.steps)
    steps = steps // DRAWS * DRAWS
    used = float(trajectory.gradients.sum())
    per_step = used / trajectory.steps
    if used + steps * per_step > budget:
        enough = rounded_up(used + MARGIN * likely * recorded * per_step)
        say(
            f"steps=auto: {trajectory.steps} steps used {used:,.0f} gradients, and the budget is {budget}. About "
            f"{rounded_up(likely * recorded)} steps after burn-in would decide mixing. Type budget={enough}"
        )
        return None
    say(f"steps=auto: mixing cannot be decided after {recorded} steps, so {steps} more follow")
    return steps


def missing_length(chains: Chains) -> tuple[float, float]:
    """Return the necessary and the probable factor by which chains are too short; ≤ 1 if they are long enough.

    Chains are long enough if they decide whether they are mixed and give a reliable ESS.
    """
    context = ChainContext(chains)
    if context.screened.usable is None:
        return 1.0, 1.0
    found, stuck = evidence(context), FACTOR_IF_STUCK if context.screened.stuck else 1.0
    least = max(stuck, chains.factor_for_round_trips())
    factor = max(found.factor, least)
    if factor > 1:
        return factor, max(found.likely, least)
    short = shortage(context, MIN_ESS_PER_CHAIN)
    return short, short


def to_chains(
    trajectory: Trajectory, thin: int, starts: Int[np.ndarray, " n"] | None = None, space: str = "continuous"
) -> Chains:
    """Return a trajectory as arrays (chain, draw, …).

    starts: the number of each chain's initial state; None if unknown.
    space: of the states.
    """

    def array(x: Tensor) -> np.ndarray:
        return x.transpose(0, 1).cpu().numpy()

    replicas, path = trajectory.replicas, getattr(trajectory.sampler, "path", None)
    rejection = None if replicas is None else mean_rejection(replicas)
    return Chains(
        x=array(trajectory.x),
        potential=array(trajectory.energy),
        acceptance=array(trajectory.accept),
        first_nonfinite_step=trajectory.first_nonfinite_step.cpu().numpy(),
        thin=thin,
        diverging=array(trajectory.diverging),
        gradients=round(float(trajectory.gradients.mean())),
        names=list(range(trajectory.x.shape[1])),
        starts=starts,
        round_trips=None if replicas is None else replicas.round_trips.cpu().numpy(),
        crossing_steps=None if rejection is None else mean_crossing_steps(rejection),
        enough_replicas=None if rejection is None else enough_replicas(rejection),
        path="" if path is None else option_name(f"{type(path).__module__}.{type(path).__qualname__}"),
        test_per_step=getattr(trajectory.sampler, "test_per_step", False) is True,
        space=space,
    )
