"""log Z from chains of replica exchange that were run anyway, without a further gradient."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import logsumexp

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.integration import integration_bounds
from ebm_cli.partition.log_weights import student_factor


def replica_log_z(
    betas: Float[np.ndarray, " K"], delta_u: Float[np.ndarray, "draw K n"], log_volume: float, mixing: Estimate
) -> Estimate:
    """Return log Z in nats: the multistate estimate, between the bounds of thermodynamic integration.

    The error is the jackknife's over chains (Tukey, 1958), √((n − 1)/n Σᵢ (θ₍ᵢ₎ − θ̄)²) with θ₍ᵢ₎ without chain i.
    Refused if the chains are not mixed. The bounds are those of `thermodynamic_integral`.

    betas: falling from 1 to 0, one per replica.
    delta_u: U₀ − U of every replica of n chains.
    log_volume: log of the volume of a unit cell of the path's coordinates.
    """
    if mixing.verdict == "refused":
        return refused(mixing.reasons, "nats")
    if not np.isfinite(delta_u).all():
        left = "a state of a replica has no finite energy, or left the box of the base"
        return refused(f"no log Z: {left}. Type path.base=gaussian, or a wider path.box", "nats")
    rising, of_betas, n = betas[::-1], delta_u[:, ::-1], delta_u.shape[2]
    free_energies = multistate_free_energies(rising, of_betas)
    others = [np.delete(of_betas, chain, axis=2) for chain in range(n)]
    each = np.array([-multistate_free_energies(rising, other, free_energies)[-1] for other in others])
    se = float(np.sqrt((n - 1) / n * ((each - each.mean()) ** 2).sum()))
    lower, upper, _ = integration_bounds(rising, of_betas.mean(0))
    bounds_in_words = f"by integration between {log_volume + lower:.4g} and {log_volume + upper:.4g}"
    estimate = Estimate(
        log_volume - float(free_energies[-1]),
        se=student_factor(n) * se,
        lower=log_volume + lower,
        upper=log_volume + upper,
        unit="nats",
        reasons=(f"multistate estimate from {len(betas)} replicas of {n} chains; {bounds_in_words}",),
    )
    return estimate.with_caution(mixing.reasons if mixing.verdict == "caution" else ())


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
