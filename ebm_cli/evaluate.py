"""`ebm evaluate`: a model against data, or against the truth where it is known."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ebm_cli import check, figure, rng
from ebm_cli.build import Config, make, together
from ebm_cli.check import InputError
from ebm_cli.data import noised
from ebm_cli.estimate import Estimate
from ebm_cli.finding import Finding
from ebm_cli.machine import resolve
from ebm_cli.metric import Metric, Subject
from ebm_cli.parts import Parts, assemble, load_weights
from ebm_cli.run import Run, write_text
from ebm_cli.sample import Length, move, start_at
from ebm_cli.sample_figures import denoised_figure
from ebm_cli.terminal import Stopped, Terminal, WorkFailed

NOISE_SEED = 0


def evaluate(config: Config, run: Run, terminal: Terminal, trained: Run | None = None) -> dict[str, Estimate]:
    """Compute every metric that `config` names on fresh chains of the model; figures go to `run`'s folder."""
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used():
        metrics: dict[str, Metric]
        metrics, parts = together(_metrics=lambda: make_list(config, "metric"), _parts=lambda: assemble(config))
        if trained is not None:
            load_weights(parts.energy, trained, config["checkpoint"], config["weights"])
        for note in parts.notes:
            terminal.say(note)
        temperature = config["temperature"] if config["temperature"] is not None else parts.sampler.temperature
        check.non_negative("temperature", temperature)
        subject = Subject(
            energy=parts.energy,
            temperature=temperature,
            event=parts.event,
            data=parts.data,
            samples=None,
            held_out=noised(parts.data, "held_out", NOISE_SEED) if parts.data else None,
            train=noised(parts.data, "train", NOISE_SEED) if parts.data else None,
            seed=config["seed"],
            budget=config["budget"],
            target=config["target"],
            terminal=terminal,
        )
        if any(metric.needs_samples for metric in metrics.values()):
            subject = with_samples(subject, config, parts, trained, terminal, run)
        actions = {name: lambda m=m: m(subject) for name, m in metrics.items()}
        return findings(run, actions, "metric", terminal, strict="metric" in config["made"]["chosen"])


def make_list(config: Config, group: str) -> dict[str, Any]:
    """The members of a list group, built; InputError with all that is wrong."""
    chosen = config.get(group) or {}
    if not chosen:
        raise InputError(f"{group} must name at least one: '{group}=[NAME,…]'")
    built, wrong = {}, []
    for name, node in chosen.items():
        try:
            built[name] = make(node)
        except InputError as error:
            wrong += error.under(f"{group}.{name}").messages
    if wrong:
        raise InputError(*wrong)
    return built


def with_samples(
    subject: Subject, config: Config, parts: Parts, trained: Run | None, terminal: Terminal, run: Run
) -> Subject:
    """The subject with the ends of fresh chains; chains that broke are left out and said."""
    if subject.held_out is None:
        raise InputError(
            "data must be chosen for metrics that compare samples: run=RUN of a trained model, or data=NAME"
        )
    n = config["samples"] if config["samples"] is not None else len(subject.held_out.x)
    check.count("samples", n, least=2)
    length = Length(chains=n, steps=config["steps"], burn_in=config["burn_in"], thin=config["steps"])
    generator = rng.generator(config["seed"], "chains", parts.machine.device)
    trajectory = move(parts, start_at(config, parts, trained, n, generator), length, generator, terminal)
    if terminal.stopping():
        raise Stopped(f"stopped while drawing samples; nothing was evaluated in {run.folder}")
    x = trajectory.last.x
    finite = torch.isfinite(x.flatten(1)).all(1)
    broken = int((~finite).sum())
    if int(finite.sum()) < 2:
        raise WorkFailed(
            f"{broken} of {n} chains became not finite; what usually helps: a lower sampler.step_size, start=data"
        )
    remarks = (f"{broken} of {n} chains became not finite and are left out",) if broken else ()
    np.save(run.folder / "samples.npy", x.cpu().numpy())
    if figure.can_show(parts.event) and parts.data is not None:
        drawn = figure.states(parts.data.decode(x[finite]), parts.event)
        real = figure.states(parts.data.decode(subject.held_out.x), parts.event)
        figure.save(
            run,
            denoised_figure(parts, x[finite])
            | {
                "samples": (
                    drawn,
                    f"Ends of {config['steps']}-step chains of the model, unselected, at T = {subject.temperature:g}.",
                ),
                "held_out": (real, "Held-out rows with the same noise, for comparison."),
            },
        )
    return dataclasses.replace(subject, samples=x[finite], remarks=remarks)


def findings(
    run: Run, actions: dict[str, Callable[[], Finding]], role: str, terminal: Terminal, strict: bool
) -> dict[str, Estimate]:
    """Run every metric or diagnostic and save its figure and its files.

    One that does not apply is left out and said; under `strict`, when the user named it, that is an InputError. Raises
    Stopped after a signal, what was found written down.
    """
    estimates: dict[str, Estimate] = {}
    wrong: list[str] = []
    done: dict[str, Finding] = {}
    with terminal.task(role, len(actions)) as tick:
        for count, (name, action) in enumerate(actions.items(), 1):
            try:
                done[name] = action()
            except InputError as error:
                wrong += [f"{role} {name} {message}" for message in error.messages]
            except Stopped:
                break
            if terminal.stopping():
                break
            tick(count)
    if wrong and (strict or not done):
        raise InputError(*wrong)
    for message in wrong:
        terminal.say(f"left out: {message}")
    for name, finding in done.items():
        estimates |= finding.estimates
        if finding.figure is not None:
            figure.save(run, {name: (finding.figure, finding.caption)})
        for file, columns in finding.tables.items():
            write_table(run.folder / file, columns)
        for note in finding.notes:
            terminal.say(note)
    if terminal.stopping():
        run.write_metrics(estimates)
        raise Stopped(f"stopped; {', '.join(estimates) or 'nothing'} of {', '.join(actions)} is in {run.folder}")
    return estimates


def write_table(path: Path, columns: dict[str, np.ndarray | list[str]]) -> None:
    """A CSV of these columns."""
    import pandas

    write_text(path, pandas.DataFrame(columns).to_csv(index=False, float_format="%.6g"))
