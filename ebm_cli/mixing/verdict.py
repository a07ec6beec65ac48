"""Mixing: the one verdict of a set of chains, on which all that speaks of the whole law rests."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from matplotlib.colors import TwoSlopeNorm
from torch import nn

from ebm_cli import figure
from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.chain.screening import listed
from ebm_cli.diagnostic import Patient, quantities
from ebm_cli.diagnostic.effective_temperature import EffectiveTemperature
from ebm_cli.energy import device_of, energy_and_grad, frozen, space_of
from ebm_cli.estimate import Estimate, refused, show
from ebm_cli.mixing.convergence import Evidence, evidence, scores
from ebm_cli.mixing.start_probes import OVERDISPERSED, Probed, probe, width_of_start
from ebm_cli.run.terminal import never

# Looked at for their temperature: so many of each chain, and more of few chains.
STATES_A_CHAIN, STATES = 20, 2000
OFF, FAR_OFF = 0.1, 0.5
BINS = 20
SHOWN = 32


@dataclass(frozen=True)
class Judged:
    """The verdict, what finding it cost in words, and the function of the state that chains agree least about.

    elsewhere: whether chains begun elsewhere stay where those that are judged have not been.
    """

    estimate: Estimate
    notes: list[str] = field(default_factory=list)
    worst: str = ""
    elsewhere: bool = False


def judge(patient: Patient, seed: int, stop: Callable[[], bool] = never) -> Judged:
    """1 for chains that are mixed: they agree, forget, stand at their temperature and depend on no start.

    ok: nothing speaks against it. caution: it can't be told. refused: they are not mixed. What chains tell of
    themselves is in `evidence`. Chains that all sit in one mode agree as well, so where starts were not 5 times as wide
    as the chains, others are begun elsewhere by the same kernel (`probe`), when the energy and the sampler are known
    and nothing spoke against mixing before; without them, that is said and no more can be.
    """
    screened = patient.screened()
    smaller = patient.smaller_step()
    if screened.stuck:
        return Judged(refused(f"not mixed: {listed(screened.stuck)} never moved; {smaller}"))
    if screened.good is None:
        return Judged(refused(screened.fatal))
    found = evidence(screened.good, smaller)
    not_at_temperature(patient, screened.good, found, smaller)
    if found.against:
        return Judged(refused([*screened.remarks, *found.against]), worst=found.worst)
    probed, notes = starts(patient, screened.good, seed, stop)
    if probed.outcome == "elsewhere":
        return Judged(refused([*screened.remarks, f"not mixed: {probed.said}"]), notes, found.worst, elsewhere=True)
    doubts = [*screened.remarks, *found.unsure]
    if probed.outcome == "unknown":
        doubts.append(f"can't tell: {probed.said}")
    if doubts:
        estimate = Estimate(1.0, meaning="1 stands for mixed, which is not certain here").with_caution(doubts)
    else:
        meaning = "1 stands for mixed: chains agree with each other and forget where they were"
        estimate = Estimate(1.0, reasons=(probed.said,), meaning=meaning)
    return Judged(estimate, notes, found.worst)


def starts(patient: Patient, chains: Chains, seed: int, stop: Callable[[], bool]) -> tuple[Probed, list[str]]:
    """Whether it can matter where chains began, by the width of their start or by probes; and what is to be said."""
    if patient.energy is None or patient.sampler is None:
        return Probed(
            "joined", "chains agree, but where they began is not known: a mode without a chain is not seen"
        ), []
    if patient.sampler.temperature == 0:
        return Probed("joined", "at temperature 0 chains descend: nothing is said of modes"), []
    width = width_of_start(patient.start, chains, seed, device_of(patient.energy))
    if width is not None and width >= OVERDISPERSED:
        return Probed("joined", f"chains began {width:.3g} times as wide as they are, and agree"), []
    probed = probe(patient.energy, patient.sampler, chains, patient.data, seed, stop)
    if width is None:
        why = "where chains began is not known"
    elif width == 0:
        why = "chains began to one side of where they are"
    else:
        why = f"chains began {width:.2g} times as wide as they are"
    return probed, [f"mixing: {why}; below {OVERDISPERSED:g} times, others are begun elsewhere: {probed.said}"]


def not_at_temperature(patient: Patient, chains: Chains, found: Evidence, smaller: str) -> None:
    """Add where both temperatures that chains speak of are off T, by more than 4 standard errors and a tenth.

    T_conf = ⟨‖∇E‖²⟩/⟨ΔE⟩ (Rugh, 1997), which curvature that sits in kinks raises, and the virial ⟨(x − m)·∇E⟩/d
    (Clausius, 1870), which kinks leave alone, m the mean. One alone is no evidence. Off by more than half of T is not
    mixed.
    """
    energy, T = patient.energy, patient.temperature
    if energy is None or not T or space_of(energy) != "continuous":
        return
    alone = Patient(chains, energy, T)
    draws = max(STATES_A_CHAIN, STATES // len(chains.x))
    configurational = EffectiveTemperature(draws)(alone).estimates["effective_temperature"]
    if not isinstance(configurational.value, float) or not isinstance(configurational.se, float):
        return
    both = [(configurational.value, configurational.se), virial(energy, chains, draws)]
    if any(abs(value - T) <= max(4 * se, OFF * T) for value, se in both):
        return
    value, se = both[0]
    what = f"chains are at T = {show(value, se)}, not at {T:g}: step bias or not yet in equilibrium"
    remedy = f"{smaller} or {chains.after_burn_in()}"
    if abs(value - T) > FAR_OFF * T:
        found.against.append(f"not mixed: {what}; {remedy}")
    else:
        found.unsure.append(f"can't tell: {what}; {remedy}")


def virial(energy: nn.Module, chains: Chains, draws: int) -> tuple[float, float]:
    """⟨(x − m)·∇E⟩/d over at most `draws` states a chain, with its standard error over chains."""
    flat = chains.flat()
    chosen = evenly(flat.shape[1], draws)
    x = chains.x[:, chosen]
    dtype = next((p.dtype for p in energy.parameters()), torch.get_default_dtype())
    states = torch.as_tensor(x.reshape(-1, *chains.event), dtype=dtype, device=device_of(energy))
    with frozen(energy):
        grads = [energy_and_grad(energy, part)[1].flatten(1).double().cpu().numpy() for part in states.split(4096)]
    centred = flat[:, chosen].reshape(-1, flat.shape[2]) - flat.mean((0, 1))
    each = (centred * np.concatenate(grads)).mean(1).reshape(len(flat), -1).mean(1)
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)


def pictures(patient: Patient, judged: Judged) -> dict[str, tuple["figure.Figure", str]]:
    """Traces and ranks of the function of the state that chains agree least about, where there is one."""
    good = patient.screened().good
    if good is None or not judged.worst:
        return {}
    return {"trace": trace(good, judged.worst), "rank": ranks(good, judged.worst)}


def ranks(chains: Chains, name: str) -> tuple["figure.Figure", str]:
    """How often each chain's draws fall into each twentieth of all draws' ranks, over how often they would if mixed.

    The rank plots of Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 5, a row for each chain's histogram.
    """
    values = quantities(chains)[name]
    z = scores(values)
    edges = np.quantile(z, np.linspace(0, 1, BINS + 1)[1:-1])
    places = np.searchsorted(edges, z, side="right")
    share = np.stack([np.bincount(row, minlength=BINS) for row in places]) * BINS / values.shape[1]
    shown = share[:SHOWN]
    picture, (axes,) = figure.new(height=min(1.8 + 0.16 * len(shown), 4.4))
    most = max(2.0, float(shown.max()))
    image = axes.imshow(shown, aspect="auto", cmap="RdBu_r", norm=TwoSlopeNorm(1, 0, most))
    picture.colorbar(
        image,
        ax=axes,
        label="draws, over those of a mixed chain",
        ticks=[0, 0.5, 1, (1 + most) / 2, most],
        format="%.2g",
    )
    names = chains.names or list(range(len(values)))
    rows = evenly(len(shown), 8)
    axes.set_yticks(rows, [str(names[row]) for row in rows])
    axes.set_xticks([-0.5, BINS / 2 - 0.5, BINS - 0.5], ["lowest", "median", "highest"])
    axes.set(xlabel=f"rank of {name} among all draws", ylabel="chain")
    axes.grid(False)
    caption = (
        f"Ranks of each chain's draws of {name}, which chains agree least about: in each twentieth of all draws "
        f"{share.min():.2f} to {share.max():.2f} times as many as a mixed chain has. Good: pale everywhere, no chain "
        "with a colour of its own."
    )
    return picture, caption


def trace(chains: Chains, name: str) -> tuple["figure.Figure", str]:
    """One function of the state over kernel steps, a line a chain."""
    values = quantities(chains)[name]
    steps = (np.arange(values.shape[1]) + 1) * chains.thin
    every = max(1, len(values) // SHOWN)
    picture, (axes,) = figure.new()
    for i, row in enumerate(values[::every][:SHOWN]):
        axes.plot(steps, row, color=figure.CYCLE[i % len(figure.CYCLE)], alpha=0.45, linewidth=0.7)
    low, high = np.quantile(values, [0.001, 0.999])
    pad = 0.08 * (high - low) + 1e-12
    axes.set(xlabel="kernel steps after burn-in", ylabel=name, ylim=(low - pad, high + pad))
    means = values.mean(1)
    caption = (
        f"{name}, which chains agree least about, along {min(len(values), SHOWN)} of {len(values)} of them; chains' "
        f"means {means.min():.3g} to {means.max():.3g}, standard deviation of a draw {values.std():.3g}. "
        "Good: lines that cannot be told apart, no trend, no level of its own."
    )
    return picture, caption
