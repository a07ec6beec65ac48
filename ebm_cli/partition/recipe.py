"""How log Z is to be found."""

from dataclasses import dataclass, fields

from ebm_cli import check
from ebm_cli.check import InputError

METHODS = ("auto", "quadrature", "ais", "smc", "ti", "bridge")
BASES = ("auto", "gaussian", "mixture", "box")
KERNELS = ("hmc", "mala", "nuts")


@dataclass(frozen=True)
class Recipe:
    """How log Z is found.

    method: quadrature (in up to 3 dimensions); ais, annealed importance sampling; smc, sequential Monte Carlo; ti,
    thermodynamic integration; bridge, which joins the two directions of ais; auto, quadrature where its grid settles,
    else bridge. The rest is of the other four. base: where paths begin, gaussian or mixture (fitted to training rows,
    or to short chains of the model where there are none), or box, uniform; auto is the mixture in up to 100 dimensions
    where there are rows. box: its low and high end, the same of every coordinate; None for that of the rows and half as
    much again. kernel: of every transition, hmc, mala or nuts, its step size tuned along the path. chains ≥ 16 in
    either direction. leapfrog_steps ≥ 1 of hmc. temperatures ≥ 2, steps of the path, and steps ≥ 100 of the model's own
    chains, at which paths back begin, are those of a first round: `Spending` may allow more.
    """

    method: str
    base: str
    box: list[float] | None
    kernel: str
    chains: int
    temperatures: int
    leapfrog_steps: int
    steps: int

    def __post_init__(self) -> None:
        check.every(
            lambda: check.one_of("method", self.method, METHODS),
            lambda: check.one_of("base", self.base, BASES),
            lambda: low_and_high(self.box),
            lambda: check.one_of("kernel", self.kernel, KERNELS),
            lambda: check.count("chains", self.chains, least=16),
            lambda: check.count("temperatures", self.temperatures, least=2),
            lambda: check.count("leapfrog_steps", self.leapfrog_steps),
            lambda: check.count("steps", self.steps, least=100),
        )


def low_and_high(box: object) -> None:
    """Raise InputError unless `box` is two numbers, the lower one first, or None."""
    if box is None:
        return
    if not isinstance(box, list) or len(box) != 2:
        raise InputError(f"box must be two numbers, its low and its high end, got {box}")
    for end in box:
        check.number("box", end)
    if box[0] >= box[1]:
        raise InputError(f"box must have its low end first, got {box}")


def plain(recipe: Recipe) -> Recipe:
    """The recipe alone of what is one beside other things, so that equal ones are equal."""
    return Recipe(**{field.name: getattr(recipe, field.name) for field in fields(Recipe)})


PLAIN = Recipe(
    method="auto",
    base="auto",
    box=None,
    kernel="hmc",
    chains=64,
    temperatures=200,
    leapfrog_steps=8,
    steps=300,
)
