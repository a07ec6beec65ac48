"""Densities fitted to the data: baselines of the held-out log-likelihood, and base distributions of paths.

Each file has `fit(data) -> Density`. Fits use only the training split and choose their sizes by a fifth of it. The
densities are of samples with the data's noise σ, in the model's units, because these are scored.
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


def fit_baselines(
    data: Data, names: Iterable[str], seed: int, report: Callable[[str], None], stop: Callable[[], bool] = never_stop
) -> list[Baseline]:
    """Return the named baselines in the order given.

    names: names in NAMES; InputError for any other name. The flow needs the extra `baselines`, else it is left out.
    seed: seed of the fits. The split that chooses sizes does not depend on it.
    report: called with a message about each baseline that is left out, and about flat directions.
    stop: polled before each fit, and by the flow while it trains.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        check.one_of("baselines", name, NAMES)
    if "flow" in names and find_spec("zuko") is None:
        names.remove("flow")
        report("baseline flow is left out: it needs zuko, pip install 'ebm-cli[baselines]'")
    if not names:
        return []
    fit_data = make_fit_data(data, seed)
    flat = flat_directions(fit_data)
    if flat:
        report(
            f"baselines: training rows do not vary in {flat} of {math.prod(data.event)} directions and have no noise. "
            "Therefore they have no density. Set data.noise > 0 to give them a density"
        )
    found = []
    for name in names:
        if stop():
            break
        start = time.perf_counter()
        density = flow.fit(fit_data, stop) if name == "flow" else FITS[name](fit_data)
        found.append(Baseline(name, density.words, time.perf_counter() - start, tuple(data.event), density))
    return found
