"""log Z of energies that know it."""

from torch import nn

from ebm_cli.energy._capabilities import ExactLogZ, offers
from ebm_cli.estimate import Estimate


def closed_form_log_z(energy: nn.Module, temperature: float, reason: str) -> Estimate | None:
    """Return log Z(T) in nats if the energy gives it in closed form; None if it does not, or not at this temperature.

    reason: of the estimate.
    """
    if not offers(energy, ExactLogZ):
        return None
    try:
        exact = energy.log_z(temperature)
    except ValueError:
        return None
    return Estimate(exact, lower=exact, upper=exact, unit="nats", reasons=(reason,))
