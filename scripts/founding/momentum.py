"""Momentum crosses flat valleys: SGHMC decorrelates along them much faster than SGLD with the same bias."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from ebm_cli import figure
from ebm_cli.chain.loop import run_chains
from ebm_cli.energy.quadratic import Quadratic
from scripts.founding import Claim, Row
from scripts.founding._parts import average, part, seeded

ORDER = 150
STIFF, FLAT, FRICTION, BIAS = 1.0, 0.04, 0.2, 0.05
CHAINS, STEPS, LAG = 512, 3000, 100
SHOWN = 1000


def recursion(name: str, η: float) -> tuple[Float[np.ndarray, "d d"], Float[np.ndarray, "d d"]]:
    """Return A and the covariance of ξ in z′ = Az + ξ; z: position along the valley, and velocity for sghmc."""
    if name == "sgld":
        return np.array([[1 - η * FLAT]]), np.array([[2 * η]])
    kept = 1 - FRICTION
    return np.array([[1 - η * FLAT, kept], [-η * FLAT, kept]]), 2 * FRICTION * η * np.ones((2, 2))


def covariances(A: Float[np.ndarray, "d d"], noise: Float[np.ndarray, "d d"], lags: int) -> np.ndarray:
    """Return ⟨z₁(0)z₁(t)⟩ at stationarity, (AᵗΣ)₁₁ with Σ = AΣAᵀ + noise."""
    d = len(A)
    power = np.linalg.solve(np.eye(d * d) - np.kron(A, A), noise.ravel()).reshape(d, d)
    found = []
    for _ in range(lags):
        found.append(power[0, 0])
        power = A @ power
    return np.array(found)


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = Quadratic([STIFF, FLAT], None)
    rows, later, times = [], {}, {}
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    for name, color in (("sgld", figure.ORANGE), ("sghmc", figure.BLUE)):
        changes = {"friction": FRICTION} if name == "sghmc" else {}
        # Step size with a relative bias of BIAS in the variance across the valley.
        η = part("sampler", name, changes).step_size_for(STIFF, BIAS)
        rng = seeded(0)
        kernel = part("sampler", name, changes | {"step_size": η})
        run = run_chains(kernel, energy, energy.draw(CHAINS, 1.0, rng), STEPS, rng, burn_in=300)
        x = run.x.double().numpy()
        exact = covariances(*recursion(name, η), 8000)
        times[name] = 2 * (exact / exact[0]).sum() - 1
        later[name] = (x[:-LAG, :, 1] * x[LAG:, :, 1]).mean(0)
        rows += [
            Row(
                f"{name}: variance across the valley, {BIAS:.0%} too large",
                1 + BIAS,
                *average((x[:, :, 0] ** 2).mean(0)),
            ),
            Row(f"{name}: covariance along it, {LAG} steps apart", exact[LAG], *average(later[name])),
        ]
        lags = np.arange(0, 600, 20)
        seen = [(x[: STEPS - lag, :, 1] * x[lag:, :, 1]).mean() for lag in lags]
        left.plot(lags, seen, "o", markersize=3, color=color, label=f"{name}, chains")
        left.plot(exact[:600], color=color, linewidth=1)
        right.plot(x[:SHOWN, 0, 1], color=color, linewidth=0.9, label=name)
    rows.append(
        Row(
            "covariance along it at that lag, sgld minus sghmc",
            0.0,
            *average(later["sgld"] - later["sghmc"]),
            ">",
        )
    )
    left.set(xlabel="lag, in steps", ylabel="covariance along the valley, x²")
    right.set(xlabel="step", ylabel="position along the valley, x")
    left.legend()
    right.legend()
    return Claim(
        section="原理与机制 › 改进采样过程 · Better sampling",
        sentence="In flat valleys of the energy SGLD moves slowly. The momentum of SGHMC speeds up the motion along "
        "the valley and makes sampling more efficient.",
        rows=rows,
        picture=picture,
        caption=f"Curvatures {STIFF:g} and {FLAT:g}; both kernels use the step size with {BIAS:.0%} bias of the "
        f"variance across the valley. Lines are exact. Autocorrelation times along the valley are {times['sgld']:.0f} "
        f"(sgld) and {times['sghmc']:.0f} (sghmc) steps.",
    )
