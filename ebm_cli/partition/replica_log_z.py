"""log Z from chains of replica exchange that were run anyway, without a further gradient."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import logsumexp

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.integration import integration_bounds
from ebm_cli.partition.log_weights import student_factor
from ebm_cli.path._places import segment_members


def replica_log_z(
    betas: Float[np.ndarray, " K"], delta_u: Float[np.ndarray, "draw rows n"], log_volume: float, mixing: Estimate
) -> Estimate:
    """Return log Z in nats: the multistate estimate, between the bounds of thermodynamic integration.

    The error is the jackknife's over chains (Tukey, 1958), √((n − 1)/n Σᵢ (θ₍ᵢ₎ − θ̄)²) with θ₍ᵢ₎ without chain i.
    Refused if the chains are not mixed. The bounds are those of `thermodynamic_integral`. Along a path of several
    segments, both are sums over segments.

    betas: falling from 1 to 0, one per replica.
    delta_u: U₀ − U of every replica of n chains, on each segment of the path from the model down.
    log_volume: log of the volume of a unit cell of the path's coordinates.
    """
    if mixing.verdict == "refused":
        return refused(mixing.reasons, "nats")
    if not np.isfinite(delta_u).all():
        left = "a state of a replica has no finite energy, or left the box of the base"
        return refused(f"no log Z: {left}. Type path.base=gaussian, or a wider path.box", "nats")
    segments, n = rising_segments(betas, delta_u), delta_u.shape[2]
    first = [multistate_free_energies(rising, of_betas) for rising, of_betas in segments]
    each = np.array([log_ratio_without(segments, first, chain) for chain in range(n)])
    se = float(np.sqrt((n - 1) / n * ((each - each.mean()) ** 2).sum()))
    lower, upper, _ = integration_bounds([(rising, of_betas.mean(0)) for rising, of_betas in segments])
    bounds_in_words = f"by integration between {log_volume + lower:.4g} and {log_volume + upper:.4g}"
    estimate = Estimate(
        log_volume - sum(float(free_energies[-1]) for free_energies in first),
        se=student_factor(n) * se,
        lower=log_volume + lower,
        upper=log_volume + upper,
        unit="nats",
        reasons=(f"multistate estimate from {len(betas)} replicas of {n} chains; {bounds_in_words}",),
    )
    return estimate.with_caution(mixing.reasons if mixing.verdict == "caution" else ())


def rising_segments(
    betas: Float[np.ndarray, " K"], delta_u: Float[np.ndarray, "draw rows n"]
) -> list[tuple[Float[np.ndarray, " _"], Float[np.ndarray, "draw _ n"]]]:
    """Return β, rising from 0 to 1, and ΔU of the replicas of each segment of the path."""
    # A replica at an anchor between two segments has a row in each.
    members = segment_members(betas.tolist(), delta_u.shape[1] - len(betas) + 1)
    ends = np.cumsum([len(places) for _, _, places in members])
    rows = np.split(delta_u, ends[:-1], axis=1)
    return [(np.array(places[::-1]), each[:, ::-1]) for (_, _, places), each in zip(members, rows, strict=True)]


def log_ratio_without(segments: list[tuple[np.ndarray, np.ndarray]], first: list[np.ndarray], chain: int) -> float:
    """Return log Z of the model over Z of the base, from all chains but one.

    first: free energies from all chains.
    """
    others = [np.delete(of_betas, chain, axis=2) for _, of_betas in segments]
    found = zip(segments, others, first, strict=True)
    return -sum(float(multistate_free_energies(rising, other, guess)[-1]) for (rising, _), other, guess in found)


def multistate_free_energies(
    betas: Float[np.ndarray, " K"],
    delta_u: Float[np.ndarray, "draw K n"],
    first: Float[np.ndarray, " K"] | None = None,
) -> Float[np.ndarray, " K"]:
    """Return f_k = −log(Z_k/Z₀) of the densities at each β from draws of all of them.

    Shirts and Chodera, 2008 (J. Chem. Phys. 129, 124105), eq. 11: f_k = −log Σ_x exp(β_kv)/Σ_j N_j exp(f_j + β_jv) over
    all draws x, v = ΔU(x), N_j the number of draws at β_j. It is the minimum of the convex function
    Σ_x log Σ_j N_j exp(f_j + β_jv) − Σ_j N_jf_j, which BFGS finds.

    delta_u: finite numbers.
    first: a first guess; None for the integral of the mean of v by the trapezoid rule.
    """
    count = delta_u.shape[0] * delta_u.shape[2]
    tilt = betas * delta_u.reshape(-1, 1) + np.log(count)

    def objective(rest: np.ndarray) -> tuple[float, np.ndarray]:
        f = np.concatenate([[0.0], rest])
        log_parts = f + tilt
        total = logsumexp(log_parts, axis=1)
        gradient = np.exp(log_parts - np.expand_dims(total, 1)).sum(0) - count
        return float((total.sum() - count * f.sum()) / count), gradient[1:] / count

    if first is None:
        means = delta_u.mean((0, 2))
        first = np.concatenate([[0.0], -np.cumsum(np.diff(betas) * (means[1:] + means[:-1]) / 2)])
    found = minimize(objective, first[1:], jac=True, method="BFGS", options={"gtol": 1e-7})
    return np.concatenate([[0.0], found.x])
