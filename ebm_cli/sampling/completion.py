"""`ebm sample condition=…`: draws of the unknown part of states, given what was observed of them."""

import dataclasses

import numpy as np

from ebm_cli import figure
from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.check import InputError
from ebm_cli.condition import Condition
from ebm_cli.data import Data
from ebm_cli.energy import DISCRETE, space_of, works_on
from ebm_cli.estimate import Estimate
from ebm_cli.run.folder import Run
from ebm_cli.run.shipped import option_or_class
from ebm_cli.run.terminal import Stopped, Terminal
from ebm_cli.run.writing import write_array
from ebm_cli.sampling.completion_figures import completion_figures
from ebm_cli.sampling.completion_scores import class_rows, score, summarize_scores
from ebm_cli.sampling.completion_tables import write_imputed_rows, write_observations
from ebm_cli.sampling.conditional_chains import ConditionalDraws, draw_given
from ebm_cli.sampling.figures import copy_grid
from ebm_cli.sampling.observations import as_condition, incomplete_rows, observations
from ebm_cli.sampling.picture_grid import PictureGrid
from ebm_cli.sampling.priors import fit_prior
from ebm_cli.sampling.sampler_choice import has_typed_path
from ebm_cli.sampling.sampling_plan import SamplingPlan

NAMED = 3
FIT_DISCRETE = "left, right, top, bottom, mask, rows, missing"


def complete(
    config: Config, run: Run, terminal: Terminal, parts: Parts, plan: SamplingPlan
) -> tuple[dict[str, Estimate], str]:
    """Draw states given each observation, and write draws.npy, observations.csv and figures to the run's folder.

    Return the rows of metrics.json, and what is said if a signal ended the work. Raises InputError for a condition or
    an observation that does not fit the model; Stopped after a signal before any draw.
    """
    if has_typed_path(config):
        raise InputError("path cannot be typed with a condition, whose path starts at a density given the observation")
    condition = as_condition(make(config["condition"]))
    require_space(condition, parts, config)
    incomplete = incomplete_rows(condition, parts.data)
    seen = observations(condition, config["image"], parts, config["seed"], incomplete)
    # An observation that does not fit is reported before any chain runs.
    energies = [condition.restrict(parts.energy, parts.sampler.temperature, each, parts.event) for each in seen]
    data = data_of(parts)
    prior = fit_prior(data, config["seed"], space_of(parts.energy) in DISCRETE)
    found: list[ConditionalDraws] = []
    with terminal.task("observations", len(seen)) as tick:
        for count, (observation, energy) in enumerate(zip(seen, energies, strict=True)):
            tick(count)
            quiet = terminal if count == 0 else Quiet(terminal)
            draws = draw_given(parts, config, plan, condition, observation, energy, prior, quiet)
            if draws is not None:
                found.append(draws)
            if terminal.stopping():
                break
    if not found:
        raise Stopped(f"stopped before there were draws of the first observation; {run.folder} has none")
    scores = [scored for draws in found if (scored := score(draws, condition, prior)) is not None]
    rows = {"observations": Estimate(float(len(found))), "mixing": mixing_of_all(found)}
    rows |= summarize_scores(scores) | class_rows(found, prior)
    length = min(len(draws.x) for draws in found)
    write_array(run.folder / "draws.npy", np.stack([draws.x[:length].cpu().numpy() for draws in found]))
    write_observations(run, found, scores)
    if incomplete is not None:
        write_imputed_rows(run, data, incomplete, found)
    figure.save(run, completion_figures(data, found, scores, PictureGrid.parse(config["grid"])))
    copy_grid(run)
    return rows, f"stopped after {len(found)} of {len(seen)} observations; their draws are in {run.folder}"


class Quiet:
    """A terminal that shows progress, but no messages."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.stopping, self.task = terminal.stopping, terminal.task

    def say(self, message: str) -> None:
        """Do nothing."""


def require_space(condition: Condition, parts: Parts, config: Config) -> None:
    """Raise InputError unless the condition works on the states of the model."""
    space = space_of(parts.energy)
    if not works_on(condition, space):
        name = option_or_class(config["condition"])
        fitting = "No condition does" if space not in DISCRETE else f"These conditions do: {FIT_DISCRETE}"
        raise InputError(f"condition={name} does not work on {space} states. {fitting}")


def data_of(parts: Parts) -> Data:
    """Return the data of the model. Raises InputError for a model without data."""
    if parts.data is None:
        raise InputError("condition needs a model with data: type run=RUN of a trained run")
    return parts.data


def mixing_of_all(found: list[ConditionalDraws]) -> Estimate:
    """Return the fraction of observations whose chains are mixed, with one verdict for all.

    Refused if none are mixed.
    """
    mixed = [draws for draws in found if draws.mixing.verdict == "ok"]
    others = [draws for draws in found if draws.mixing.verdict != "ok"]
    estimate = Estimate(
        len(mixed) / len(found), meaning=f"chains are mixed for {len(mixed)} of {len(found)} observations"
    )
    if not others:
        return estimate
    names = ", ".join(draws.seen.name for draws in others[:NAMED]) + (", …" if len(others) > NAMED else "")
    first = ", of which the first" if len(others) > 1 else ""
    reason = f"{names}{first}: {others[0].mixing.reason}"
    refused = all(draws.mixing.verdict == "refused" for draws in found)
    if refused:
        return dataclasses.replace(estimate, value=None, verdict="refused", reasons=(reason,), meaning="")
    return estimate.with_caution([reason])
