"""The step size of a sampler that replaces a recipe's, found before training and frozen."""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.chain import burn_in as adaptation
from ebm_cli.chain.burn_in import Tuning
from ebm_cli.data import Data
from ebm_cli.density import mixture
from ebm_cli.density.fit_data import FitData, make_fit_data
from ebm_cli.density.normals import Density
from ebm_cli.estimate import show
from ebm_cli.objective import LeadsSamples
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal, ignore_progress, never_stop
from ebm_cli.sampler import Sampler

CHAINS, STEPS = 64, 200
# Rows that a density is fitted to, and that choose its size: a step size needs no more.
FITTED, CHECKED = 500, 250
# Steps over which the gradients of a kernel are counted.
COUNTED = 20


class DataEnergy(nn.Module):
    """E = −T log q of a density q fitted to the data with their noise: what a trained model comes close to."""

    def __init__(self, density: Density, temperature: float) -> None:
        super().__init__()
        self.density = density
        self.temperature = temperature

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        rows = x.flatten(1).double().cpu()
        return -self.temperature * self.density.log_prob(rows).to(x)


class UnitWell(nn.Module):
    """E = T/2·‖x‖², for chains whose coordinates are scaled to their own noise level."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return 0.5 * self.temperature * x.flatten(1).square().sum(1)


def fit_step_size(parts: Parts, config: Config, run: Run, terminal: Terminal) -> Parts:
    """Return the parts with the step size that `adapt` asks for, as many gradients per training step as before.

    adapt=auto finds a step size for a sampler that replaces a recipe's or an earlier run's, unless sampler.step_size
    is typed; step finds one for any sampler; none leaves it. The kernel is tuned as in a burn-in (see `adaptation`), on
    an energy fitted to the data, as the network itself has no shape yet. objective.steps becomes k·g/g', g and g' the
    gradients per step of the old kernel and of the new, unless it is typed. Both are printed, written to config.yaml,
    and frozen.
    """
    adapt, typed = config.get("adapt", "none"), set(config["made"]["chosen"])
    replaced = config.get("replaced")
    if adapt == "none" or (adapt == "auto" and replaced is None) or not parts.has_chains or parts.data is None:
        return parts
    generator = rng.generator(config["seed"], "step size", parts.machine.device)
    energy = reference(parts, parts.data)
    x = parts.data.sample(CHAINS, generator).x
    sampler = parts.sampler
    if "sampler.step_size" not in typed:
        sampler = found(sampler, dataclasses.replace(Tuning.of(config), adapt="step"), energy, x, generator)
    parts = parts.with_sampler(sampler)
    stored: Config = run.config() | {"adapt": "none"}
    stored["sampler"] |= changed(stored["sampler"], sampler)
    size = show(getattr(sampler, "step_size", None))
    origin = "as typed" if "sampler.step_size" in typed else "found on a density fitted to the data"
    message = f"sampler: step_size {size}, {origin}"
    steps = None if replaced is None else replaced.get("steps")
    if replaced is not None and steps is not None and "objective.steps" not in typed:
        before = gradients(make(replaced["sampler"]), energy, x, generator)
        scaled = max(1, round(steps * before / gradients(sampler, energy, x, generator)))
        parts.set_chain_steps(scaled)
        stored["objective"] |= {"steps": scaled}
        message += f"; objective.steps {scaled}, about as many gradients as {steps} of the recipe's sampler"
    run.write_config(stored)
    terminal.say(message)
    return parts


def reference(parts: Parts, data: Data) -> nn.Module:
    """An energy on which the sampler meets about the curvatures of the trained model."""
    T = parts.sampler.temperature
    if isinstance(parts.objective, LeadsSamples):
        return UnitWell(T)
    rows = make_fit_data(data, 0)
    few = FitData(spaced(rows.fit, FITTED), spaced(rows.check, CHECKED), rows.noise, rows.seed)
    return DataEnergy(mixture.fit(few), T)


def spaced(rows: Tensor, most: int) -> Tensor:
    """At most this many rows, evenly chosen."""
    return rows[:: -(-len(rows) // most)]


def found(sampler: Any, tuning: Tuning, energy: nn.Module, x: Tensor, generator: torch.Generator) -> Any:
    """The sampler with a step size that is tuned in a burn-in of chains at x; unchanged if it has none to tune."""
    if not adaptation.can_be_tuned(sampler):
        return sampler
    with torch.no_grad():
        return adaptation.burn_in(sampler, tuning, energy, x, STEPS, generator, ignore_progress, never_stop).sampler


def changed(node: Config, sampler: Any) -> Config:
    """The keys of a sampler's node whose values tuning has changed."""
    return {key: getattr(sampler, key) for key in ("step_size", "temperatures") if key in node}


def gradients(sampler: Sampler, energy: nn.Module, x: Tensor, generator: torch.Generator) -> float:
    """Gradients per chain and step, the mean over a few steps."""
    with torch.no_grad():
        state, total = sampler.init(energy, x, generator), 0.0
        for _ in range(COUNTED):
            state, info = sampler.step(energy, state, generator)
            total += adaptation.of_a_chain(info.gradients)
    return total / COUNTED
