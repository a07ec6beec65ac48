"""`ebm evaluate`: a model against data, or against the truth where it is known."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ebm_cli import check, figure, rng
from ebm_cli.assembly.build import make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.trained_run import assemble_trained
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._rows import noisy_available_rows, noisy_split
from ebm_cli.estimate import Estimate
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Metric, Subject
from ebm_cli.metric._score import rows_of, score
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.run.writing import write_array, write_text
from ebm_cli.sampling.figures import denoised_figure
from ebm_cli.sampling.fresh_chains import Length, move, start_at, tuning_of

NOISE_SEED = 0


def evaluate(config: Config, run: Run, terminal: Terminal, trained: Run | None = None) -> dict[str, Estimate]:
    """Compute every metric that `config` names on fresh chains of the model; figures go to `run`'s folder."""
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used():
        metrics: dict[str, Metric]
        problems = check.Problems()
        with problems.under():
            metrics = metrics_of(config)
        with problems.under():
            parts = assemble_trained(config, place, trained, terminal)
        problems.finish()
        for note in parts.notes:
            terminal.say(note)
        temperature = config["temperature"] if config["temperature"] is not None else parts.sampler.temperature
        check.non_negative("temperature", temperature)
        path = config.get("score")
        scored = None if path is None else rows_of(parts.energy, parts.event, parts.data, str(path))
        for note in [] if scored is None else scored.rows.notes:
            terminal.say(note)
        train, train_missing = training_rows(parts, terminal) if metrics else (None, "")
        subject = Subject(
            energy=parts.energy,
            temperature=temperature,
            event=parts.event,
            data=parts.data,
            samples=None,
            held_out=noisy_split(parts.data, "held_out", NOISE_SEED) if parts.data else None,
            train=train,
            train_missing=train_missing,
            known=noisy_available_rows(parts.data, NOISE_SEED) if parts.data else None,
            seed=config["seed"],
            budget=config["budget"],
            target=config["target"],
            terminal=terminal,
        )
        if any(metric.needs_samples for metric in metrics.values()):
            subject = with_samples(subject, config, parts, trained, terminal, run)
        actions: dict[str, Callable[[], Finding]] = {name: partial(m, subject) for name, m in metrics.items()}
        if scored is not None:
            actions["score"] = partial(score, subject, scored)
        strict = scored is not None or "metric" in config["made"]["chosen"]
        return findings(run, actions, "metric", terminal, strict)


def metrics_of(config: Config) -> dict[str, Metric]:
    """The metrics to compute: where a file is scored only those that the line names."""
    if config.get("score") is not None and "metric" not in config["made"]["chosen"]:
        return {}
    return make_list(config, "metric")


def training_rows(parts: Parts, terminal: Terminal) -> tuple[Batch | None, str]:
    """The noised training rows; or None, and why they are not at hand."""
    if parts.data is None:
        return None, ""
    try:
        return noisy_split(parts.data, "train", NOISE_SEED), ""
    except InputError as error:
        terminal.say(f"training rows are not at hand: {error}; what needs none uses the run's own held-out rows")
        return None, str(error)


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
    tuning = tuning_of(config, parts.sampler, config["burn_in"])
    # Chains whose ends are compared need no time to forget where they began, only to be tuned.
    burn_in = 0 if config["burn_in"] == "auto" and tuning.adapt == "none" else config["burn_in"]
    length = Length(chains=n, steps=config["steps"], burn_in=burn_in, thin=config["steps"])
    generator = rng.generator(config["seed"], "chains", parts.machine.device)
    moved = move(parts, start_at(config, parts, trained, n, generator), length, tuning, generator, terminal)
    run.write_config(run.config() | {key: value for key, value in moved.chosen(tuning).items() if key in config})
    if terminal.stopping():
        raise Stopped(f"stopped while drawing samples; nothing was evaluated in {run.folder}")
    x = moved.trajectory.last.x
    finite = torch.isfinite(x.flatten(1)).all(1)
    broken = int((~finite).sum())
    if int(finite.sum()) < 2:
        raise WorkFailed(
            f"{broken} of {n} chains became not finite; what usually helps: a lower sampler.step_size, start=data"
        )
    remarks = (f"{broken} of {n} chains became not finite and are left out",) if broken else ()
    write_array(run.folder / "samples.npy", x.cpu().numpy())
    if figure.can_show(parts.event) and parts.data is not None:
        rows = parts.data.decode(subject.held_out.x)
        drawn = figure.states(parts.data.decode(x[finite]), parts.event, like=rows)
        real = figure.states(rows, parts.event)
        figure.save(
            run,
            denoised_figure(parts, x[finite])
            | {
                "samples": (
                    drawn,
                    f"Ends of {config['steps']}-step chains of the model, unselected, at T = {subject.temperature:g}.",
                ),
                "held_out": (real, f"{capital(subject.compared)} with the same noise, for comparison."),
            },
        )
    return dataclasses.replace(subject, samples=x[finite], remarks=remarks)


def capital(words: str) -> str:
    """The words with a capital at the front."""
    return words[:1].upper() + words[1:]


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


def write_table(path: Path, columns: Any) -> None:
    """A CSV of these columns, numbers with all their digits."""
    import pandas

    write_text(path, pandas.DataFrame(columns).to_csv(index=False))
