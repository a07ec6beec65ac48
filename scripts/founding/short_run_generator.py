"""The short-run generator: training fits the distribution of short chains, not exp(−E)/Z."""

from pathlib import Path

import numpy as np
import torch
from scipy.optimize import root_scalar

from ebm_cli import figure, load_run
from ebm_cli.energy.quadratic import Quadratic
from scripts.founding import Claim, Row
from scripts.founding._parts import average, ebm, moved, seeded, variance

ORDER = 90
DIM, BEGIN, STEPS, STEP = 32, 2.0, 5, 0.1
CHAINS = 2000


def spread(a: float, k: float) -> float:
    """Return the variance after k Langevin steps, r²ᵏ·BEGIN² + (1 − r²ᵏ)(1/a)/(1 − aη/2), r = 1 − aη."""
    kept = (1 - a * STEP) ** (2 * k)
    return kept * BEGIN**2 + (1 - kept) / (a * (1 - a * STEP / 2))


def measure(place: Path) -> Claim:
    ebm(
        *["train", "energy=quadratic", f"energy.a=[{','.join(['1.0'] * DIM)}]", f"out={place / 'run'}"],
        *["data=gaussian", f"data.dim={DIM}", "start=noise", "start.distribution=normal", f"start.scale={BEGIN}"],
        *["sampler=sgld", f"sampler.step_size={STEP}", f"objective.steps={STEPS}", "trainer.steps=500"],
        *["trainer.batch_size=512", "optimizer.lr=0.02", "optimizer.warmup=1", "trainer.ema_decay=0.97"],
    )
    run = load_run(place / "run")
    energy = run.energy
    assert isinstance(energy, Quadratic)
    a, rng = energy.a.detach(), seeded(0)
    root = float(root_scalar(lambda a: spread(a, STEPS) - 1.0, bracket=(0.5, 5.0)).root)
    begun = BEGIN * torch.randn(CHAINS, DIM, generator=rng)
    short, long = (moved(run.sampler, energy, begun, k, rng) for k in (STEPS, 300))
    # Coordinates are independent repeats: variance over chains, then mean and error over coordinates.
    of_short, of_long = (average(x.double().square().mean(0)) for x in (short, long))
    rows = [
        Row(f"a for which {STEPS} steps reproduce the variance of the data", root, *average(a)),
        Row(f"variance after {STEPS} steps: equal to the data", 1.0, *of_short),
        Row("variance after 300 steps: equal to exp(−E)/Z", spread(root, 300), *of_long),
        Row("variance after 300 steps: below the data", 1.0, *of_long, "<"),
    ]
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    lengths = np.arange(0, 41)
    left.plot(lengths, [spread(root, int(k)) for k in lengths], color=figure.BLACK, label="closed form")
    shown = (0, 2, 5, 10, 20, 40)
    means = [variance(moved(run.sampler, energy, begun, k, rng) if k else begun)[0] for k in shown]
    left.plot(shown, means, "o", color=figure.BLUE, label="chains")
    left.axhline(1.0, color=figure.GREEN, linestyle="--", label="data")
    left.axvline(STEPS, color=figure.RED, linestyle=":", label="steps in training")
    left.set(xlabel="Langevin steps from noise", ylabel="variance, x²")
    left.legend()
    line = np.linspace(-4, 4, 200)
    for x, name, color in ((short, f"{STEPS} steps", figure.BLUE), (long, "300 steps", figure.ORANGE)):
        right.hist(x.flatten().numpy(), bins=60, range=(-4, 4), density=True, histtype="step", color=color, label=name)
    right.plot(line, np.exp(-(line**2) / 2) / (2 * np.pi) ** 0.5, color=figure.GREEN, linestyle="--", label="data")
    right.set(xlabel="x", ylabel="density")
    right.legend()
    return Claim(
        section="原理与机制 › 负相的挑战：MCMC 采样 · The negative phase",
        sentence="k Langevin steps from noise are a generator with parameters θ, and training fits that generator. "
        "Its samples can be correct although exp(−E)/Z is not.",
        rows=rows,
        picture=picture,
        caption=f"E = a/2·x² trained on N(0, 1) with chains of {STEPS} steps from N(0, {BEGIN:g}²): variance along "
        "chains (left), densities of short and long chains (right).",
    )
