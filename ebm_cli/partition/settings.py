"""The settings of an estimate of log Z."""

from dataclasses import dataclass, field, fields

from ebm_cli import check
from ebm_cli.chain.path_kernels import PathKernel, path_hmc
from ebm_cli.path import Path
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.path._fitted_base import check_base, check_box
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS

METHODS = ("auto", "quadrature", "ais", "smc", "ti", "bridge")
KERNELS = ("hmc", "mala", "nuts")


@dataclass(frozen=True)
class LogZOptions:
    """How log Z is estimated, as metrics have it. The base distribution is that of the path (`LogZSettings`).

    method: quadrature (up to 3 dimensions); ais, annealed importance sampling; smc, sequential Monte Carlo; ti,
        thermodynamic integration; bridge, both directions of ais joined; auto, quadrature if its grid converges,
        otherwise bridge. All other settings are of ais, smc, ti and bridge.
    kernel: sampler of every transition: hmc, mala or nuts. Its step size is tuned along the path. Discrete states are
        moved by discrete_langevin.
    chains: number of chains in each direction (≥ 16).
    temperatures: number of steps of a path, in the first round (≥ 2).
    leapfrog_steps: of hmc (≥ 1).
    steps: length of the model's own chains, at which reverse paths start, in the first round (≥ 100).

    `Budget` may allow further, longer rounds.
    """

    method: str
    kernel: str
    chains: int
    temperatures: int
    leapfrog_steps: int
    steps: int

    def __post_init__(self) -> None:
        check.every(
            lambda: check.one_of("method", self.method, METHODS),
            lambda: check.one_of("kernel", self.kernel, KERNELS),
            lambda: check.count("chains", self.chains, minimum=16),
            lambda: check.count("temperatures", self.temperatures, minimum=2),
            lambda: check.count("leapfrog_steps", self.leapfrog_steps),
            lambda: check.count("steps", self.steps, minimum=100),
        )

    @property
    def path_kernel(self) -> PathKernel:
        """Return the sampler of every transition of continuous states, before a pilot finds its step size."""
        if self.kernel == "mala":
            return MALA(1.0, temperature=1.0, scales=None)
        if self.kernel == "nuts":
            return NUTS(1.0, max_depth=6, temperature=1.0, scales=None)
        return path_hmc(1.0, self.leapfrog_steps)


@dataclass(frozen=True)
class LogZSettings(LogZOptions):
    """How log Z is estimated, with the base distribution at which annealed paths start.

    base: gaussian, mixture or flow, fitted to training samples or, if there are none, to short chains of the model;
        box, uniform; auto, the mixture if there are samples of up to 100 coordinates, else gaussian.
    box: lower and upper bound of every coordinate; None for 1.5 times the range of the samples.
    Other fields: see `LogZOptions`.
    """

    base: str
    # A list has no hash.
    box: list[float] | None = field(hash=False)

    def __post_init__(self) -> None:
        check.every(
            super().__post_init__,
            lambda: check_base(self.base),
            lambda: check_box(self.box),
        )


def log_z_settings(options: LogZOptions, path: Path | None = None) -> LogZSettings:
    """Return only what decides log Z, so that two metrics with equal options share one result.

    path: gives the base if it starts at a fitted one; with any other path, the base is chosen by auto.
    """
    own = {each.name: getattr(options, each.name) for each in fields(LogZOptions)}
    base, box = (path.base, path.box) if isinstance(path, DrawnPath) and isinstance(path.base, str) else ("auto", None)
    return LogZSettings(**own, base=base, box=box)


def path_through_models(path: Path | None) -> DrawnPath | None:
    """Return the path if it leads through other models than the one whose log Z is estimated."""
    return path if isinstance(path, DrawnPath) and path.has_anchors else None


DEFAULT_SETTINGS = LogZSettings(
    method="auto",
    base="auto",
    box=None,
    kernel="hmc",
    chains=64,
    temperatures=200,
    leapfrog_steps=8,
    steps=300,
)
