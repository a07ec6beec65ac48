"""Momentum crosses flat valleys: SGHMC forgets along them many times sooner than SGLD with the same bias."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.chains import run_chains
from ebm_cli.diagnostic.autocorrelation import integrated_time
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import Sampler
from scripts.founding import Claim, Row
from scripts.founding._parts import part, seeded

ORDER = 150
STIFF, FLAT, FRICTION, BIAS = 1.0, 0.04, 0.2, 0.05
CHAINS, STEPS = 64, 12_000


def forgets(A: np.ndarray, noise: np.ndarray, lags: int) -> np.ndarray:
    """Autocorrelation of the first coordinate of z′ = Az + ξ, ξ ~ N(0, noise), at stationarity: (AᵗΣ)₁₁/Σ₁₁."""
    d = len(A)
    law = np.linalg.solve(np.eye(d * d) - np.kron(A, A), noise.ravel()).reshape(d, d)
    rho, power = [], np.eye(d)
    for _ in range(lags):
        rho.append((power @ law)[0, 0] / law[0, 0])
        power = A @ power
    return np.array(rho)


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy = Quadratic([STIFF, FLAT], None)
    plain: Sampler = part("sampler", "sgld", {"target": BIAS})
    heavy: Sampler = part("sampler", "sghmc", {"target": BIAS, "friction": FRICTION})
    times, curves, paths, rows = {}, {}, {}, []
    for name, kernel in (("sgld", plain), ("sghmc", heavy)):
        # The step at which the stiff direction's variance is BIAS too large.
        η = kernel.step_size_for(STIFF)  # pyright: ignore[reportAttributeAccessIssue]
        changes = {"step_size": η} | ({"friction": FRICTION} if name == "sghmc" else {})
        rng = seeded(0)
        run = run_chains(part("sampler", name, changes), energy, energy.draw(CHAINS, 1.0, rng), STEPS, rng, burn_in=300)
        # (x, v) and (x) as linear recursions.
        kept = 1 - FRICTION
        if name == "sgld":
            A, noise = np.array([[1 - η * FLAT]]), np.array([[2 * η]])
        else:
            A, noise = np.array([[1 - η * FLAT, kept], [-η * FLAT, kept]]), 2 * FRICTION * η * np.ones((2, 2))
        curves[name] = forgets(A, noise, 6000)
        exact = 2 * curves[name].sum() - 1
        values = run.x[:, :, 1].T.double().numpy()
        found = integrated_time(values, 5.0)
        assert found is not None
        times[name], paths[name] = found, values[0]
        stiff = average_of_square(run.x[:, :, 0])
        rows.append(Row(f"{name}: autocorrelation time along the valley, in steps", exact, found.tau, found.se))
        rows.append(Row(f"{name}: variance across it, {BIAS:.0%} too large", 1 + BIAS, *stiff))
    ratio = times["sgld"].tau / times["sghmc"].tau
    spread = ratio * float(np.hypot(*(t.se / t.tau for t in times.values())))
    rows.append(Row("how many times sooner sghmc forgets", 1.0, ratio, spread, ">"))
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    for name, color in (("sgld", figure.ORANGE), ("sghmc", figure.BLUE)):
        lags = np.arange(min(len(times[name].rho), 1200))
        left.plot(lags, times[name].rho[: len(lags)], color=color, label=f"{name}, chains")
        left.plot(lags, curves[name][: len(lags)], color=figure.BLACK, linestyle="--", linewidth=1)
        right.plot(paths[name][:2000], color=color, linewidth=0.9, label=name)
    left.set(xlabel="lag, in steps", ylabel="autocorrelation along the valley")
    right.set(xlabel="step", ylabel="place along the valley, x₂")
    left.legend()
    right.legend()
    return Claim(
        section="原理与机制 › 改进采样过程 · Better sampling",
        sentence="In flat valleys of the energy SGLD moves slowly; SGHMC's momentum carries it through and samples more "
        "efficiently.",
        rows=rows,
        picture=picture,
        caption=f"Curvatures {STIFF:g} and {FLAT:g}, both steps chosen for a bias of {BIAS:.0%} across the valley; dashed: exact.",
    )


def average_of_square(x: torch.Tensor) -> tuple[float, float]:
    """⟨x²⟩ over (draw, chain) and its error over chains."""
    each = x.double().square().mean(0)
    return float(each.mean()), float(each.std() / len(each) ** 0.5)
