"""log Z: the one number that makes an energy a density."""

from ebm_cli.energy import ExactLogZ
from ebm_cli.finding import Finding
from ebm_cli.metric import Subject
from ebm_cli.partition.recipe import Recipe


class LogZ:
    """log Z(T) = log ∫ exp(−E(x)/T) dx in nats, by quadrature in up to three dimensions, else by annealed importance.

    Neal, 2001, forth and back between a normal law fitted to training rows (or to short chains of the model where
    there are no data) and the model. lower is the forward end, upper the reverse one, each with probability 97.5 %; of
    quadrature, what half the resolution changes. Where chains are not mixed there is no upper end, and the reason
    says so. Uses no samples and needs no data. An energy with a closed form is estimated all the same, and it is said.

    method: auto, quadrature or ais; the rest is of ais: chains ≥ 8; temperatures ≥ 2; leapfrog_steps ≥ 1 of a
    transition; steps ≥ 100 of the chains that the reverse direction starts from.
    """

    needs_samples = False

    def __init__(self, method: str, chains: int, temperatures: int, leapfrog_steps: int, steps: int) -> None:
        self.recipe = Recipe(method, chains, temperatures, leapfrog_steps, steps)

    def __call__(self, subject: Subject) -> Finding:
        found = subject.log_z(self.recipe)
        notes = list(found.notes)
        if isinstance(subject.energy, ExactLogZ):
            try:
                notes.append(f"log Z in closed form: {subject.energy.log_z(subject.temperature):.6g} nats")
            except ValueError as error:
                notes.append(f"log Z has no closed form here: {error}")
        return Finding({"log_z": found.estimate}, notes=notes)
