"""Effective temperature: the temperature that the chains' own configurations speak of."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check, figure
from ebm_cli.chain.chain_file import Chains
from ebm_cli.diagnostic import Patient
from ebm_cli.energy import device_of, frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.rng import generator

EXACT_UP_TO = 16
STATES = 2000
# In units of T: a difference that is no reason for doubt, and the largest error with which it can be seen; and one that
# is always a reason.
CLOSE, FAR = 0.05, 0.1


class EffectiveTemperature:
    """T_conf = ⟨‖∇E‖²⟩/⟨ΔE⟩, equal to T at equilibrium on any smooth confining energy.

    Rugh, 1997 (Phys. Rev. Lett. 78, 772), in its configurational form (Butler et al., 1998). SGLD on E = a/2·x²
    gives T/(1 − aη/2). ΔE is the exact trace of the Hessian up to 16 dimensions, else Hutchinson's estimate
    with one random
    sign vector a state. The standard error is a jackknife over chains. Refused where ΔE vanishes, as for piecewise
    linear networks, and where its mean is not clearly positive. See `off` for when it is under caution.

    draws: states per chain that are used ≥ 1, evenly spaced; more of few chains, so that about 2,000 are used in all.
    """

    def __init__(self, draws: int) -> None:
        check.count("draws", draws)
        self.draws = draws

    def __call__(self, patient: Patient) -> Finding:
        name = "effective_temperature"
        if patient.energy is None or patient.temperature is None:
            return Finding(
                {name: refused("the energy is not known from a file of chains alone: use run=RUN of ebm sample")}
            )
        screened = patient.screened()
        if screened.good is None:
            return Finding({name: refused(screened.fatal)})
        squares, laplacians = averages(
            patient.energy, screened.good.thinned(max(self.draws, STATES // len(screened.good.x)))
        )
        if not (np.isfinite(squares).all() and np.isfinite(laplacians).all()):
            return Finding({name: refused("the second derivatives of the energy are not finite at some states")})
        if not np.any(laplacians):
            return Finding(
                {name: refused("ΔE is 0 everywhere: the energy is piecewise linear, so this temperature is undefined")}
            )
        count = len(squares)
        mean, error = laplacians.mean(), laplacians.std(ddof=1) / count**0.5
        if mean < 4 * error:
            reason = f"⟨ΔE⟩ = {mean:.3g} ± {error:.2g} is not clearly positive: raise chains or draws"
            return Finding({name: refused(reason)})
        value = float(squares.mean() / mean)
        without = (squares.sum() - squares) / (laplacians.sum() - laplacians)
        se = float(np.sqrt((count - 1) * without.var()))
        temperature = patient.temperature
        if not np.isfinite([value, se]).all():
            return Finding({name: refused("‖∇E‖² or ΔE overflow at some states")})
        doubts = [*screened.remarks, *off(value, se, temperature, patient.smaller_step(), screened.good)]
        picture, (axes,) = figure.new(height=3.2)
        each = squares / laplacians
        axes.hist(each[np.isfinite(each)], bins=30, color=figure.BLUE)
        axes.axvline(temperature, color=figure.GREEN, linestyle="--", label=f"T = {temperature:g}")
        axes.axvline(value, color=figure.RED, label=f"T_conf = {value:.3f} ± {se:.3f}")
        axes.set(xlabel="‖∇E‖²/ΔE, ratio of means in each chain", ylabel="chains")
        axes.legend()
        numbers = f"{value:.4f} ± {se:.4f}, beside T = {temperature:g}"
        caption = f"Configurational temperature, {numbers}. Good: the two lines agree."
        estimate = Estimate(value, se=se, if_not_mixed="caution")
        if temperature > 0:
            estimate = estimate.with_meaning(f"chains are at {value / temperature:.3g} times T (1 is perfect)")
        return Finding({name: estimate.with_caution(doubts)}, picture, caption)


def off(value: float, se: float, temperature: float, smaller: str, chains: Chains) -> list[str]:
    """Return why a temperature of value ± se does not show that chains are at T, or nothing.

    It does if its error is at most 5 % of T, and if it differs from T by at most 4 errors or 5 % of T, whichever is
    more, and by at most 10 %. smaller: how a smaller step is typed.
    """
    if temperature <= 0:
        return []
    away, error = abs(value - temperature) / temperature, se / temperature
    side = "above" if value > temperature else "below"
    numbers = f"{away:.1%} {side} T = {temperature:g}, with an error of {error:.1%}"
    if away > min(max(4 * error, CLOSE), FAR):
        if away > 4 * error:
            return [
                f"chains are not at T: {numbers}; step bias or not yet in equilibrium; {smaller}, or "
                f"{chains.after_burn_in()}"
            ]
        return [f"not shown to be T: {numbers}; {chains.longer(4)}, or {smaller}"]
    if error > CLOSE:
        return [f"not known well enough to be compared with T: {numbers}; {chains.longer((error / CLOSE) ** 2)}"]
    return []


def averages(energy: nn.Module, x: np.ndarray) -> tuple[Float[np.ndarray, " chain"], Float[np.ndarray, " chain"]]:
    """Means a chain of ‖∇E‖² and of ΔE over states (chain, draw, *event)."""
    chains, draws = x.shape[:2]
    dtype = next((p.dtype for p in energy.parameters()), torch.get_default_dtype())
    flat = x.reshape(chains * draws, *x.shape[2:])
    states = torch.as_tensor(flat, dtype=dtype, device=device_of(energy))
    rng = generator(0, "effective_temperature", states.device)
    squares, laplacians = [], []
    with frozen(energy):
        for part in states.split(4096):
            square, laplacian = square_and_laplacian(energy, part, rng)
            squares.append(square)
            laplacians.append(laplacian)
    shape = (chains, draws)
    means = [torch.cat(v).double().view(shape).mean(1).cpu().numpy() for v in (squares, laplacians)]
    return means[0], means[1]


def square_and_laplacian(
    energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """‖∇E‖² and ΔE of each state."""
    x = x.detach().requires_grad_(True)
    (grad,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
    square = grad.detach().flatten(1).square().sum(1)
    if not grad.requires_grad:
        return square, torch.zeros_like(square)
    size = x[0].numel()
    if size <= EXACT_UP_TO:
        probes = torch.eye(size, dtype=x.dtype, device=x.device).view(size, 1, *x.shape[1:]).expand(size, *x.shape)
    else:
        signs = torch.randint(0, 2, x.shape, generator=rng, device=x.device)
        probes = (2 * signs - 1).to(x.dtype)[None]
    laplacian = torch.zeros_like(square)
    for probe in probes:
        (row,) = torch.autograd.grad((grad * probe).sum(), x, retain_graph=True, allow_unused=True)
        if row is not None:
            laplacian += (row * probe).flatten(1).sum(1)
    return square, laplacian
