"""Diagnostics examine chains only. Every public file in this folder is one diagnostic.

A diagnostic is any callable from a `ChainContext` to a `Result`:

    class Skewness:
        def __call__(self, context: ChainContext) -> Result:
            x = context.chains.flat()
            skewness = ((x - x.mean()) ** 3).mean((1, 2)) / x.std() ** 3
            return Result({"skewness": Estimate(float(skewness.mean()))}, arrays=skewness, picture=picture)

    def picture(result: Result) -> Picture:
        figure = matplotlib.figure.Figure()
        figure.subplots().hist(result.arrays)
        return figure, "Skewness per chain. Look for values near 0."

The picture is optional. It is a function next to the class, in the same file or in `_NAME_figure.py`. Only picture
functions import matplotlib. Verbs draw.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.quantities import bulk_ess, quantities, rank_r_hat, statistic_per_quantity
from ebm_cli.chain.screening import ScreeningResult, screen
from ebm_cli.chain.superchains import NestedRHat, nested_r_hats
from ebm_cli.chain.tuning import can_be_tuned
from ebm_cli.data import Data
from ebm_cli.diagnostic._hessian_trace import HessianTrace, hessian_trace
from ebm_cli.estimate import Result
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import Start

NO_ENERGY = "a file of chains does not contain the energy. Type run=RUN of ebm sample"


@dataclass
class SharedResults:
    """Results about one set of chains that several parts of a run use. Each is computed on first use.

    `ebm sample` records them, and `ebm diagnose` starts from the record while the chains are unchanged.
    """

    r_hat: dict[str, float] | None = None
    hessian_traces: dict[int, HessianTrace] = field(default_factory=dict)


@dataclass(frozen=True)
class ChainContext:
    """Chains, and what is known about their origin. Values are None or empty if unknown.

    chains: the draws.
    energy, temperature, sampler: the target distribution and the kernel of the chains.
    start: the source of their initial states.
    data: the training data of the energy.
    history: the lines that its training logged.
    shared: results that are computed once per run.
    """

    chains: Chains
    energy: nn.Module | None = None
    temperature: float | None = None
    sampler: Sampler | None = None
    start: Start | None = None
    data: Data | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    shared: SharedResults = field(default_factory=SharedResults)

    @cached_property
    def screened(self) -> ScreeningResult:
        """The usable chains, and the faults of the others."""
        return screen(self.chains)

    @cached_property
    def quantities(self) -> dict[str, np.ndarray]:
        """The values of each examined function of the state in the usable chains; empty without usable chains."""
        return {} if self.screened.usable is None else quantities(self.screened.usable)

    @cached_property
    def bulk_ess(self) -> dict[str, float]:
        """The bulk ESS of each quantity, of all usable chains together."""
        return statistic_per_quantity(bulk_ess, self.quantities)

    def r_hat(self) -> dict[str, float]:
        """Return R̂ of each quantity."""
        if self.shared.r_hat is None:
            self.shared.r_hat = statistic_per_quantity(rank_r_hat, self.quantities)
        return self.shared.r_hat

    @cached_property
    def nested_r_hat(self) -> NestedRHat | None:
        """Nested R̂ of each quantity; None without usable superchains."""
        usable = self.screened.usable
        return None if usable is None else nested_r_hats(self.quantities, usable.starts)

    def hessian_trace(self, draws: int) -> HessianTrace:
        """Return ‖∇E‖² and ΔE at `draws` states per usable chain. The energy and usable chains must exist."""
        usable = self.screened.usable
        assert usable is not None and self.energy is not None
        draws = min(draws, usable.x.shape[1])
        if draws not in self.shared.hessian_traces:
            self.shared.hessian_traces[draws] = hessian_trace(self.energy, usable.thinned(draws))
        return self.shared.hessian_traces[draws]

    def lacks(self, without_temperature: str = "") -> str:
        """Return why the energy, T > 0 or usable chains are missing; empty if none is.

        without_temperature: what is undefined at T = 0; empty if T = 0 is allowed.
        """
        if self.energy is None or self.temperature is None:
            return NO_ENERGY
        if without_temperature and self.temperature <= 0:
            return f"at T = 0 {without_temperature}: sampler.temperature must be > 0"
        return self.screened.error

    def smaller_step(self) -> str:
        """Return what to type so that chains move: a smaller step, or a way around barriers for kernels without one."""
        if self.temperature == 0:
            return "sampler.temperature=1: at T = 0 chains stay in the minima that they reach"
        if isinstance(self.sampler, Tempering):
            return smaller_step_of_replicas(self.sampler)
        size = getattr(self.sampler, "step_size", None)
        if isinstance(size, float):
            return f"sampler.step_size={size / 4:.2g}"
        has_step = self.sampler is None or hasattr(self.sampler, "step_size")
        return "a smaller sampler.step_size" if has_step else "path=rates, or a higher sampler.temperature"


def smaller_step_of_replicas(sampler: Tempering) -> str:
    """Return what to type so that replicas move, by what their kernel has."""
    if can_be_tuned(sampler):
        return "target_accept=0.9"
    size = getattr(sampler.kernel, "step_size", None)
    if isinstance(size, float):
        return f"sampler.kernel.step_size={size / 4:.2g}"
    return "a higher sampler.temperature, or use more replicas (path.replicas or path.betas)"


@runtime_checkable
class Diagnostic(Protocol):
    """A callable that examines chains."""

    def __call__(self, context: ChainContext) -> Result: ...
