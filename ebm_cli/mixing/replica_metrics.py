"""What replica exchange did: its communication barrier, swap rates and round trips, compared with theory."""

import math

import numpy as np
from jaxtyping import Float

from ebm_cli import figure
from ebm_cli.chain.quantities import mean_over_chains
from ebm_cli.estimate import Estimate, Picture, refused
from ebm_cli.sampler._replicas import Replicas

# Neighbors that swap less often pass hardly anything on.
MIN_SWAP_RATE = 0.1


def replica_metrics(replicas: Replicas, steps: int, gradients_per_step: float) -> dict[str, Estimate]:
    """Return the rows of metrics.json.

    steps: over which swaps and round trips are counted.
    gradients_per_step: of one chain with all its replicas.
    """
    trips = replicas.round_trips.double().cpu().numpy()
    if not bool((replicas.tried > 0).all()):
        few = refused(f"some neighbors did not try to swap in so short a run (steps: {steps}). Increase steps")
        return dict.fromkeys(("swap_rate_min", "barrier", "round_trip_rate"), few) | trip_counts(trips)
    rejection = 1 - replicas.swap_rates().double().cpu().numpy()
    per_gradients = 1000 / (steps * gradients_per_step)
    theory = 1000 * theoretical_rate(rejection.mean(1)) / gradients_per_step
    crossing = mean_crossing_steps(rejection.mean(1))
    first = f", once states have crossed the path in about {crossing:.0f} steps" if crossing < np.inf else ""
    return {
        "swap_rate_min": min_swap_rate(1 - rejection.mean(1)),
        "barrier": mean_over_chains(
            rejection.sum(0),
            "caution",
            "Λ, the sum of rejection rates along the path; a path with 2Λ replicas or more is good",
        ),
        "round_trip_rate": mean_over_chains(
            trips * per_gradients,
            "caution",
            f"theory at these swap rates: {theory:.3g}{first}; much less means slow replicas",
            "per 1,000 gradients",
        ),
    } | trip_counts(trips)


def trip_counts(trips: Float[np.ndarray, " n"]) -> dict[str, Estimate]:
    """Return the number of states that came from the far end, and the fraction of chains that none has reached."""
    without = float((trips == 0).mean())
    count = f"{trips.sum():.0f} states came from the far end, {trips.mean():.3g} per chain"
    return {
        "round_trips": Estimate(float(trips.sum()), meaning=count),
        "chains_without_round_trip": Estimate(without, meaning=f"{100 * without:.3g} % of chains made none"),
    }


def theoretical_rate(rejection: Float[np.ndarray, " pairs"]) -> float:
    """Return round trips per step: 1/(2 + 2 Σ r/(1 − r)) (Syed et al., 2022, section 3.4), for rejection rates r."""
    return 1 / (2 + 2 * float((rejection / np.maximum(1 - rejection, 1e-12)).sum()))


def mean_crossing_steps(rejection: Float[np.ndarray, " pairs"]) -> float:
    """Return the mean number of steps in which a state crosses the path, by theory; ∞ if neighbors hardly swap.

    The K states of K − 1 pairs make round trips at `theoretical_rate` together, and a crossing is half of a round trip.
    """
    rarely = (1 - rejection).min() < MIN_SWAP_RATE
    return np.inf if rarely else (len(rejection) + 1) / (2 * theoretical_rate(rejection))


def enough_replicas(rejection: Float[np.ndarray, " pairs"]) -> int | None:
    """Return 2Λ, a number of replicas that is good (Syed et al., 2022); None if there are as many already.

    It is a minimum. Where neighbors hardly swap, the barrier between them may be larger than the 1 that is measured.
    """
    number = math.ceil(2 * rejection.sum())
    return number if number > len(rejection) + 1 else None


def mean_rejection(replicas: Replicas) -> Float[np.ndarray, " pairs"] | None:
    """Return the rejection rate of each pair; None if some neighbors have not tried to swap."""
    if not bool((replicas.tried > 0).all()):
        return None
    return 1 - replicas.swap_rates().double().mean(1).cpu().numpy()


def min_swap_rate(rates: Float[np.ndarray, " pairs"]) -> Estimate:
    """Return the smallest swap rate between neighbors, with a caution if it is low."""
    least, pair = float(rates.min()), int(rates.argmin())
    cautions = []
    if least < MIN_SWAP_RATE:
        enough = enough_replicas(1 - rates)
        count = "more" if enough is None else f"at least {enough}"
        cautions = [f"replicas {pair} and {pair + 1} swap rarely. Use {count} replicas (path.replicas or path.betas)"]
    meaning = f"neighboring replicas swap in at least {100 * least:.0f} % of tries"
    return Estimate(least, meaning=meaning, if_not_mixed="caution").with_caution(cautions)


def barrier_figure(replicas: Replicas) -> Picture:
    """Draw the communication barrier along the path, and the swap rate of each pair."""
    betas = replicas.betas.double().cpu().numpy()
    rates = replicas.swap_rates().double().mean(1).cpu().numpy()
    places, label = (betas, "β") if betas[-1] == 0 else (1 / betas, "temperature, in multiples of T")
    barrier = np.concatenate([[0.0], np.cumsum(1 - rates)])
    picture, (left, right) = figure.new(columns=2)
    left.plot(places, barrier, marker="o", color=figure.BLUE)
    left.set(xlabel=label, ylabel="communication barrier from the model")
    right.bar(np.arange(len(rates)), rates, color=figure.BLUE)
    right.set(xlabel="pair of replicas, the model's first", ylabel="swap rate", ylim=(0, 1))
    if betas[-1] != 0:
        left.set_xscale("log")
    return picture, (
        f"Left: the sum of rejection rates along the path, Λ = {barrier[-1]:.3g} in all; it rises fastest where "
        f"densities change most. Right: the swap rates of neighbors, {rates.min():.2f} to {rates.max():.2f}. Look for "
        "equal bars between 0.2 and 0.8."
    )
