"""Densities fitted to the data: baselines of the held-out log-likelihood, and base distributions of paths.

Each file has `fit(data) -> Density`. All use only the training split, choose their sizes on a fifth of it, and are
densities of samples as they are scored: with the data's noise σ, in the model's units.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.density import flow, gaussian, kde, mixture
from ebm_cli.density.fit_data import FitData, flat_directions, make_fit_data
from ebm_cli.density.normals import Density
from ebm_cli.run.terminal import never_stop

FITS: dict[str, Callable[[FitData], Density]] = {
    "gaussian": gaussian.fit,
    "mixture": mixture.fit,
    "kernel": kde.fit,
}
NAMES = (*FITS, "flow")
MAX_ROWS_PER_CALL = 2000


@dataclass(frozen=True)
class Baseline:
    """A fitted density over states of shape `event`.

    name: one of NAMES.
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


def fit_baselines(
    data: Data, names: Iterable[str], seed: int, tell: Callable[[str], None], stop: Callable[[], bool] = never_stop
) -> list[Baseline]:
    """Return the named baselines in the order given.

    names: among NAMES; InputError for any other. The flow needs the extra `baselines` and is left out without it.
    seed: of random numbers of a fit. The split that chooses sizes is the same for every seed.
    tell: called with a message for each baseline that is left out, and for flat directions.
    stop: polled before each fit, and by the flow while it trains.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        check.one_of("baselines", name, NAMES)
    if "flow" in names and find_spec("zuko") is None:
        names.remove("flow")
        tell("baseline flow is left out: it needs zuko, pip install 'ebm-cli[baselines]'")
    if not names:
        return []
    fit_data = make_fit_data(data, seed)
    flat = flat_directions(fit_data)
    if flat:
        tell(
            f"baselines: training rows do not vary in {flat} of {math.prod(data.event)} directions and have no noise, "
            "so that no density is defined there; data.noise > 0 gives one"
        )
    found = []
    for name in names:
        if stop():
            break
        start = time.perf_counter()
        density = flow.fit(fit_data, stop) if name == "flow" else FITS[name](fit_data)
        found.append(Baseline(name, density.words, time.perf_counter() - start, tuple(data.event), density))
    return found
