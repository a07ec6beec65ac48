"""Metrics: model against data or against the truth. Every other file in this folder is one of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import partition
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.data._features import Features, features_of
from ebm_cli.figure.finding import Finding
from ebm_cli.partition import Budget, Integrand, LogZResult
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.run.terminal import Quiet, Terminal

NEEDS_DATA = "needs data to compare with: run=RUN of a trained model, or data=NAME"


@dataclass(frozen=True)
class Subject:
    """What a metric looks at.

    energy, temperature: the model exp(−E/T)/Z over states of shape `event`. samples: ends of its chains, one a row;
    None when no metric asked for any. data: the set it is compared with; held_out, train: its rows with the set's own
    noise, the same in every run; train is None if a run's file is not at hand, and train_missing says why. known:
    noised rows of the training data's distribution; None for those of train. remarks: what is wrong with the samples,
    which every estimate from them takes over.
    partitions: log Z by every recipe that a metric asked for. budget, target: of what may be spent on each, see
    `Budget`; terminal: where its progress goes.
    """

    energy: nn.Module
    temperature: float
    event: tuple[int, ...]
    data: Data | None
    samples: Float[Tensor, "n *event"] | None
    held_out: Batch | None
    train: Batch | None
    seed: int
    train_missing: str = ""
    known: Batch | None = None
    remarks: tuple[str, ...] = ()
    partitions: dict[LogZSettings, LogZResult] = field(default_factory=dict)
    budget: int | None = None
    target: float | None = None
    terminal: Terminal = field(default_factory=Quiet)

    def __post_init__(self) -> None:
        Budget(self.budget, self.target)

    @property
    def compared(self) -> str:
        """What `held_out` is, in words: the data's held-out rows, or all rows of another file that is named."""
        name = getattr(self.data, "other_file", "")
        return f"rows of {name}" if name else "held-out rows"

    def pair(self) -> tuple[Float[Tensor, "n *event"], Batch]:
        """Samples and held-out rows; InputError without data."""
        if self.samples is None or self.held_out is None:
            raise InputError(NEEDS_DATA)
        return self.samples, self.held_out

    def training(self) -> Batch:
        """The training rows; InputError without data, or if they are not at hand."""
        if self.train is None:
            raise InputError(self.train_missing or NEEDS_DATA)
        return self.train

    @cached_property
    def features(self) -> Features:
        """The features in which samples and data are compared, fitted once for all metrics of a subject."""
        if self.data is None or self.held_out is None:
            raise InputError(NEEDS_DATA)
        return features_of(self.data, self.held_out)

    def log_z(self, recipe: LogZSettings) -> LogZResult:
        """The model's log Z by this recipe, found once for all metrics of a subject."""
        if recipe not in self.partitions:
            σ = 0.0 if self.data is None else self.data.noise
            rows = self.train if self.known is None else self.known
            integrand = Integrand.from_data(self.energy, self.temperature, self.event, rows, σ, self.seed)
            with self.terminal.task("log Z, gradients", self.budget) as tick:
                spending = Budget(self.budget, self.target, tick, self.terminal.stopping)
                self.partitions[recipe] = partition.log_z(integrand, recipe, spending)
        return self.partitions[recipe]


@runtime_checkable
class Metric(Protocol):
    """A callable from a subject to a finding. needs_samples: whether chains must be drawn for it."""

    needs_samples: bool

    def __call__(self, subject: Subject) -> Finding: ...


def rows(x: Tensor) -> Float[np.ndarray, "n size"]:
    """States as rows of float64 numbers."""
    return x.flatten(1).double().cpu().numpy()


def mixed(x: Tensor, most: int) -> Tensor:
    """At most so many rows in an order of their own, the same for the same number of rows."""
    return x[np.random.default_rng(0).permutation(len(x))[:most].tolist()]


def binomial_se(successes: float, trials: int) -> float:
    """√(p(1 − p)/trials) with p = (successes + 1)/(trials + 2), so that none or all of them have an error too."""
    p = (successes + 1) / (trials + 2)
    return (p * (1 - p) / trials) ** 0.5


def bootstrap_se(statistic: Callable[..., float], parts: list[np.ndarray], seed: int, repeats: int) -> float:
    """Standard deviation of `statistic(*parts)` over resamplings of every part's rows."""
    random = np.random.default_rng(seed)
    values = [statistic(*(part[random.integers(len(part), size=len(part))] for part in parts)) for _ in range(repeats)]
    return float(np.std(values, ddof=1))


def noise_of(subject: Subject) -> str:
    """How the data's noise enters, for a caption."""
    σ = subject.data.noise if subject.data is not None else 0.0
    return f"both sides carry the data's noise, σ = {σ:g}" if σ else "the data carry no noise"
