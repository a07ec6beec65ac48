"""Diagnostics: what chains alone tell. Every other file in this folder is one of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import nn

from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.chain.screening import Screened, screen
from ebm_cli.data import Data
from ebm_cli.figure.finding import Finding
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


@dataclass(frozen=True)
class Patient:
    """What a diagnostic looks at: chains, and what is known of where they came from.

    energy, temperature, sampler: what they followed. start: where they began. data: what the energy was trained on.
    history: the lines that its training logged.
    """

    chains: Chains
    energy: nn.Module | None = None
    temperature: float | None = None
    sampler: Sampler | None = None
    start: Start | None = None
    data: Data | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def screened(self) -> Screened:
        """The chains sorted into sound, broken and stuck."""
        return screen(self.chains)

    def smaller_step(self) -> str:
        """How a smaller step is typed: a quarter of the step size, or a higher acceptance where there are several."""
        size = getattr(self.sampler, "step_size", None)
        if isinstance(size, float):
            return f"type sampler.step_size={size / 4:.2g}"
        return "lower sampler.step_size" if size is None else "type target_accept=0.9"


@runtime_checkable
class Diagnostic(Protocol):
    """A callable from a patient to a finding."""

    def __call__(self, patient: Patient) -> Finding: ...


def of_each(function: Callable[[np.ndarray], Any], chains: Chains) -> dict[str, float]:
    """A number of each quantity that varies, where it is defined."""
    varying = {name: values for name, values in quantities(chains).items() if np.ptp(values) > 0}
    numbers = {name: float(np.asarray(function(values))) for name, values in varying.items()}
    return {name: number for name, number in numbers.items() if np.isfinite(number)}


def rank_r_hat(values: np.ndarray) -> float:
    """R̂ of one function of the state (chain, draw): rank-normalized, split and folded; NaN if it is undefined."""
    from arviz_stats.base.array import array_stats

    return float(np.asarray(array_stats.rhat(values, chain_axis=0, draw_axis=1, method="rank")))


def bulk_ess(values: np.ndarray) -> float:
    """Bulk ESS of one function of the state (chain, draw), of all chains together; NaN if it is undefined."""
    from arviz_stats.base.array import array_stats

    return float(np.asarray(array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk")))


def quantities(chains: Chains, most: int = 256) -> dict[str, np.ndarray]:
    """Return the functions of a state that are looked at: coordinates (at most `most`, evenly chosen) and the energy.

    Each is (chain, draw), in float64. Values whose squares would overflow or vanish are divided by a power of ten,
    which the name then states; nothing that is made of them depends on their unit.
    """
    flat = chains.flat()
    size = flat.shape[2]
    functions = {chains.coordinate(i): flat[:, :, i] for i in evenly(size, most)}
    if chains.potential is not None:
        functions["energy" if "energy" not in functions else "potential"] = chains.potential
    return dict(in_range(name, values) for name, values in functions.items())


def in_range(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """The name and the values of one function, in a unit in which squares and their sums are finite and not 0."""
    values = values.astype(np.float64)
    scale = unit_of(values)
    return (name, values) if scale == 1 else (f"{name}/{scale:.0e}", values / scale)


def unit_of(values: np.ndarray) -> float:
    """1, or the power of ten of the largest of these values if it is beyond 10^±100."""
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(largest) or largest == 0 or 1e-100 < largest < 1e100:
        return 1.0
    return float(10.0 ** max(np.floor(np.log10(largest)), -300))
