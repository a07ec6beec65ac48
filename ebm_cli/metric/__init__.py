"""Metrics compare the model with data or with the truth. Every public file in this folder is one metric.

A metric is a callable from an `EvaluationContext` to a `Result`, with a flag that it needs samples:

    class MeanEnergyGap:
        needs_samples = True

        def __call__(self, context: EvaluationContext) -> Result:
            samples, held_out = context.pair()
            gaps = context.energy(samples) - context.energy(held_out.x).mean()
            gap = context.of_samples(Estimate(float(gaps.mean())))
            return Result({"mean_energy_gap": gap}, arrays=gaps.numpy(), picture=picture)

    def picture(result: Result) -> Picture:
        figure = matplotlib.figure.Figure()
        figure.subplots().hist(result.arrays)
        return figure, "Energy of each sample minus the mean over held-out rows. Look for values around 0."

The picture is optional. It is a function next to the class, in the same file or in `_NAME_figure.py`. Only picture
functions import matplotlib. Verbs draw.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import partition
from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, _angles
from ebm_cli.data._features import Features, features_of
from ebm_cli.energy import space_of
from ebm_cli.estimate import Estimate, Result, refused
from ebm_cli.partition import Integrand, LogZResult
from ebm_cli.partition.settings import LogZOptions, LogZSettings, log_z_settings, path_through_models
from ebm_cli.path import Path
from ebm_cli.run.terminal import NullTerminal, Terminal

# Random halves of the rows for the delete-half jackknife.
HALVES = 50

NEEDS_DATA = "needs data to compare with. Type run=RUN of a trained model, or data=NAME"
NOT_FINITE = "the energy of {} is not finite"


@dataclass(frozen=True)
class EvaluationContext:
    """A model and what it is compared with.

    energy, temperature: the model exp(−E/T)/Z.
    event: the shape of one state.
    data: the set that the model is compared with.
    samples: states of the model's chains, one per row; None if no metric needs any.
    samples_name: what the samples are called in a meaning. Final states of chains are called so if nothing shows
        whether they are draws of the model.
    held_out, train: rows of the data with the set's own noise, the same in every run.
    train_missing: why training rows are missing, if a run's file cannot be found.
    known: noisy rows of the training data's distribution; None if `train` contains them.
    warnings: problems of the samples. They become cautions of every estimate from the samples.
    path: the configured path, whose base is that of log Z if it has one; None if unknown.
    partitions: the results for log Z so far, by their settings.
    budget, target: limits of each log Z (`Budget`).
    terminal: where progress is shown.
    """

    energy: nn.Module
    temperature: float
    event: tuple[int, ...]
    data: Data | None
    samples: Float[Tensor, "n *event"] | None
    held_out: Batch | None
    train: Batch | None
    seed: int
    samples_name: str = "samples"
    train_missing: str = ""
    known: Batch | None = None
    warnings: tuple[str, ...] = ()
    path: Path | None = None
    partitions: dict[LogZSettings, LogZResult] = field(default_factory=dict)
    budget: int | None = None
    target: float | None = None
    terminal: Terminal = field(default_factory=NullTerminal)

    def __post_init__(self) -> None:
        Budget(self.budget, self.target)

    def of_samples(self, estimate: Estimate) -> Estimate:
        """Return an estimate from the samples, with their warnings. It is refused if their chains are not mixed."""
        return dataclasses.replace(estimate, if_not_mixed="refused").with_caution(self.warnings)

    @property
    def held_out_name(self) -> str:
        """The name of the rows in `held_out`: the data's held-out rows, or all rows of another file."""
        name = getattr(self.data, "other_file", "")
        return f"rows of {name}" if name else "held-out rows"

    @property
    def noise(self) -> str:
        """A description of the data's noise, for a caption."""
        σ = self.data.noise if self.data is not None else 0.0
        return f"both sides have the data's noise, σ = {σ:g}" if σ else "the data have no noise"

    def pair(self) -> tuple[Float[Tensor, "n *event"], Batch]:
        """Return samples and held-out rows. Raises InputError without data."""
        if self.samples is None or self.held_out is None:
            raise InputError(NEEDS_DATA)
        return self.samples, self.held_out

    def training(self) -> Batch:
        """Return the training rows. Raises InputError without data, or if their file cannot be found."""
        if self.train is None:
            raise InputError(self.train_missing or NEEDS_DATA)
        return self.train

    def vectors(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *numbers"]:
        """Return states as numbers that have means and distances: cosines and sines of angles, other states as such."""
        return _angles.on_circles(x) if space_of(self.energy) == _angles.SPACE else x

    def vector_pair(self) -> tuple[Float[Tensor, "n *numbers"], Batch]:
        """Return samples and held-out rows as `vectors`. Raises InputError without data."""
        samples, held_out = self.pair()
        return self.vectors(samples), self.vectors_of(held_out)

    def vector_training(self) -> Batch:
        """Return the training rows as `vectors`. Raises InputError as `training` does."""
        return self.vectors_of(self.training())

    def vectors_of(self, batch: Batch) -> Batch:
        """Return rows as `vectors`."""
        clean = None if batch.clean is None else self.vectors(batch.clean)
        return Batch(self.vectors(batch.x), clean, batch.y)

    @cached_property
    def features(self) -> Features:
        """The features in which samples and data are compared, fitted once for all metrics."""
        if self.data is None or self.held_out is None:
            raise InputError(NEEDS_DATA)
        return features_of(self.data, self.held_out)

    def has_log_z(self, options: LogZOptions) -> bool:
        """Return True if a metric has asked for log Z by these options before."""
        return log_z_settings(options, self.path) in self.partitions

    def log_z(self, options: LogZOptions) -> LogZResult:
        """Return the model's log Z by these options and from the path's base, computed once for all metrics."""
        settings = log_z_settings(options, self.path)
        if settings not in self.partitions:
            σ = 0.0 if self.data is None else self.data.noise
            rows = self.train if self.known is None else self.known
            integrand = Integrand.from_data(self.energy, self.temperature, self.event, rows, σ, self.seed)
            with self.terminal.task("log Z, gradients", self.budget) as tick:
                budget = Budget(self.budget, self.target, tick, self.terminal.stopping)
                self.partitions[settings] = partition.log_z(integrand, settings, budget, path_through_models(self.path))
        return self.partitions[settings]


@runtime_checkable
class Metric(Protocol):
    """A callable that compares a model with data or with the truth.

    needs_samples: True if chains must be run for it.
    """

    needs_samples: bool

    def __call__(self, context: EvaluationContext) -> Result: ...


def rows(x: Tensor) -> Float[np.ndarray, "n size"]:
    """Return states as rows of float64 numbers."""
    return x.flatten(1).double().cpu().numpy()


def shuffled(x: Tensor, max_rows: int) -> Tensor:
    """Return up to `max_rows` rows in random order, the same order for the same number of rows."""
    return x[np.random.default_rng(0).permutation(len(x))[:max_rows].tolist()]


def mean_over_rows(values: Float[np.ndarray, " n"], unit: str | None, problem: str) -> Estimate:
    """Return the mean over rows with its standard error; refused if some rows have no finite value.

    problem: the reason for a refusal, with {} for the number of such rows.
    """
    finite = np.isfinite(values)
    if not finite.all():
        return refused(problem.format(f"{(~finite).sum()} of {len(values)} rows"), unit)
    se = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return Estimate(float(values.mean()), se=se, unit=unit)


def binomial_se(successes: float, trials: int) -> float:
    """Return √(p(1 − p)/trials) with p = (successes + 1)/(trials + 2). It is > 0 even if all trials succeed or fail."""
    p = (successes + 1) / (trials + 2)
    return (p * (1 - p) / trials) ** 0.5


def half_sample_std(statistic: Callable[[np.ndarray, np.ndarray], Any], n: int, m: int) -> Any:
    """Return the standard deviation of `statistic(i, j)` over random halves i of n rows and j of m rows.

    This is the delete-half jackknife (Shao and Wu, 1989): the mean over half of the rows varies around the mean over
    all rows by the same amount by which the mean over all rows varies around the truth. Drawing with replacement would
    put copies of a row into its own ball.
    """
    random = np.random.default_rng(0)
    values = [statistic(random.permutation(n)[: n // 2], random.permutation(m)[: m // 2]) for _ in range(HALVES)]
    return np.std(values, axis=0, ddof=1)


def bootstrap_se(statistic: Callable[..., float], parts: list[np.ndarray], seed: int, repeats: int) -> float:
    """Return the standard deviation of `statistic(*parts)` over resamplings of every part's rows."""
    random = np.random.default_rng(seed)
    values = [statistic(*(part[random.integers(len(part), size=len(part))] for part in parts)) for _ in range(repeats)]
    return float(np.std(values, ddof=1))
