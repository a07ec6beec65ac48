"""What paths from a fitted density share: the fit of their base, and the places of their replicas."""

import dataclasses
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.density.normals import NormalMixture
from ebm_cli.energy import CONTINUOUS, device_of
from ebm_cli.path._annealing_path import AnnealingPath, cached_path
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy
from ebm_cli.path._fitted_base import check_base, check_box, fit_base
from ebm_cli.path._piecewise_path import PiecewisePath
from ebm_cli.path._places import Place, place_of, segment_members
from ebm_cli.path._swap import equal_rejection_places


@dataclass(frozen=True)
class DrawnPath:
    """Densities from a base with exact draws, β = 0, to the model, β = 1, and places of replicas.

    The coordinates are those in which the rows are roughly standard normal. States that come from β = 0 are independent
    of all earlier states (Syed et al., 2022, Journal of the Royal Statistical Society B 84, 321).

    base: the density at β = 0. gaussian, mixture or flow: fitted to the rows. box: uniform. auto: mixture for up to 100
        coordinates, otherwise gaussian. From Python also a mixture of Gaussians itself.
    box: lower and upper bound of every coordinate for base=box; None for 1.5 times the range of the rows.
    betas: β of each replica, a list that falls from 1 to 0; auto: found by a pilot run.
    data: the rows, or the data set that has them.
    cache: the densities of the last energy and temperature, because the fit of a base takes longer than a step.
    """

    spaces: ClassVar[frozenset[str]] = CONTINUOUS
    has_draws: ClassVar[bool] = True
    schedule_key: ClassVar[str] = "betas"
    # True if the path leads through other models than the one at β = 1.
    has_anchors: ClassVar[bool] = False

    base: str | NormalMixture
    box: list[float] | None
    betas: str | list[float]
    data: Data | Batch | None
    cache: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check.every(
            lambda: check_base(self.base),
            lambda: check_box(self.box),
            self.check_box_is_used,
            lambda: check_betas(self.betas),
        )

    def check_box_is_used(self) -> None:
        """Raise InputError for a box that the base does not use."""
        if self.box is not None and self.base != "box":
            raise InputError("box is used only by path.base=box")

    @property
    def description(self) -> str:
        """Return what the path leads through between its base and the model, for the end of a message."""
        return ""

    @property
    def segments(self) -> int:
        """Return the number of linear segments of the path."""
        return 1

    def models(self, energy: nn.Module) -> list[nn.Module]:
        """Return the energies that the path leads through, from the one next to the base to the model."""
        return [energy]

    def with_candidates(self, energy: nn.Module) -> "DrawnPath":  # noqa: ARG002
        """Return the path through every energy among which a pilot run may choose."""
        return self

    def with_anchors(self, kept: list[int]) -> "DrawnPath":  # noqa: ARG002
        """Return the path through these of its energies only, by their numbers from 0, the base."""
        return self

    def replica_betas(self) -> list[float]:
        if not isinstance(self.betas, list):
            raise InputError("path.betas=auto needs a pilot run, which finds a list that falls to 0")
        return self.betas

    def step_factors(self) -> list[float]:
        return [1.0] * (len(self.replica_betas()) - 1)

    @property
    def is_automatic(self) -> bool:
        return self.betas == "auto"

    def with_equal_swap_rates(self, swap_rates: list[float]) -> "DrawnPath":
        """See `Path`. The rejection rate of two neighbors is assumed to grow linearly with β between them.

        Replicas stay on their segments.
        """
        betas = list(self.replica_betas())
        for segment, members, places in segment_members(betas, self.segments):
            pairs = swap_rates[members.start : members.stop - 1]
            new = equal_rejection_places(places, pairs)[1:-1]
            on_path = [Place(segment, beta).on_path(self.segments) for beta in new]
            betas[members.start + 1 : members.stop - 1] = on_path
        return self.with_betas([1.0, *betas[1:-1], 0.0])

    def with_betas(self, betas: list[float]) -> "DrawnPath":
        """Return the path with replicas at these β."""
        path = dataclasses.replace(self, betas=betas)
        # The base does not depend on β: the first of these paths that is used fits it for all.
        object.__setattr__(path, "cache", self.cache)
        return path

    def with_cache_of_anchors(self, path: "DrawnPath", kept: list[int]) -> Any:
        """Return `path`, which leads through these anchors of this path, with the same base and coordinates."""
        path.cache.update(self.cache)
        if "path" in self.cache:
            path.cache["path"] = self.cache["path"].with_anchors(kept)
        return path

    def rows(self) -> tuple[Batch | None, float]:
        """Return the rows to which the base is fitted, with noise, and the standard deviation of this noise."""
        if isinstance(self.data, Data):
            return noisy_available_rows(self.data, 0), self.data.noise
        return self.data, 0.0

    def annealing_path(self, energy: nn.Module, temperature: float) -> AnnealingPath | PiecewisePath:
        """Return the densities from the base to this model. Raises InputError if there are no rows to fit."""
        return cached_path(self.cache, energy, temperature, lambda: self.fitted_path(energy, temperature))

    def fitted_path(self, energy: nn.Module, temperature: float) -> AnnealingPath | PiecewisePath:
        """Fit the base, and return the densities from it to this model. Raises InputError if there are no rows."""
        rows, noise = self.rows()
        if rows is None:
            name = type(self).__module__.rpartition(".")[2]
            raise InputError(
                f"path={name} needs rows to fit its base to. Type run=RUN of a trained model, or data=NAME"
            )
        event = tuple(rows.x.shape[1:])
        x = rows.x.to(device_of(energy))
        integrand = Integrand(energy, temperature, event, x, 0, rows.clean, noise)
        space, base = fit_base(integrand, x, self.base, self.box)
        *others, _ = self.models(energy)
        if not others:
            return AnnealingPath(space, base)
        return PiecewisePath.through(base, [*(with_energy(space, other) for other in others), space])


def with_energy(space: WhitenedEnergy, energy: nn.Module) -> WhitenedEnergy:
    """Return another energy in the same coordinates."""
    integrand = dataclasses.replace(space.integrand, energy=energy)
    return WhitenedEnergy(integrand, space.center, space.scale_matrix, space.rows)


def check_anchors(betas: object, anchors: object) -> None:
    """Raise InputError if a list of β lacks one of the anchors in a list, which are at equal distances."""
    if not isinstance(betas, list) or not isinstance(anchors, list):
        return
    if not all(isinstance(beta, float | int) for beta in betas):
        return
    segments = len(anchors) + 1
    homes = [place_of(beta, segments) for beta in betas]
    if any(Place(number, 1.0) not in homes for number in range(segments - 1)):
        needed = ", ".join(f"{number / segments:.4g}" for number in reversed(range(1, segments)))
        raise InputError(f"betas must have a replica at each anchor between model and base, at {needed}, got {betas}")


def check_betas(betas: object) -> None:
    """Raise InputError unless `betas` is auto or a list that falls from 1 to 0."""
    if not isinstance(betas, list):
        check.one_of("betas", betas, ["auto"])
        return
    for beta in betas:
        check.fraction("betas", beta)
    if len(betas) < 2 or betas[0] != 1 or betas[-1] != 0 or any(a <= b for a, b in pairwise(betas)):
        raise InputError(f"betas must be a list that falls from 1 to 0, such as [1,0.3,0], got {betas}")
