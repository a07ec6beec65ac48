"""The rows of metrics.json that summarize chains."""

import numpy as np
from torch import nn

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.quantities import mean_over_chains, unit_of
from ebm_cli.data import _angles
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic.ess import ESS, MIN_ESS_PER_CHAIN
from ebm_cli.diagnostic.r_hat import CAUTION_ABOVE, FAIL_ABOVE, RHat
from ebm_cli.estimate import Estimate, refused
from ebm_cli.mixing.tail_index import tail_cautions
from ebm_cli.partition.replica_log_z import replica_log_z
from ebm_cli.sampler.tempering import has_exact_draws

# For larger states, all coordinates together have one mean and one standard deviation.
MAX_COORDINATES = 16
# Rows of angles.
CIRCULAR = ("mean_cos", "mean_sin", "resultant_length")


def summarize(context: ChainContext) -> dict[str, Estimate]:
    """Return mean, std, energy and acceptance, ESS and R̂ of the usable chains.

    Angles have mean cosines and sines and resultant lengths instead of mean and std.
    """
    screened = context.screened
    if screened.usable is None:
        names = CIRCULAR if context.chains.space == _angles.SPACE else ("mean", "std")
        rows = {key: refused(screened.error) for key in (*names, "energy", "acceptance")}
    else:
        usable = screened.usable
        assert usable.potential is not None
        energy = mean_over_chains(usable.potential.astype(np.float64).mean(1), "refused")
        periodic = usable.space == _angles.SPACE
        rows = (circular_moments if periodic else moments)(usable, screened.warnings)
        rows["energy"] = energy.with_caution(screened.warnings)
        rows["acceptance"] = acceptance(usable).with_caution([*screened.warnings, *diverging_proposals(usable)])
    rows["ess_bulk_min"] = ESS(MIN_ESS_PER_CHAIN)(context).estimates["ess_bulk_min"]
    return rows | RHat(CAUTION_ABOVE, FAIL_ABOVE)(context).estimates


def moments(chains: Chains, warnings: list[str]) -> dict[str, Estimate]:
    """Return the mean and the standard deviation of each coordinate (of all together for large states) with errors."""
    flat = chains.flat().astype(np.float64)
    # Squares of numbers beyond 1e154 overflow.
    unit = unit_of(flat)
    flat = flat / unit
    if flat.shape[2] > MAX_COORDINATES:
        flat = flat.reshape(len(flat), -1, 1)
    means = flat.mean(1)
    center = means.mean(0)
    variances = ((flat - center) ** 2).mean(1)
    n = len(flat)
    std = np.sqrt(variances.mean(0))
    mean_se = means.std(0, ddof=1) / n**0.5
    std_se = variances.std(0, ddof=1) / n**0.5 / (2 * np.maximum(std, 1e-300))

    cautions = tail_cautions(flat)
    both = {"mean": (center, mean_se), "std": (std, std_se)}
    return {
        name: Estimate(one_or_list(value * unit), se=one_or_list(se * unit), if_not_mixed="refused").with_caution(
            [*warnings, *cautions[name]]
        )
        for name, (value, se) in both.items()
    }


def circular_moments(chains: Chains, warnings: list[str]) -> dict[str, Estimate]:
    """Return the means C and S of the cosine and the sine of each angle, and R = √(C² + S²), with errors.

    R is 1 if all angles are equal, and 0 if they are uniform; atan2(S, C) is their mean direction. R² is without its
    bias by the errors of C and S. For large states, the means are over all angles.
    """
    C, S = np.split(chains.flat().astype(np.float64).mean(1), 2, axis=1)
    if C.shape[1] > MAX_COORDINATES:
        C, S = C.mean(1, keepdims=True), S.mean(1, keepdims=True)
    n, center = len(C), (C.mean(0), S.mean(0))
    errors = [each.std(0, ddof=1) / n**0.5 for each in (C, S)]
    squares = center[0] ** 2 + center[1] ** 2
    length = np.sqrt(np.maximum(squares - errors[0] ** 2 - errors[1] ** 2, 0))
    along = (C * center[0] + S * center[1]) / np.maximum(np.sqrt(squares), 1e-300)
    values = zip(CIRCULAR, (*center, length), (*errors, along.std(0, ddof=1) / n**0.5), strict=True)
    return {
        name: Estimate(one_or_list(value), se=one_or_list(se), if_not_mixed="refused").with_caution(warnings)
        for name, value, se in values
    }


def one_or_list(values: np.ndarray) -> float | list[float]:
    """Return one number for a single coordinate, otherwise a list."""
    return float(values[0]) if len(values) == 1 else values.tolist()


def acceptance(chains: Chains) -> Estimate:
    """Return the acceptance rate with its meaning."""
    assert chains.acceptance is not None
    rate = mean_over_chains(chains.acceptance.mean(1), "caution")
    meaning = f"{100 * float(np.mean(rate.value or 0)):.1f} % of proposals are accepted"
    if rate.value == 1:
        meaning = "every step is taken, because the kernel has no Metropolis test"
    return rate.with_meaning(meaning)


def diverging_proposals(chains: Chains) -> list[str]:
    """Return a warning about proposals without finite energy, if there were any."""
    count = 0 if chains.diverging is None else int(chains.diverging.sum())
    if not count:
        return []
    total = chains.x.shape[0] * chains.x.shape[1] * chains.thin
    rejected = f"{count:,} of {total:,} proposals had non-finite energy and were rejected"
    return [f"{rejected}. Decrease sampler.step_size"]


def log_z_row(trajectory: Trajectory, energy: nn.Module, mixing: Estimate) -> dict[str, Estimate]:
    """Return log Z, which replica exchange from exact draws gives without a further gradient."""
    sampler = trajectory.sampler
    if not has_exact_draws(sampler) or trajectory.delta_u is None:
        return {}
    if trajectory.delta_u.shape[2] < 2:
        return {}
    space = sampler.path.annealing_path(energy, sampler.temperature).space
    betas = np.array(sampler.path.replica_betas())
    return {"log_z": replica_log_z(betas, trajectory.delta_u.cpu().numpy(), space.log_volume, mixing)}
