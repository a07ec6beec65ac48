"""log Z: the one number that makes an energy a density."""

from dataclasses import dataclass
from typing import ClassVar

from ebm_cli.energy import ExactLogZ, offers
from ebm_cli.estimate import digits
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject
from ebm_cli.partition.settings import LogZSettings, log_z_settings


@dataclass(frozen=True)
class LogZ(LogZSettings):
    """log Z(T) = log ∫ exp(−E(x)/T) dx in nats: by quadrature in up to three dimensions, else between two ends.

    Annealed paths lead from a law fitted to training rows (or to short chains of the model where there are no data) to
    the model (Neal, 2001), and back. lower is the forward end, upper the reverse one, each with probability 97.5 %; of
    quadrature, what half the resolution changes. Where chains of the model are not mixed there is no upper end, and the
    reason says so. Uses no samples and needs no data. An energy with a closed form is estimated all the same, and it is
    said. Fields: see `LogZSettings`.
    """

    needs_samples: ClassVar[bool] = False

    def __call__(self, subject: Subject) -> Finding:
        found = subject.log_z(log_z_settings(self))
        notes = list(found.notes)
        if offers(subject.energy, ExactLogZ):
            try:
                notes.append(f"log Z in closed form: {digits(subject.energy.log_z(subject.temperature), 6)} nats")
            except ValueError as error:
                notes.append(f"log Z has no closed form here: {error}")
        return Finding({"log_z": found.estimate}, notes=notes)
