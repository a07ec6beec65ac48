"""How log Z is to be found."""

from dataclasses import dataclass

from ebm_cli import check

METHODS = ("auto", "quadrature", "ais")


@dataclass(frozen=True)
class Recipe:
    """How log Z is found.

    method: auto (quadrature in up to 3 dimensions where its grid settles, else ais), quadrature or ais. The rest is of
    ais alone: chains ≥ 8 in either direction; temperatures ≥ 2, steps of the path; leapfrog_steps ≥ 1 of each
    transition; steps ≥ 100 of the chains that the reverse direction starts from.
    """

    method: str
    chains: int
    temperatures: int
    leapfrog_steps: int
    steps: int

    def __post_init__(self) -> None:
        check.one_of("method", self.method, METHODS)
        check.count("chains", self.chains, least=8)
        check.count("temperatures", self.temperatures, least=2)
        check.count("leapfrog_steps", self.leapfrog_steps)
        check.count("steps", self.steps, least=100)
