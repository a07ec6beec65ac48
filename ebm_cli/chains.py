"""The one loop that moves chains: for every sampler, in training and in sampling alike."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import adaptation
from ebm_cli.adaptation import Burned
from ebm_cli.energy import check_bounded, frozen
from ebm_cli.engine import Tally, engine_of
from ebm_cli.sampler import Sampler, State
from ebm_cli.sampler.tempering import Replicas
from ebm_cli.units import Units


@dataclass(frozen=True)
class Trajectory:
    """What chains left behind.

    x, energy, accept, diverging: kept draws, oldest first; accept is the mean acceptance since the draw before,
    diverging the number of proposals without finite energy (one row, over all steps, where no draw is kept).
    last: the final state. broke: the step at which a chain first was not finite, −1 where it never was.
    steps: kernel steps made, burn-in included. gradients: evaluations of each chain, all included. sampler: the one
    that made the draws, as burn-in left it. swap_rates: of neighbouring temperatures, for tempering.
    """

    x: Float[Tensor, "draws n *event"]
    energy: Float[Tensor, "draws n"]
    accept: Float[Tensor, "_ n"]
    diverging: Int[Tensor, "_ n"]
    last: State
    broke: Int[Tensor, " n"]
    steps: int
    gradients: Float[Tensor, " n"]
    sampler: Sampler
    swap_rates: Float[Tensor, " pairs"] | None


def never() -> bool:
    """A stop signal that never comes."""
    return False


def silent(step: int) -> None:
    """A progress report that goes nowhere."""


def run_chains(
    sampler: Sampler,
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    steps: int,
    rng: torch.Generator,
    burn_in: int = 0,
    thin: int | None = 1,
    progress: Callable[[int], None] = silent,
    stop: Callable[[], bool] = never,
    engine: str = "eager",
) -> Trajectory:
    """Move the chains at x by burn_in + steps transitions; keep every thin-th of the last `steps`.

    thin=None keeps no draw, only the last state. A sampler that adapts is tuned in the burn-in and frozen for the
    steps. The energy is frozen and in evaluation mode meanwhile. A chain that is no longer finite stays so and is named
    in `broke`; nothing here waits for the device, an adapting burn-in aside. `stop` is asked after every step (every
    block of a compiled engine); on True the draws so far come back. Raises InputError for a sampler that adapts without
    room to, and where proposals diverge and E near the last states is −∞.
    """
    adaptation.refuse_without_burn_in(sampler, burn_in)
    with frozen(energy), torch.no_grad():
        burned = Burned(x, sampler, 0.0, 0)
        if adaptation.wanted(sampler):
            burned = adaptation.burn_in(sampler, energy, x, burn_in, rng, progress, stop)
        if stop is not never and stop():
            steps = 0
        return _moved(burned, energy, burn_in - burned.steps, steps, rng, thin, progress, stop, engine)


def _moved(
    burned: Burned,
    energy: nn.Module,
    burn_in: int,
    steps: int,
    rng: torch.Generator,
    thin: int | None,
    progress: Callable[[int], None],
    stop: Callable[[], bool],
    engine: str,
) -> Trajectory:
    """The steps after an adapting burn-in, or all of them."""
    x, sampler = burned.x, burned.sampler
    n, draws = len(x), steps // thin if thin else 0
    kept_x, kept_energy, kept_accept = x.new_empty(draws, *x.shape), x.new_empty(draws, n), x.new_empty(draws, n)
    kept_diverging = torch.empty(draws, n, dtype=torch.int64, device=x.device)
    units = Units.of(sampler, x)
    inner = units.energy(energy)
    runner = engine_of(engine, sampler, inner, rng)
    state, tally = sampler.init(inner, units.into(x), rng), Tally.zero(x)
    step = filled = 0
    end = burn_in + steps
    while step < end:
        boundary = burn_in if step < burn_in else min(end, step + (thin - (step - burn_in) % thin if thin else end))
        count = min(runner.block, boundary - step)
        state, tally = runner.advance(state, tally, count)
        step += count
        if thin and step == burn_in:
            tally = anew(tally)
        elif thin and step > burn_in and (step - burn_in) % thin == 0 and filled < draws:
            kept_x[filled], kept_energy[filled] = units.back(state.x), state.energy
            kept_accept[filled], kept_diverging[filled] = tally.accepted / thin, tally.diverging
            tally = anew(tally)
            filled += 1
        progress(burned.steps + step)
        if stop():
            break
    if filled and bool((kept_diverging[:filled] > 0).any()):
        check_around(energy, kept_x[filled - 1])
    return Trajectory(
        x=kept_x[:filled],
        energy=kept_energy[:filled],
        accept=kept_accept[:filled] if thin else (tally.accepted / max(step, 1))[None],
        diverging=kept_diverging[:filled] if thin else tally.diverging[None],
        last=units.state(state),
        broke=torch.where(tally.broke >= 0, tally.broke + burned.steps, tally.broke),
        steps=burned.steps + step,
        gradients=tally.gradients + (burned.gradients + 1),
        sampler=sampler,
        swap_rates=state.swap_rates() if isinstance(state, Replicas) else None,
    )


def check_around(energy: nn.Module, x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError where E is −∞ near these states: kernels refuse to go there, so that no draw would show it.

    States are moved by normal noise 0.3, 1 and 3 times as wide as they are; no generator of a run is used.
    """
    rng = torch.Generator(x.device).manual_seed(0)
    spread = (x - x.mean(0)).square().mean(0).sqrt().nan_to_num()
    for width in (0.3, 1.0, 3.0):
        near = x + width * spread * torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)
        check_bounded(energy(near), near)


def anew(tally: Tally) -> Tally:
    """The tally with what is counted between draws at zero."""
    return tally._replace(accepted=torch.zeros_like(tally.accepted), diverging=torch.zeros_like(tally.diverging))
