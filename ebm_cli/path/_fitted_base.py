"""Base distributions that are fitted to rows, and the coordinates in which these rows are roughly standard normal."""

from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.density import mixture
from ebm_cli.density.fit_data import split_fit_data
from ebm_cli.density.mixture import MAX_COORDINATES
from ebm_cli.density.normals import NormalMixture
from ebm_cli.path._base_distribution import BaseDistribution, MixtureBase, StandardNormal, UniformBox
from ebm_cli.path._coordinates import WIDER, Integrand, WhitenedEnergy, whiten, whiten_box, whiten_range
from ebm_cli.path._flow_base import check_flow_is_installed, fitted_flow

BASES = ("auto", "gaussian", "mixture", "flow", "box")


def fit_base(
    integrand: Integrand, rows: Float[Tensor, "n *event"], base: str | NormalMixture, box: list[float] | None
) -> tuple[WhitenedEnergy, BaseDistribution]:
    """Return coordinates in which the rows are roughly normal, and the base distribution in these coordinates.

    rows: approximate samples of the model: the rows of the integrand, or states of chains if it has none.
    base: see `DrawnPath`. auto does not fit a mixture to states of chains.
    """
    if base == "box":
        space = whiten_range(integrand, rows) if box is None else whiten_box(integrand, box)
        return space, UniformBox(space.center)
    mixture_is_possible = integrand.size <= MAX_COORDINATES
    if base == "mixture" and not mixture_is_possible:
        limit = f"works in up to {MAX_COORDINATES} dimensions, got {integrand.size}"
        raise InputError(f"path.base=mixture {limit}. Type path.base=gaussian")
    space = whiten(integrand, rows)
    if isinstance(base, NormalMixture):
        return space, MixtureBase(space, base.log_weights, base.means, base.roots, WIDER)
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
    """Raise InputError unless `base` is a density, or the name of a base distribution whose library is installed."""
    if isinstance(base, NormalMixture):
        return
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
