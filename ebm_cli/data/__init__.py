"""Data: what a model is trained on and compared with. Every other file in this folder is one set.

`sample` is a pure function of its generator, so that a resumed run sees the same batches.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import roots_legendre
from torch import Tensor

from ebm_cli import check, rng
from ebm_cli.check import InputError
from ebm_cli.rng import normal_like

HELD_OUT = 2000
Part = Literal["train", "held_out"]


class Batch(NamedTuple):
    """n rows. clean: the rows before noise, where there is any. y: labels. condition: a noise level or class."""

    x: Float[Tensor, "n *event"]
    clean: Float[Tensor, "n *event"] | None = None
    y: Int[Tensor, " n"] | None = None
    condition: Tensor | None = None


@runtime_checkable
class Data(Protocol):
    """A data set.

    event: the shape of one row. noise: σ of the Gaussian noise that its draws carry. finite: whether it is a
    list of rows, which a model could learn by heart, and not fresh draws for ever.
    """

    event: tuple[int, ...]
    noise: float

    @property
    def finite(self) -> bool: ...

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """n training rows, noise included, drawn with replacement."""
        ...

    def split(self, part: Part) -> Batch:
        """All rows of one part in their own order, without noise where the set has rows without."""
        ...

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        """States as people look at them: pictures in [0, 1], or rows in their own units."""
        ...


@dataclass(frozen=True)
class DataRecord:
    """What training learned from a user's file; the run keeps it, so that later verbs use the same units.

    target: the class of the data set. path: the file as it was found in training. values: plain values, by which rows
    are matched, scaled and split. fingerprint: rows, columns and hash of what was read. held_out: the rows that no
    training step saw, as numbers in the file's own units, and their labels if any. purpose: `rows` takes held-out rows
    from the record and opens the file only if training rows are asked for; `resume` reads the file and refuses one
    that has changed; `units` reads any file in the units of the record.
    """

    target: str
    path: str
    values: dict[str, Any]
    fingerprint: dict[str, Any]
    held_out: dict[str, Tensor]
    purpose: Literal["rows", "resume", "units"] = "rows"

    def used_for(self, purpose: Literal["rows", "resume", "units"]) -> "DataRecord":
        """Return the same record with another purpose."""
        return dataclasses.replace(self, purpose=purpose)


@runtime_checkable
class HasRecord(Protocol):
    """A data set that learns from a user's file: its constructor takes `record`, None in a new training run."""

    def record(self) -> DataRecord: ...

    def known(self) -> Batch:
        """Rows of the training data's distribution, from the record if there is one."""
        ...


class FileRows(NamedTuple):
    """Rows of a user's file in the units of a run.

    x: one state per complete row. complete: for every row of the file, whether x holds it. table: a DataFrame of the
    file's own columns, in its own order, with all its rows. notes: what differs from the training file.
    """

    x: Float[Tensor, "n *event"]
    complete: np.ndarray
    table: Any
    notes: list[str]


@runtime_checkable
class HasUnits(Protocol):
    """A data set whose file has units of its own."""

    def encode(self, numbers: np.ndarray) -> Float[Tensor, "n *event"]:
        """Return rows in the file's own units as states."""
        ...


@runtime_checkable
class ReadsFiles(Protocol):
    """A data set that reads other files in the units that training learned.

    log_unit: Σ log of each coordinate's scale; a log-density in the file's own units is the model's less this. unit:
    the file's own unit, in words.
    """

    @property
    def log_unit(self) -> float: ...

    @property
    def unit(self) -> str: ...

    def read_rows(self, path: str) -> FileRows:
        """All rows of a file; InputError if they do not fit what training learned."""
        ...


@runtime_checkable
class NamesRows(Protocol):
    """A data set whose rows have names in the user's own file."""

    def origin(self, part: Part) -> tuple[str, list[Any]] | None:
        """The kind of name (`row` or `file`) and one name per row of a part; None if they are not known."""
        ...


@runtime_checkable
class KnownDensity(Protocol):
    """A data set whose law, noise included, has a density that can be computed."""

    def log_prob(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]: ...


def known(data: Data) -> Batch:
    """Return rows of the training data's distribution that need no file.

    These are the held-out rows that a run keeps, if the set was opened from its record, and else the training rows.
    """
    return data.known() if isinstance(data, HasRecord) else data.split("train")


def noised(data: Data, part: Part, seed: int) -> Batch:
    """All rows of one part with the set's own noise, the same for the same seed."""
    return with_noise(data, data.split(part), f"noise/{part}", seed)


def noised_known(data: Data, seed: int) -> Batch:
    """The rows of `known` with the set's own noise, the same for the same seed."""
    return with_noise(data, known(data), "noise/train", seed)


def with_noise(data: Data, batch: Batch, purpose: str, seed: int) -> Batch:
    """The same rows with the set's own noise, from a generator of this purpose."""
    if batch.clean is None or data.noise == 0:
        return batch
    generator = rng.generator(seed, purpose, batch.x.device)
    return batch._replace(x=batch.clean + data.noise * rng.normal_like(batch.clean, generator))


