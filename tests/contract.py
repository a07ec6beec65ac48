"""What the contract tests share: every implementation of a role, found by walking conf/, and integrals."""

import atexit
import csv
import importlib
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from ebm_cli.assembly.build import make
from ebm_cli.check import InputError
from ebm_cli.energy import works_on
from ebm_cli.run.folder import Run
from ebm_cli.run.sampled import SampledRun

CONF = Path(__file__).parents[1] / "conf"
PACKAGE = Path(__file__).parents[1] / "ebm_cli"
GROUPS = (
    "data",
    "energy",
    "path",
    "sampler",
    "start",
    "objective",
    "optimizer",
    "metric",
    "diagnostic",
    "regularizer",
    "condition",
)
EVENTS = ((2,), (1, 8, 8))
# What an energy takes from data where it has any.
WITHOUT_DATA = {"classes": 3}
INTERPOLATED = {"${trainer.steps}": 2000}


def options(group: str) -> list[str]:
    """The names of a group's YAML files, all but custom."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml") if path.stem != "custom")


def scratch() -> Path:
    """A new folder that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="ebm-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def config(group: str, name: str) -> dict[str, Any]:
    """One YAML as a plain dict, interpolations replaced by the values they have by default.

    A value that a user must give (`???`) comes from `example()` in the matching test file.
    """
    node = yaml.load((CONF / group / f"{name}.yaml").read_text(), Loader=yaml.CSafeLoader)
    if name != "custom" and "???" in node.values():
        node |= importlib.import_module(f"tests.{group}.test_{name}").example()
    return {key: INTERPOLATED.get(value, value) if isinstance(value, str) else value for key, value in node.items()}


def with_changes(node: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A node with some of its values changed; a key NAME.KEY changes a value of a node within it."""
    for key, value in changes.items():
        name, _, inner = key.partition(".")
        node = node | {name: with_changes(node[name], {inner: value}) if inner else value}
    return node


class History(SampledRun):
    """A trained run in memory. weights: of its checkpoints before the last. sigma: noise levels of its training."""

    def __init__(self, weights: dict[int, dict[str, Tensor]], sigma: list[float] | None = None) -> None:
        super().__init__(Run(Path("outputs/run")), "last", "averaged")
        vars(self).update(stored=weights, sigma=sigma)

    def earlier_steps(self) -> list[int]:
        return sorted(vars(self)["stored"])

    def weights_at(self, step: int) -> dict[str, Tensor]:
        return vars(self)["stored"][step]

    def objective(self) -> dict[str, Any]:
        return {"sigma": vars(self)["sigma"]}


def build(group: str, name: str, changes: dict[str, Any] | None = None, **offered: Any) -> Any:
    """What one YAML describes, with some of its values changed; energies and starts have no data unless told."""
    node, changes = config(group, name), dict(changes or {})
    if group in ("energy", "start"):
        offered = {"data": None, "energy": None} | offered
    if group == "path":
        offered = {"data": None, "run": History({100: {}, 200: {}})} | offered
    if name == "tempering" and "path" not in offered:
        # Keys of its path and of its kernel are given like its own.
        offered["path"] = build("path", "hot", own_keys(config("path", "hot"), changes))
    if name == "tempering" and "kernel" not in changes:
        node["kernel"] = node["kernel"] | own_keys(node["kernel"], changes, but=("temperature", "scales"))
    if group == "data":
        offered = {"record": None} | offered
    if group == "energy" and offered["data"] is None:
        # An energy that stores rows gets those of its test file.
        rows = getattr(importlib.import_module(f"tests.energy.test_{name}"), "rows", lambda _: None)
        offered["data"] = rows(offered.get("event"))
    if group == "energy" and offered["data"] is None:
        node |= {key: value for key, value in WITHOUT_DATA.items() if key in node}
    return make(with_changes(node, changes), **offered)


def own_keys(node: dict[str, Any], changes: dict[str, Any], but: tuple[str, ...] = ()) -> dict[str, Any]:
    """Take the changes of a node's own keys out of `changes`."""
    return {key: changes.pop(key) for key in list(changes) if key in node and key not in but}


def samplers(space: str = "continuous") -> list[str]:
    """The names of the samplers that work on a space."""
    return [name for name in options("sampler") if works_on(build("sampler", name), space)]


@cache
def energies() -> list[tuple[str, tuple[int, ...]]]:
    """Every energy with every shape of EVENTS that it takes; with its default shape if it takes none of them."""
    cases = []
    for name in options("energy"):
        taken = [event for event in EVENTS if takes(name, event)]
        cases += [(name, event) for event in taken or [build("energy", name, event=None).event]]
    return cases


def takes(name: str, event: tuple[int, ...]) -> bool:
    """True if states of an energy can have this shape."""
    try:
        return tuple(build("energy", name, event=event).event) == event
    except InputError:
        return False


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """New floating-point tensors are of this type inside the block."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def sweep_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep's sweep.csv."""
    return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))


