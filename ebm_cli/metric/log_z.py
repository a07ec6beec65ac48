"""log Z: the number that turns an energy into a density."""

from dataclasses import dataclass
from typing import ClassVar

from ebm_cli.energy import CONTINUOUS, space_of
from ebm_cli.energy._capabilities import ExactLogZ, offers
from ebm_cli.estimate import Result, digits
from ebm_cli.metric import EvaluationContext
from ebm_cli.partition.settings import LogZOptions


@dataclass(frozen=True)
class LogZ(LogZOptions):
    """log Z(T) = log ∫ exp(−E(x)/T) dx in nats: by quadrature in up to three dimensions, else between two bounds.

    For discrete states it is log Σ exp(−E(x)/T), the sum over all of them, of up to 25 bits, or over the states of a
    machine's smaller layer. For angles it is the closed form, or in up to three dimensions a sum over a periodic grid.

    Annealed paths lead from a base density to the model (Neal, 2001), and from the model to the base density. The base
    is fitted to training rows or, without data, to short chains of the model. lower comes from the forward paths and
    upper from the reverse paths; each holds with probability 99.95 %. For quadrature, the bounds come from half the
    resolution. There is an upper bound only if chains of the model are mixed. No samples and no data are needed. If the
    energy has a closed form, it is reported next to the estimate.

    Fields are defined in `LogZOptions`. The base is that of the path. Along path=levels and path=runs, replicas give
    the estimate.
    """

    needs_samples: ClassVar[bool] = False

    def __call__(self, context: EvaluationContext) -> Result:
        found = context.log_z(self)
        notes = list(found.notes)
        if offers(context.energy, ExactLogZ) and space_of(context.energy) in CONTINUOUS:
            try:
                notes.append(f"log Z in closed form: {digits(context.energy.log_z(context.temperature), 6)} nats")
            except ValueError as error:
                notes.append(f"log Z has no closed form here: {error}")
        return Result({"log_z": found.estimate}, notes=notes)
