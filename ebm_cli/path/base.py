"""A path to the model from a density with exact draws that is fitted to rows."""

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.density import mixture
from ebm_cli.density.fit_data import split_fit_data
from ebm_cli.density.mixture import MAX_COORDINATES
from ebm_cli.density.normals import NormalMixture
from ebm_cli.energy import device_of
from ebm_cli.path._annealing_path import AnnealingPath, cached_path
from ebm_cli.path._base_distribution import BaseDistribution, MixtureBase, StandardNormal, UniformBox
from ebm_cli.path._coordinates import WIDER, Integrand, WhitenedEnergy, whiten, whiten_box, whiten_range
from ebm_cli.path._flow_base import check_flow_is_installed, fitted_flow
from ebm_cli.path._swap import equal_rejection_places

BASES = ("auto", "gaussian", "mixture", "flow", "box")


@dataclass(frozen=True)
class BasePath:
    """U_β = U₀ + β(E/T − U₀), with exact draws of exp(−U₀) at β = 0.

    The coordinates are those in which the rows are roughly standard normal. States that come from β = 0 are independent
    of all earlier states (Syed et al., 2022, Journal of the Royal Statistical Society B 84, 321).

    base: the density exp(−U₀). gaussian, mixture or flow: fitted to the rows. box: uniform. auto: mixture for up to 100
        coordinates, otherwise gaussian.
    box: lower and upper bound of every coordinate for base=box; None for 1.5 times the range of the rows.
    betas: β of each replica, a list that falls from 1 to 0; auto: found by a pilot run.
    renew_every: training steps after which automatic places are found again (≥ 1).
    data: the rows, or the data set that has them.
    cache: the densities of the last energy and temperature, because the fit of a base takes longer than a step.
    """

    has_draws: ClassVar[bool] = True
    schedule_key: ClassVar[str] = "betas"

    base: str
    box: list[float] | None
    betas: str | list[float]
    renew_every: int
    data: Data | Batch | None
    cache: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check.every(
            lambda: check_base(self.base),
            lambda: check_box(self.box),
            self.check_box_is_used,
            lambda: check_betas(self.betas),
            lambda: check.count("renew_every", self.renew_every),
        )

    def check_box_is_used(self) -> None:
        """Raise InputError for a box that the base does not use."""
        if self.box is not None and self.base != "box":
            raise InputError("box is used only by path.base=box")

    def replica_betas(self) -> list[float]:
        if not isinstance(self.betas, list):
            raise InputError("path.betas=auto needs a pilot run, which finds a list that falls to 0")
        return self.betas

    def step_factors(self) -> list[float]:
        return [1.0] * (len(self.replica_betas()) - 1)

    @property
    def is_automatic(self) -> bool:
        return self.betas == "auto"

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "BasePath":
        """See `Path`. The rejection rate of two neighbors is assumed to grow linearly with β between them."""
        places = equal_rejection_places(self.replica_betas(), swap_rates)
        return self.with_betas([1.0, *places[1:-1], 0.0])

    def with_betas(self, betas: list[float]) -> "BasePath":
        """Return the path with replicas at these β."""
        path = dataclasses.replace(self, betas=betas)
        # The base does not depend on β, so it need not be fitted again.
        path.cache.update(self.cache)
        return path

    def rows(self) -> Batch | None:
        """Return the rows to which the base is fitted, with the noise of the data."""
        return noisy_available_rows(self.data, 0) if isinstance(self.data, Data) else self.data

    def annealing_path(self, energy: nn.Module, temperature: float) -> AnnealingPath:
        """Return the densities from the base to this model. Raises InputError if there are no rows to fit."""
        return cached_path(self.cache, energy, temperature, lambda: self.fitted_path(energy, temperature))

    def fitted_path(self, energy: nn.Module, temperature: float) -> AnnealingPath:
        """Fit the base, and return the densities from it to this model. Raises InputError if there are no rows."""
        rows = self.rows()
        if rows is None:
            raise InputError("path=base needs rows to fit its base to. Type run=RUN of a trained model, or data=NAME")
        noise = self.data.noise if isinstance(self.data, Data) else 0.0
        event = tuple(rows.x.shape[1:])
        x = rows.x.to(device_of(energy))
        integrand = Integrand(energy, temperature, event, x, 0, rows.clean, noise)
        return AnnealingPath(*fit_base(integrand, x, self.base, self.box))


def fit_base(
    integrand: Integrand, rows: Float[Tensor, "n *event"], base: str, box: list[float] | None
) -> tuple[WhitenedEnergy, BaseDistribution]:
    """Return coordinates in which the rows are roughly normal, and the base distribution in these coordinates.

    rows: approximate samples of the model: the rows of the integrand, or states of chains if it has none.
    base: see `BasePath`. auto does not fit a mixture to states of chains.
    """
    if base == "box":
        space = whiten_range(integrand, rows) if box is None else whiten_box(integrand, box)
        return space, UniformBox(space.center)
    mixture_is_possible = integrand.size <= MAX_COORDINATES
    if base == "mixture" and not mixture_is_possible:
        limit = f"works in up to {MAX_COORDINATES} dimensions, got {integrand.size}"
        raise InputError(f"path.base=mixture {limit}. Type path.base=gaussian")
    space = whiten(integrand, rows)
    clean, noise = (rows, 0.0) if integrand.clean is None else (integrand.clean, integrand.noise)
    if base == "flow":
        return space, fitted_flow(space, clean, noise, WIDER)
    if base == "mixture" or (base == "auto" and mixture_is_possible and integrand.rows is not None):
        return space, fitted_mixture(space, clean, noise, WIDER)
    return space, StandardNormal(space.center)


def fitted_mixture(space: WhitenedEnergy, rows: Float[Tensor, "n *event"], noise: float, wider: float) -> MixtureBase:
    """Return a base: the mixture of the held-out likelihood's baselines, fitted to these rows.

    noise: standard deviation of the noise that is added to the rows (≥ 0).
    wider: factor of all standard deviations (> 0).
    """
    found = mixture.fit(split_fit_data(rows.flatten(1).double().cpu(), noise, 0))
    assert isinstance(found, NormalMixture)
    return MixtureBase(space, found.log_weights, found.means, found.roots, wider)


def check_base(base: object) -> None:
    """Raise InputError unless `base` is the name of a base distribution whose library is installed."""
    check.one_of("base", base, BASES)
    if base == "flow":
        check_flow_is_installed()


def check_box(box: object) -> None:
    """Raise InputError unless `box` is None or two numbers, the lower one first."""
    if box is None:
        return
    if not isinstance(box, list) or len(box) != 2:
        raise InputError(f"box must be two numbers, its lower and upper bound, got {box}")
    for side in box:
        check.number("box", side)
    if box[0] >= box[1]:
        raise InputError(f"box must have its lower bound first, got {box}")


def check_betas(betas: object) -> None:
    """Raise InputError unless `betas` is auto or a list that falls from 1 to 0."""
    if not isinstance(betas, list):
        check.one_of("betas", betas, ["auto"])
        return
    for beta in betas:
        check.fraction("betas", beta)
    if len(betas) < 2 or betas[0] != 1 or betas[-1] != 0 or any(a <= b for a, b in pairwise(betas)):
        raise InputError(f"betas must be a list that falls from 1 to 0, such as [1,0.3,0], got {betas}")
