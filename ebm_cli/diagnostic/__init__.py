"""Diagnostics: what chains alone tell. Every other file in this folder is one of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import nn

from ebm_cli.chain_file import Chains, evenly
from ebm_cli.data import Data
from ebm_cli.finding import Finding
from ebm_cli.sampler import Sampler
from ebm_cli.screen import Screened, screen
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


@runtime_checkable
class Diagnostic(Protocol):
    """A callable from a patient to a finding."""

    def __call__(self, patient: Patient) -> Finding: ...


def of_each(function: Callable[[np.ndarray], Any], chains: Chains) -> dict[str, float]:
    """A number of each quantity that varies, where it is defined."""
    varying = {name: values for name, values in quantities(chains).items() if np.ptp(values) > 0}
    numbers = {name: float(np.asarray(function(values))) for name, values in varying.items()}
    return {name: number for name, number in numbers.items() if np.isfinite(number)}


def quantities(chains: Chains, most: int = 256) -> dict[str, np.ndarray]:
    """The functions of a state that are looked at, each (chain, draw): coordinates (at most `most`, evenly
    chosen) and the energy."""
    flat = chains.flat()
    size = flat.shape[2]
    functions = {f"x[{i}]" if size > 1 else "x": flat[:, :, i] for i in evenly(size, most)}
    if chains.potential is not None:
        functions["energy"] = chains.potential
    return functions
