"""Components of a composition with known closed forms."""

from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate


def quadratic(a: float | list[float], temperature: float = 1.0, event: tuple[int, ...] = (2,)) -> TrainedComponent:
    """E = ½ Σ aᵢxᵢ², as if trained at this temperature, with its own log Z."""
    energy = Quadratic(a, event)

    def log_z(temperature: float, budget: int, target: float) -> Estimate:
        exact = energy.log_z(temperature)
        return Estimate(exact, lower=exact, upper=exact, unit="nats")

    return TrainedComponent(f"run-{a}", energy, event, temperature, log_z)


def pair() -> list[TrainedComponent]:
    """Two of them, that differ."""
    return [quadratic(2.0), quadratic([1.0, 3.0], 2.0)]
