"""log Z of a trained energy, with the default settings, for everything that needs it as one number among others."""

import torch
from torch import nn

from ebm_cli import partition
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.energy import ExactLogZ, offers
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition import Budget, Integrand
from ebm_cli.partition.settings import DEFAULT_SETTINGS

# Its own: the energy's log Z does not depend on the seed of whatever it is used in.
SEED = 0


def log_z_of(
    energy: nn.Module, event: tuple[int, ...], data: Data | None, temperature: float, budget: int, target: float
) -> Estimate:
    """log Z(T) in nats: in closed form where the energy has one, else as `partition.log_z` finds it.

    data: what the energy was trained on, whose rows say where its mass is. budget, target: see `Budget`.
    """
    if offers(energy, ExactLogZ):
        try:
            exact = energy.log_z(temperature)
        except ValueError:
            # No closed form at this temperature.
            pass
        else:
            return Estimate(exact, lower=exact, upper=exact, unit="nats", reasons=("closed form",))
    rows, noise = (None, 0.0) if data is None else (noisy_available_rows(data, 0), data.noise)
    integrand = Integrand.from_data(energy, temperature, event, rows, noise, SEED)
    try:
        # Grids are laid on the CPU; a device that is the default where parts are built would hold half of them.
        with torch.device("cpu"):
            return partition.log_z(integrand, DEFAULT_SETTINGS, Budget(budget, target)).estimate
    except InputError as error:
        return refused(str(error), "nats")
