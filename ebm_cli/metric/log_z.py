"""log Z: the number that turns an energy into a density."""

from dataclasses import dataclass
from typing import ClassVar

from ebm_cli.energy import CONTINUOUS, ExactLogZ, offers
from ebm_cli.estimate import Result, digits
from ebm_cli.metric import EvaluationContext
from ebm_cli.partition.settings import LogZSettings, log_z_settings


@dataclass(frozen=True)
class LogZ(LogZSettings):
    """log Z(T) = log ∫ exp(−E(x)/T) dx in nats: by quadrature in up to three dimensions, else between two bounds.

    Annealed paths lead from a density fitted to training rows (to short chains of the model without data) to the model
    (Neal, 2001), and back. lower comes from forward paths and upper from reverse paths, each with probability 97.5 %;
    for quadrature, from half the resolution. If chains of the model are not mixed, there is no upper bound. Uses no
    samples and needs no data. An energy with a closed form is estimated as well, and the closed form is reported.
    Fields: see `LogZSettings`.
    """

    spaces = CONTINUOUS
    needs_samples: ClassVar[bool] = False

    def __call__(self, context: EvaluationContext) -> Result:
        found = context.log_z(log_z_settings(self))
        notes = list(found.notes)
        if offers(context.energy, ExactLogZ):
            try:
                notes.append(f"log Z in closed form: {digits(context.energy.log_z(context.temperature), 6)} nats")
            except ValueError as error:
                notes.append(f"log Z has no closed form here: {error}")
        return Result({"log_z": found.estimate}, notes=notes)
