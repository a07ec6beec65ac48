"""Densities fitted to the data: baselines of the held-out log-likelihood, and base distributions of paths.

Each file has `fit(data) -> Density`. Fits use only the training split and choose their sizes by a fifth of it. The
densities are of samples with the data's noise σ, in the model's units, because these are scored. Those of discrete rows
are probabilities.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import InputError, one_of
from ebm_cli.data import DISCRETE, Data, _angles, row_space
from ebm_cli.density import autoregressive, bernoulli, bernoulli_mixture, flow, gaussian, kde, mixture, tree, von_mises
from ebm_cli.density.discrete_rows import DiscreteDensity, DiscreteFitData, StateDensity, make_discrete_fit_data
from ebm_cli.density.fit_data import FitData, flat_directions, make_fit_data
from ebm_cli.density.normals import Density
from ebm_cli.run.terminal import never_stop

# A fit that takes a while polls `stop`.
Stop = Callable[[], bool]
FITS: dict[str, Callable[[FitData, Stop], Density]] = {
    "gaussian": lambda data, _: gaussian.fit(data),
    "mixture": lambda data, _: mixture.fit(data),
    "kernel": lambda data, _: kde.fit(data),
    "flow": flow.fit,
}
PERIODIC_FITS: dict[str, Callable[[FitData, Stop], Density]] = {
    "von_mises": lambda data, _: von_mises.fit_product(data),
    "kernel": lambda data, _: von_mises.fit_kernels(data),
}
DISCRETE_FITS: dict[str, Callable[[DiscreteFitData, Stop], DiscreteDensity]] = {
    "bernoulli": lambda data, _: bernoulli.fit(data),
    "bernoulli_mixture": bernoulli_mixture.fit,
    "tree": lambda data, _: tree.fit(data),
    "autoregressive": autoregressive.fit,
}
# All baselines that fit the rows.
AUTO = "auto"
NAMES = tuple(dict.fromkeys((*FITS, *PERIODIC_FITS, *DISCRETE_FITS)))
MAX_ROWS_PER_CALL = 2000


@dataclass(frozen=True)
class Baseline:
    """A fitted density over states of shape `event`.

    name: a name in NAMES.
    words: describes the density and the sizes that were chosen.
    seconds: duration of the fit.
    """

    name: str
    words: str
    seconds: float
    event: tuple[int, ...]
    density: Density

    def log_prob(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """Return log p(x) in nats, in double precision, on the device of x."""
        rows = x.detach().flatten(1).double().cpu()
        return torch.cat([self.density.log_prob(part) for part in rows.split(MAX_ROWS_PER_CALL)]).to(x.device)


def names_that_fit(names: Iterable[str] | str, space: str) -> list[str]:
    """Return the names of baselines in the order given, each once; all that fit rows of this space for `auto`.

    Raises InputError with every name that does not fit.
    """
    fit = DISCRETE_FITS if space in DISCRETE else smooth_fits(space)
    if names == AUTO:
        return list(fit)
    names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    for name in names:
        one_of("baselines", name, NAMES)
    if wrong := [name for name in names if name not in fit]:
        raise InputError(f"baselines must be {' or '.join(fit)} for {space} rows, got {', '.join(wrong)}")
    return names


def smooth_fits(space: str) -> dict[str, Callable[[FitData, Stop], Density]]:
    """Return the fits of rows of angles, or of real numbers."""
    return PERIODIC_FITS if space == _angles.SPACE else FITS


def fit_baselines(
    data: Data, names: Iterable[str] | str, seed: int, report: Callable[[str], None], stop: Stop = never_stop
) -> list[Baseline]:
    """Return the named baselines in the order given.

    names: one name or names that fit the space of the data, or auto (`names_that_fit`). The flow needs the extra
    `baselines`, else it is left out.
    seed: seed of the fits. The split that chooses sizes does not depend on it.
    report: called with a message about each baseline that is left out, and about flat directions.
    stop: polled before each fit, and by networks while they train.
    """
    space = row_space(data)
    names = names_that_fit(names, space)
    if "flow" in names and find_spec("zuko") is None:
        names.remove("flow")
        report("baseline flow is left out: it needs zuko, pip install 'ebm-cli[baselines]'")
    if not names:
        return []
    fit = discrete_fits(data, seed) if space in DISCRETE else continuous_fits(data, seed, report)
    found = []
    for name in names:
        if stop():
            break
        start = time.perf_counter()
        density = fit(name, stop)
        found.append(Baseline(name, density.words, time.perf_counter() - start, tuple(data.event), density))
    return found


def continuous_fits(data: Data, seed: int, report: Callable[[str], None]) -> Callable[[str, Stop], Density]:
    """Return the function that fits the density of a name to these rows. Flat directions are reported."""
    fit_data = make_fit_data(data, seed)
    flat = flat_directions(fit_data)
    if flat:
        report(
            f"baselines: training rows do not vary in {flat} of {math.prod(data.event)} directions and have no noise. "
            "Therefore they have no density. Set data.noise > 0 to give them a density"
        )
    fits = smooth_fits(row_space(data))
    return lambda name, stop: fits[name](fit_data, stop)


def discrete_fits(data: Data, seed: int) -> Callable[[str, Stop], Density]:
    """Return the function that fits the probabilities of a name to these rows."""
    fit_data = make_discrete_fit_data(data, seed)
    return lambda name, stop: StateDensity(fit_data.sites, DISCRETE_FITS[name](fit_data, stop))