def jiggled(energy: nn.Module, rng: torch.Generator) -> nn.Module:
    """The energy with its parameters moved a little, so that none is at its starting value."""
    with torch.no_grad():
        for p in energy.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return energy


def grid(dims: int, half_width: float, points: int) -> tuple[Tensor, float]:
    """Points of a regular grid on [−half_width, half_width]^dims, and the volume of one cell.

    For smooth functions that vanish at the edge the trapezoid rule on it beats any power of the spacing.
    """
    axis = torch.linspace(-half_width, half_width, points, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * dims).reshape(-1, dims), float(axis[1] - axis[0]) ** dims


def log_integral(log_f: Callable[[Tensor], Tensor], dims: int, half_width: float, points: int) -> float:
    """log ∫ exp(log_f(x)) dx by the trapezoid rule."""
    x, cell = grid(dims, half_width, points)
    with torch.no_grad():
        values = torch.cat([log_f(part) for part in x.split(4000)])
    return float(torch.logsumexp(values, 0)) + math.log(cell)


def quadrature_moments(
    log_f: Callable[[Tensor], Tensor], dims: int, half_width: float, points: int
) -> tuple[Tensor, Tensor]:
    """Mean and variance of every coordinate under exp(log_f)/∫exp(log_f)."""
    x, _ = grid(dims, half_width, points)
    with torch.no_grad():
        weights = log_f(x).softmax(0)[:, None]
    mean = (weights * x).sum(0)
    return mean, (weights * (x - mean).square()).sum(0)


def cell_masses(log_prob: Callable[[Tensor], Tensor], edges: np.ndarray, nodes: int = 4) -> np.ndarray:
    """Probability of each square cell of edges × edges, by Gauss–Legendre quadrature inside the cells."""
    z, w = np.polynomial.legendre.leggauss(nodes)
    half = np.diff(edges) / 2
    axis = torch.as_tensor(((edges[:-1] + half)[:, None] + half[:, None] * z).ravel())
    weights = (half[:, None] * w).ravel()
    x = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        density = torch.cat([log_prob(part) for part in x.split(4000)]).exp().numpy()
    mass = density.reshape(len(axis), len(axis)) * weights[:, None] * weights[None]
    cells = len(half)
    return mass.reshape(cells, nodes, cells, nodes).sum((1, 3))


def moment_z_scores(x: Tensor, mean: Tensor | float, variance: Tensor | float) -> tuple[Tensor, Tensor]:
    """How many standard errors the sample mean and variance of every coordinate lie from the true ones."""
    x, n = x.double().flatten(1), x.shape[0]
    centred = (x - torch.as_tensor(mean).flatten()).double()
    square = centred.square()
    z_mean = centred.mean(0) / (x.std(0) / math.sqrt(n))
    z_variance = (square.mean(0) - torch.as_tensor(variance).flatten()) / (square.std(0) / math.sqrt(n))
    return z_mean.abs(), z_variance.abs()
