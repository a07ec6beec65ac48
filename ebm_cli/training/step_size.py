"""Find a step size before training, for a sampler that replaces the sampler of a recipe."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.burn_in import burn_in
from ebm_cli.chain.replica_search import needs_search
from ebm_cli.chain.step_size_tuners import mean_gradients
from ebm_cli.chain.tuning import STEP_KEYS, Tuning, can_be_tuned
from ebm_cli.data import Data
from ebm_cli.density import mixture
from ebm_cli.density.fit_data import FitData, make_fit_data
from ebm_cli.density.normals import Density
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import show
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal, ignore_progress, never_stop
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import ProvidesStart

N_CHAINS, N_STEPS = 64, 200
# Numbers of rows to which a density is fitted, and by which its size is chosen. More rows hardly change a step size.
N_FIT_ROWS, N_CHECK_ROWS = 500, 250
# Number of steps over which the gradients of a kernel are counted.
N_COUNTED_STEPS = 20


class DataEnergy(nn.Module):
    """E = −T log q of a density q that is fitted to the data with their noise. It replaces the untrained model."""

    def __init__(self, density: Density, temperature: float) -> None:
        super().__init__()
        self.density = density
        self.temperature = temperature

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        rows = x.flatten(1).double().cpu()
        return -self.temperature * self.density.log_prob(rows).to(x)


def fit_step_size(parts: Parts, config: Config, run: Run, terminal: Terminal) -> Parts:
    """Return the parts with a step size as `adapt` demands it, and an unchanged number of gradients per training step.

    adapt=auto finds a step size if the line replaces the sampler of a recipe or of an earlier run and does not give
    sampler.step_size. adapt=step always finds a step size, and adapt=none never. The kernel is tuned in a burn-in on an
    energy that is fitted to the data, because the network is not trained yet. Unless objective.steps is typed, k steps
    become k·g/g' steps, where g and g' are the gradients per step of the old and the new kernel. Both values are
    printed and written to config.yaml. Kernels of discrete states keep their step. Replica exchange whose places
    training finds, also finds its steps there.
    """
    adapt, typed = config.get("adapt", "none"), set(config["made"]["chosen"])
    replaced = config.get("replaced")
    is_unchanged = adapt == "none" or (adapt == "auto" and replaced is None)
    if is_unchanged or not parts.has_chains or parts.data is None or needs_search(parts.sampler):
        return parts
    generator = rng.generator(config["seed"], "step size", parts.machine.device)
    energy = stand_in_energy(parts, parts.data)
    x = parts.data.sample(N_CHAINS, generator).x
    sampler, origin = parts.sampler, "as typed" if typed & STEP_KEYS else "the default"
    if not typed & STEP_KEYS and can_be_tuned(sampler):
        tuning = dataclasses.replace(Tuning.from_config(config), adapt="step")
        sampler, origin = tune(sampler, tuning, energy, x, generator), "found on a density fitted to the data"
    parts = parts.with_sampler(sampler)
    stored: Config = run.config() | {"adapt": "none"}
    tuned = tuned_values(sampler)
    stored["sampler"] |= tuned
    if isinstance(sampler, Tempering):
        stored["path"] |= {sampler.path.schedule_key: getattr(sampler.path, sampler.path.schedule_key)}
    shown = [f"{key} {show(value)}" for key, value in tuned.items() if value is not None]
    found = [f"{', '.join(shown)}, {origin}"] if shown else []
    steps = None if replaced is None else replaced.get("steps")
    if replaced is not None and steps is not None and "objective.steps" not in typed:
        own = make(replaced["sampler"], path=make(config["path"], data=None))
        before = gradients_per_step(own, energy, x, generator)
        scaled = max(1, round(steps * before / gradients_per_step(sampler, energy, x, generator)))
        parts.set_chain_steps(scaled)
        stored["objective"] |= {"steps": scaled}
        found += [f"objective.steps {scaled}, about as many gradients as {steps} of the recipe's sampler"]
    run.write_config(stored)
    if found:
        terminal.say(f"sampler: {'; '.join(found)}")
    return parts


def stand_in_energy(parts: Parts, data: Data) -> nn.Module:
    """Return an energy with about the curvatures of the trained model; for discrete states the model itself.

    The cost of a step on discrete states depends on what the model knows of its sites.
    """
    T = parts.sampler.temperature
    if space_of(parts.energy) in DISCRETE:
        return parts.energy
    if isinstance(parts.objective, ProvidesStart):
        # The coordinates of such chains are scaled to their noise level.
        return Quadratic(T, parts.event)
    rows = make_fit_data(data, 0)
    few = FitData(thin_rows(rows.fit, N_FIT_ROWS), thin_rows(rows.check, N_CHECK_ROWS), rows.noise, rows.seed)
    return DataEnergy(mixture.fit(few), T)


def thin_rows(rows: Tensor, maximum: int) -> Tensor:
    """Return evenly spaced rows, up to `maximum` of them."""
    return rows[:: -(-len(rows) // maximum)]


def tune(sampler: Any, tuning: Tuning, energy: nn.Module, x: Tensor, generator: torch.Generator) -> Any:
    """Return the sampler with a step size tuned in a burn-in of chains at x; unchanged if it has none to tune."""
    if not can_be_tuned(sampler):
        return sampler
    with torch.no_grad():
        return burn_in(sampler, tuning, energy, x, N_STEPS, generator, ignore_progress, never_stop).sampler


def tuned_values(sampler: Any) -> Config:
    """Return the keys of a sampler whose values tuning may have changed."""
    return {key: getattr(sampler, key) for key in ("step_size", "step_factors") if hasattr(sampler, key)}


def gradients_per_step(sampler: Sampler, energy: nn.Module, x: Tensor, generator: torch.Generator) -> float:
    """Return the gradients per chain and step, averaged over a few steps."""
    with torch.no_grad():
        state, total = sampler.init(energy, x, generator), 0.0
        for _ in range(N_COUNTED_STEPS):
            state, info = sampler.step(energy, state, generator)
            total += mean_gradients(info.gradients)
    return total / N_COUNTED_STEPS
