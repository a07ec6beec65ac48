"""`ebm evaluate`: a model compared with data, or with the truth if it is known."""

from collections.abc import Callable
from functools import partial

from ebm_cli import check
from ebm_cli.assembly.build import locate, make
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.spaces import parts_that_fit
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._rows import noisy_available_rows, noisy_split
from ebm_cli.estimate import Estimate, Result
from ebm_cli.metric import EvaluationContext, Metric
from ebm_cli.metric._score import AnomalyRule, score
from ebm_cli.metric._score_rows import rows_of
from ebm_cli.partition.settings import LogZOptions
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.sampled import SampledRun
from ebm_cli.run.shipped import option_name
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.model import open_model
from ebm_cli.sampling.model_samples import with_samples
from ebm_cli.sampling.results import build_list, run_actions
from ebm_cli.sampling.sampler_choice import has_typed_path

NOISE_SEED = 0


def evaluate(config: Config, run: Run, terminal: Terminal, trained: Run | None = None) -> dict[str, Estimate]:
    """Compute every metric that `config` names, on new chains of the model; write figures to the run's folder.

    trained: the training run whose weights to use.
    """
    machine = resolve(config["device"], config["dtype"], config["threads"])
    with machine.activate():
        parts, metrics = open_model(config, machine, trained, terminal, lambda: metrics_of(config))
        metrics = parts_that_fit("metric", metrics, config, parts.energy, terminal.say)
        path = config.get("score")
        scored = None if path is None else rows_of(parts.energy, parts.event, parts.data, str(path))
        for note in [] if scored is None else scored.rows.notes:
            terminal.say(note)
        context = context_of(config, parts, terminal, with_training_rows=bool(metrics))
        of_chains: dict[str, Estimate] = {}
        if any(metric.needs_samples for metric in metrics.values()):
            context, of_chains = with_samples(context, config, parts, trained, terminal, run)
        actions: dict[str, Callable[[], Result]] = {name: partial(m, context) for name, m in metrics.items()}
        if scored is not None:
            actions["score"] = partial(
                score, context, scored, AnomalyRule(config["false_alarm"], config["anomaly_label"])
            )
        strict = scored is not None or "metric" in config["made"]["chosen"]
        return run_actions(run, actions, "metric", terminal, strict, of_chains)


def metrics_of(config: Config) -> dict[str, Metric]:
    """Return the metrics to compute; if a file is scored, only those that were typed."""
    if config.get("score") is not None and "metric" not in config["made"]["chosen"]:
        return {}
    metrics = build_list(config, "metric")
    check_path_of_log_z(metrics, config)
    return metrics


def check_path_of_log_z(metrics: dict[str, Metric], config: Config) -> None:
    """Raise InputError if the line sets a path without exact draws, and a metric estimates log Z."""
    named = [f"metric={name}" for name, metric in metrics.items() if isinstance(metric, LogZOptions)]
    target = str(config["path"]["_target_"])
    if named and has_typed_path(config) and not issubclass(locate(target), DrawnPath):
        raise InputError(
            f"path={option_name(target)} does not fit {' and '.join(named)}: log Z needs exact draws at the far end of "
            "its path. Type path=base"
        )


def context_of(config: Config, parts: Parts, terminal: Terminal, with_training_rows: bool) -> EvaluationContext:
    """Return the model and the data that it is compared with, without samples."""
    temperature = config["temperature"] if config["temperature"] is not None else parts.sampler.temperature
    check.non_negative("temperature", temperature)
    train, train_missing = training_rows(parts, terminal) if with_training_rows else (None, "")
    return EvaluationContext(
        energy=parts.energy,
        temperature=temperature,
        event=parts.event,
        data=parts.data,
        path=make(config["path"], data=parts.data, run=SampledRun.from_config(config)),
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


def training_rows(parts: Parts, terminal: Terminal) -> tuple[Batch | None, str]:
    """Return the noised training rows; or None, and why they are missing."""
    if parts.data is None:
        return None, ""
    try:
        return noisy_split(parts.data, "train", NOISE_SEED), ""
    except InputError as error:
        terminal.say(f"the training rows are missing: {error}. Metrics that do not need them use the held-out rows")
        return None, str(error)
