"""The search for wells: minima with the Hessian of E at each, and basins if a grid can contain them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.data import Data
from ebm_cli.data._rows import available_rows
from ebm_cli.wells.basins import Basins, find_basins
from ebm_cli.wells.descent import rms_radius, states_of
from ebm_cli.wells.laplace import hessians, laplace_log_mass
from ebm_cli.wells.modes import Modes, find_modes

MAX_MINIMA = 64
MAX_STARTS = 500
MAX_GRID_DIMENSION = 3


@dataclass(frozen=True)
class Wells:
    """Minima of an energy.

    modes: the minima, sorted into modes.
    hessian: at each minimum.
    basins: their basins on a grid; None above three dimensions.
    reach: maximum length of a descent step.
    """

    modes: Modes
    hessian: Float[Tensor, "m d d"]
    basins: Basins | None
    reach: float

    def log_masses(self, temperature: float) -> Float[Tensor, " m"]:
        """Return Laplace's log mass of each minimum."""
        return laplace_log_mass(self.modes.energy, self.hessian, temperature)

    def predicted(self, temperature: float) -> Float[np.ndarray, " k"]:
        """Return Laplace's fraction of the mass in each mode, summed over its minima."""
        fractions = self.log_masses(temperature).softmax(0).cpu().numpy()
        return np.bincount(self.modes.mode, fractions, minlength=len(self.modes))

    def exact(self, temperature: float) -> Float[np.ndarray, " k"] | None:
        """Return the fraction in each mode by quadrature; None without basins."""
        return None if self.basins is None else self.basins.weights(temperature)

    def assign(self, energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float) -> Int[np.ndarray, " n"]:
        """Return the mode of each state, by its grid point or, without a grid, by descent."""
        if self.basins is not None:
            return self.basins.assign(x.double().cpu().numpy())
        return self.modes.mode_by_descent(energy, x, temperature, self.reach)


def find_wells(
    energy: nn.Module, chains: Chains, data: Data | None, barrier: float, temperatures: tuple[float, float]
) -> Wells | str:
    """Return the wells that draws and training rows descend to, or why Laplace's formula cannot be applied.

    barrier: minima separated by a lower barrier are one mode, in T (> 0).
    temperatures: the run's, and the highest for which basins are needed.
    """
    event, (now, highest) = chains.event, temperatures
    x = chains.x.reshape(-1, *event)
    x = x[evenly_spaced(len(x), MAX_STARTS)].astype(float)
    if data is not None:
        rows = available_rows(data).x.double().cpu().numpy()
        x = np.concatenate([x, rows[evenly_spaced(len(rows), MAX_STARTS)]])
    basins, states = None, states_of(energy, x)
    if len(event) == 1 and event[0] <= MAX_GRID_DIMENSION:
        basins = find_basins(energy, x, now, barrier, highest)
    reach = 0.1 * rms_radius(states)
    modes = find_modes(energy, states, now, barrier, reach)[0] if basins is None else basins.modes
    if len(modes.minima) > MAX_MINIMA:
        return f"{len(modes.minima)} minima are more than the {MAX_MINIMA} that can be expanded"
    hessian = hessians(energy, modes.minima)
    lowest = torch.linalg.eigvalsh(hessian)[:, 0]
    if not bool((lowest > 0).all()):
        worst = int(lowest.argmin())
        return (
            f"the Hessian of E at minimum {worst + 1} is not positive definite (lowest eigenvalue "
            f"{float(lowest[worst]):.2g}). Laplace's formula needs the positive curvature of a smooth energy"
        )
    return Wells(modes, hessian, basins, reach)
