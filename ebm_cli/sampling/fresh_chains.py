"""Fresh chains of a verb: where they begin, how their sampler is tuned, and how long they are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ebm_cli import check
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.burn_in import Tuning
from ebm_cli.chain.chain_file import Chains
from ebm_cli.chain.loop import Trajectory, Walk
from ebm_cli.chain.screening import screen
from ebm_cli.diagnostic.ess import LEAST_ESS, shortage
from ebm_cli.energy import frozen
from ebm_cli.estimate import rounded_up
from ebm_cli.mixing.convergence import evidence
from ebm_cli.run.checkpoint import chains_of, reached, read_checkpoint
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler import Sampler, Unadjusted
from ebm_cli.start import Start

# Keys of the verb that make a `Length`.
LENGTH = ("chains", "steps", "burn_in", "thin", "budget")
# steps=auto records so many steps first, and keeps so many draws of each stretch.
FIRST_STEPS, DRAWS = 1000, 100
BURN_IN = 500
THIN = 10
# Of kernels whose every step is a flight of many gradients.
FIRST_FLIGHTS, FLIGHTS_OF_BURN_IN = 300, 200
# A stretch is so much longer than the last one asked for, as times of autocorrelation are estimates.
MARGIN = 1.3
# Chains that never moved may move in chains this many times as long.
IF_STUCK = 4.0


@dataclass(frozen=True)
class Length:
    """How many chains, and how long. All in kernel steps; steps/thin draws are kept.

    chains ≥ 1. steps ≥ 1 after burn_in, or auto: until mixing is decided. burn_in ≥ 0, or auto: 500. thin ≥ 1, at most
    steps, or auto: 10, or a hundredth of the steps. budget ≥ 1: gradients of all chains together that steps=auto may
    take. flights: whether a step is a flight of many gradients, of which fewer are needed.
    """

    chains: int
    steps: int | str
    burn_in: int | str
    thin: int | str
    budget: int = 1
    flights: bool = False

    def __post_init__(self) -> None:
        check.every(
            lambda: check.count("chains", self.chains),
            lambda: check.count_or_auto("steps", self.steps),
            lambda: check.count_or_auto("burn_in", self.burn_in, least=0),
            lambda: check.count_or_auto("thin", self.thin),
            lambda: check.count("budget", self.budget),
        )
        if isinstance(self.thin, int) and isinstance(self.steps, int) and self.thin > self.steps:
            raise check.InputError(f"thin must be <= steps ({self.steps}), got {self.thin}")

    @property
    def first_steps(self) -> int:
        """Steps of the first stretch, the only one where steps are given; at least one draw's."""
        if isinstance(self.steps, int):
            return self.steps
        return max(FIRST_FLIGHTS if self.flights else FIRST_STEPS, self.thin if isinstance(self.thin, int) else 1)

    @property
    def burn_in_steps(self) -> int:
        """Steps before the first stretch."""
        if isinstance(self.burn_in, int):
            return self.burn_in
        return FLIGHTS_OF_BURN_IN if self.flights else BURN_IN

    def thin_of(self, steps: int) -> int:
        """Steps between the draws of a stretch."""
        return self.thin if isinstance(self.thin, int) else min(steps, max(1 if self.flights else THIN, steps // DRAWS))


def tuning_of(config: Config, sampler: Sampler, burn_in: int | str) -> Tuning:
    """What burn-in tunes of the sampler; a step size that is typed, or a run's own without a test, stays under auto."""
    chosen = config["made"]["chosen"]
    own = config.get("run") is not None and "sampler" not in chosen and isinstance(sampler, Unadjusted)
    typed = own or "sampler.step_size" in chosen
    return Tuning.of(config).settled(sampler, typed, burn_in)


def start_at(config: Config, parts: Parts, trained: Run | None, n: int, generator: torch.Generator) -> Tensor:
    """Where n chains begin; a replay start goes on from the trained run's buffer."""
    return ready_start(config, parts, trained).draw(n, None, generator).x


def ready_start(config: Config, parts: Parts, trained: Run | None) -> Start:
    """The start, with the trained run's buffer in it if it has one; InputError without a start or its buffer."""
    if parts.start is None:
        raise check.InputError("start must be chosen: start=noise or start=data")
    if isinstance(parts.start, torch.nn.Module):
        if trained is None:
            raise check.InputError("start=replay goes on from a trained buffer: it needs run=RUN; use start=noise")
        folder = trained.checkpoint(config["checkpoint"])
        tree = read_checkpoint(folder)
        chains, lacks = chains_of(folder, tree)
        if lacks:
            raise check.InputError(
                f"checkpoint={config['checkpoint']} of run={trained.folder} has no replay buffer any more; the "
                f"newest checkpoint, of step {reached(trained)}, has one: use checkpoint=last, or start=noise"
            )
        saved = tree["objective"] | chains
        # An objective made of others has the start in one of them.
        buffer = {key.rpartition("start.")[2]: value for key, value in saved.items() if "start." in key}
        try:
            parts.start.load_state_dict(buffer)
        except RuntimeError:
            raise check.InputError(
                f"run={trained.folder} left no replay buffer; use start=noise or start=data"
            ) from None
    return parts.start


@dataclass(frozen=True)
class Moved:
    """Recorded chains: kernel steps between their draws, all that were recorded, and those before, of their burn-in."""

    trajectory: Trajectory
    thin: int
    steps: int
    burn_in: int

    def chosen(self, tuning: Tuning) -> Config:
        """What `auto` came to mean, by the verb's keys."""
        return {"steps": self.steps, "burn_in": self.burn_in, "thin": self.thin, "adapt": tuning.adapt}


def move(
    parts: Parts, x: Tensor, length: Length, tuning: Tuning, generator: torch.Generator, terminal: Terminal
) -> Moved:
    """Record chains from x as long as `length` says.

    With steps=auto, stretches follow one another, each longer than all before, until one decides whether chains are
    mixed or the next would exceed the budget; only the last is kept, and what came before is its burn-in.
    """
    length = replace(length, flights=getattr(parts.sampler, "passes", 1) > 1)
    steps, before = length.first_steps, length.burn_in_steps
    with frozen(parts.energy), torch.no_grad():
        with terminal.task("sample", before + steps) as tick:
            walk = Walk(
                parts.sampler, parts.energy, x, generator, before, tuning, tick, terminal.stopping, parts.engine
            )
            thin = length.thin_of(steps)
            trajectory = walk.record(steps, thin)
        while length.steps == "auto" and not walk.stopped:
            further = next_steps(to_chains(trajectory, thin), trajectory, length.budget, terminal.say)
            if further is None:
                break
            spacing = length.thin_of(further)
            with terminal.task("sample", before + steps + further, before + steps) as tick:
                walk.progress = tick
                longer = walk.record(further, spacing)
            # A stretch that was cut short is kept if it has more draws than the one before.
            if len(longer.x) >= len(trajectory.x):
                before, steps, thin, trajectory = before + steps, further, spacing, longer
    return Moved(trajectory, thin, steps, before)


def next_steps(chains: Chains, trajectory: Trajectory, budget: int, say: Callable[[str], None]) -> int | None:
    """Steps of the next stretch; None where chains are decided or the budget would not last."""
    times, likely = times_as_long(chains)
    if times <= 1:
        return None
    recorded = chains.x.shape[1] * chains.thin
    steps = max(round(MARGIN * times * recorded), trajectory.steps)
    steps = steps // DRAWS * DRAWS
    spent = float(trajectory.gradients.sum())
    each = spent / trajectory.steps
    if spent + steps * each > budget:
        enough = rounded_up(spent + MARGIN * likely * recorded * each)
        say(
            f"steps=auto: {trajectory.steps} steps took {spent:,.0f} gradients; about {rounded_up(likely * recorded)} "
            f"after burn-in would decide, which takes budget={enough}, not {budget}"
        )
        return None
    say(f"steps=auto: {recorded} steps do not decide whether chains are mixed; {steps} more")
    return steps


def times_as_long(chains: Chains) -> tuple[float, float]:
    """How many times as long chains would have to be, at least and likely; ≤ 1: long enough.

    To decide whether they are mixed; once that is decided, to give an ESS to trust.
    """
    screened = screen(chains)
    if screened.good is None:
        return 1.0, 1.0
    found, stuck = evidence(screened.good), IF_STUCK if screened.stuck else 1.0
    times = max(found.times, stuck)
    if times > 1:
        return times, max(found.likely, stuck)
    short = shortage(screened.good, LEAST_ESS)
    return short, short


def to_chains(trajectory: Trajectory, thin: int) -> Chains:
    """A trajectory as arrays (chain, draw, …)."""

    def array(x: Tensor) -> np.ndarray:
        return x.transpose(0, 1).cpu().numpy()

    return Chains(
        x=array(trajectory.x),
        potential=array(trajectory.energy),
        acceptance=array(trajectory.accept),
        broke=trajectory.broke.cpu().numpy(),
        thin=thin,
        diverging=array(trajectory.diverging),
        gradients=round(float(trajectory.gradients.mean())),
        names=list(range(trajectory.x.shape[1])),
        test_per_step=getattr(trajectory.sampler, "test_per_step", False) is True,
    )