class Stream:
    """Base of the synthetic sets: `n` rows drawn once from `seed`, or fresh draws for ever where n is null.

    A set gives `event`, `noise`, `draw` and `log_prob`. The held-out part is 2,000 rows of its own; of fresh
    draws the training part is 20,000.
    """

    event: tuple[int, ...]
    noise: float

    def __init__(self, n: int | None, seed: int) -> None:
        if n is not None:
            check.count("n", n)
        check.count("seed", seed, least=0)
        self.n = n
        self.seed = seed
        self._device = torch.get_default_device()
        self._rows: dict[Part, Batch] = {}

    @property
    def finite(self) -> bool:
        return self.n is not None

    def draw(self, n: int, rng: torch.Generator) -> Batch:
        """n independent draws from the law itself."""
        raise NotImplementedError

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        if self.n is None:
            return self.draw(n, rng)
        batch = self.split("train")
        rows = torch.randint(self.n, (n,), generator=rng, device=rng.device)
        clean, y = (None if part is None else part[rows] for part in (batch.clean, batch.y))
        return Batch(batch.x[rows], clean=clean, y=y)

    def split(self, part: Part) -> Batch:
        if part not in self._rows:
            n = HELD_OUT if part == "held_out" else self.n or 10 * HELD_OUT
            self._rows[part] = self.draw(n, rng.generator(self.seed, f"data/{part}", self._device))
        return self._rows[part]

    def decode(self, x: Float[Tensor, "n *event"]) -> np.ndarray:
        return x.cpu().numpy()


def log_mixture(
    x: Float[Tensor, "n d"], means: Float[Tensor, "m d"], log_weights: Float[Tensor, " m"], noise: float
) -> Float[Tensor, " n"]:
    """log Σᵢ wᵢ N(x; meanᵢ, noise²I): parts, or the nodes of an integral along a curve."""
    # Differences squared one by one: the product form that cdist may choose cancels.
    distance = torch.cdist(x, means.to(x.dtype), compute_mode="donot_use_mm_for_euclid_dist")
    log_parts = torch.addcmul(log_weights.to(x.dtype), distance, distance, value=-0.5 / noise**2)
    return torch.logsumexp(log_parts, 1) - x.shape[1] * (math.log(noise) + 0.5 * math.log(2 * math.pi))


def legendre(nodes: int, upper: float, like: Tensor) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
    """Gauss–Legendre's t and w, of like's type and device: ∫ f(t) dt over [0, upper] is about Σᵢ wᵢ f(tᵢ)."""
    z, w = _legendre(nodes)
    t, weights = (z + 1) * upper / 2, w * upper / 2
    return t.to(like), weights.to(like)


@cache
def _legendre(nodes: int) -> tuple[Tensor, Tensor]:
    # numpy's own rule loses digits from some hundred nodes on.
    z, w = roots_legendre(nodes)
    return torch.from_numpy(z), torch.from_numpy(w)


class Rows:
    """Base of the sets that are a list of rows: draws with replacement from the training part, noise added.

    train, held_out: batches whose `clean` is given; labels go along where there are any. train is None if a set reads
    its training rows later. noise: σ ≥ 0, checked by the set. A set gives `decode` beside what it hands to this
    constructor.
    """

    finite = True

    def __init__(self, train: Batch | None, held_out: Batch, noise: float) -> None:
        self.event: tuple[int, ...] = tuple(held_out.x.shape[1:])
        self.noise = noise
        self._rows: dict[Part, Batch] = (
            {"held_out": held_out} if train is None else {"train": train, "held_out": held_out}
        )

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        batch = self.known()
        assert batch.clean is not None
        rows = torch.randint(len(batch.clean), (n,), generator=rng, device=rng.device)
        clean = batch.clean[rows]
        x = clean + self.noise * normal_like(clean, rng) if self.noise else clean
        return Batch(x, clean=clean, y=None if batch.y is None else batch.y[rows])

    def known(self) -> Batch:
        """The rows that `sample` draws from."""
        return self.split("train")

    def split(self, part: Part) -> Batch:
        return self._rows[part]


def pictures(x: Float[Tensor, "n channels height width"]) -> np.ndarray:
    """States in [−1, 1] as people look at them: (n, height, width) or (n, height, width, 3), cut to [0, 1]."""
    seen = ((x + 1) / 2).clamp(0, 1).movedim(1, -1).cpu().numpy()
    return seen.squeeze(-1) if x.shape[1] == 1 else seen


def check_rows(held_out: float, noise: float, seed: int) -> None:
    """Raise InputError unless held_out is in (0, 1), noise ≥ 0 and seed ≥ 0."""
    check.half_open("held_out", held_out)
    check.positive("held_out", held_out)
    check.non_negative("noise", noise)
    check.count("seed", seed, least=0)


def split_rows(n: int, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of n ≥ 2 rows train and which are held out, each in their own order; a row at least in either part."""
    # RandomState's permutations are frozen: another version of numpy holds out the same rows.
    order = np.random.RandomState(rng.derive(seed, "data/held_out") % 2**32).permutation(n)
    cut = min(max(round(held_out * n), 1), n - 1)
    return np.sort(order[cut:]), np.sort(order[:cut])


def own_path(path: str) -> Path:
    """The user's own file or folder, `~` expanded; InputError, with the nearest name beside it, where there is none."""
    found = Path(path).expanduser()
    if not found.exists():
        beside = [other.name for other in found.parent.iterdir()] if found.parent.is_dir() else []
        raise InputError(f"path={path} is not there{check.nearest(found.name, beside)}")
    return found


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first few of many names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def is_image(event: tuple[int, ...]) -> bool:
    """Return True for (channels, height, width) with one or three channels."""
    return len(event) == 3 and event[0] in (1, 3)


def image_event(name: str, event: tuple[int, ...]) -> tuple[int, int, int]:
    """`event` as (channels, height, width); InputError for any other shape."""
    if len(event) != 3:
        raise InputError(f"event must be (channels, height, width) for {name}, got {list(event)}; energy=mlp takes any")
    return event[0], event[1], event[2]
