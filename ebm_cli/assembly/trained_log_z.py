"""log Z of a trained energy with the default settings, for use in other computations."""

from torch import nn

from ebm_cli import partition
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition import Budget, Integrand
from ebm_cli.partition.closed_form import closed_form_log_z
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.run.machine import default_device

# The seed is fixed, because the log Z of an energy must not depend on the run that uses it.
SEED = 0


def log_z_of(
    energy: nn.Module, event: tuple[int, ...], data: Data | None, temperature: float, budget: int, target: float
) -> Estimate:
    """Return log Z(T) in nats: the closed form if the energy has one, otherwise the estimate of `partition.log_z`.

    data: the training data of the energy. They show where its mass is.
    budget, target: arguments of `Budget`.
    """
    if exact := closed_form_log_z(energy, temperature, "closed form"):
        return exact
    rows, noise = (None, 0.0) if data is None else (noisy_available_rows(data, 0), data.noise)
    integrand = Integrand.from_data(energy, temperature, event, rows, noise, SEED)
    try:
        # Grids belong on the CPU. While parts are built, the default device would put half of their tensors elsewhere.
        with default_device("cpu"):
            return partition.log_z(integrand, DEFAULT_SETTINGS, Budget(budget, target)).estimate
    except InputError as error:
        return refused(str(error), "nats")
