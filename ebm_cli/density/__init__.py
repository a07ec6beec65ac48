"""Baselines: densities that are not energies, fitted to the same rows, for what a held-out log-likelihood is worth.

Each has a file here with `fit(material) -> Density`; all see the training split alone, choose their sizes on a fifth of
it, and are densities of rows as they are scored: with the data's noise σ, in the model's units.
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
from ebm_cli.density.fit_data import Material, flat_directions, material
from ebm_cli.density.normals import Density
from ebm_cli.run.terminal import never

FITS: dict[str, Callable[[Material], Density]] = {
    "gaussian": gaussian.fit,
    "mixture": mixture.fit,
    "kernel": kde.fit,
}
NAMES = (*FITS, "flow")
CHUNK = 2000


@dataclass(frozen=True)
class Baseline:
    """A fitted density over states of shape `event`.

    name: of NAMES. words: what it is, with the sizes that were chosen. seconds: that the choice and the fit took.
    """

    name: str
    words: str
    seconds: float
    event: tuple[int, ...]
    density: Density

    def log_prob(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """log p(x) in nats, in double precision, where x is."""
        rows = x.detach().flatten(1).double().cpu()
        return torch.cat([self.density.log_prob(part) for part in rows.split(CHUNK)]).to(x.device)


def fitted(
    data: Data, names: Iterable[str], seed: int, tell: Callable[[str], None], stop: Callable[[], bool] = never
) -> list[Baseline]:
    """The named baselines, in the order given; a note to `tell` for each that is left out, and of what is doubtful.

    seed: of what a fit draws; which rows choose sizes is the same for every seed. The flow needs the extra `baselines`
    and is left out without it. stop: asked before each, and by the flow while it trains. InputError for a name that is
    none, and for fewer than 2 training rows.
    """
    names = list(dict.fromkeys(names))
    for name in names:
        check.one_of("baselines", name, NAMES)
    if "flow" in names and find_spec("zuko") is None:
        names.remove("flow")
        tell("baseline flow is left out: it needs zuko, pip install 'ebm-cli[baselines]'")
    if not names:
        return []
    rows = material(data, seed)
    flat = flat_directions(rows)
    if flat:
        tell(
            f"baselines: training rows do not vary in {flat} of {math.prod(data.event)} directions and carry no noise, "
            "so that no density is defined there; data.noise > 0 gives one"
        )
    found = []
    for name in names:
        if stop():
            break
        begin = time.perf_counter()
        density = flow.fit(rows, stop) if name == "flow" else FITS[name](rows)
        seconds = time.perf_counter() - begin
        found.append(Baseline(name, density.words, seconds, tuple(data.event), density))
    return found
