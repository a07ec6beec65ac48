"""Any function is an energy: kinks, jumps and a random network have densities, and chains sample them."""

from pathlib import Path

import torch
from torch import nn

from ebm_cli import figure
from ebm_cli.rng import seeded_layers
from scripts.founding import Claim, Row
from scripts.founding._energies import Kinked, Staircase
from scripts.founding._line import law
from scripts.founding._parts import average, moved, part, seeded

ORDER = 10
CHAINS, STEPS = 4096, 400


def measure(place: Path) -> Claim:  # noqa: ARG001
    with seeded_layers(3, "energy"):
        network = part("energy", "mlp", {"width": 16, "confinement": 0.2}, event=(1,), data=None)
        for weights in network.net.parameters():
            weights.data *= 3
    energies: dict[str, nn.Module] = {"|x| + sin 5x": Kinked(), "⌊x²⌋": Staircase(), "random network + x²/10": network}
    picture, axes = figure.new(3, width=9.6, height=3.0)
    rows = []
    for i, (name, energy) in enumerate(energies.items()):
        exact = law(energy, -15.0, 15.0)
        sampler = part("sampler", "mala", {"step_size": 0.5})
        rng = seeded(i)
        x = moved(sampler, energy, 6 * torch.rand(CHAINS, 1, generator=rng) - 3, STEPS, rng)
        rows += [
            Row(f"P(x > ½), E = {name}", exact.mean(lambda x: x > 0.5), *average((x > 0.5).double())),
            Row(f"⟨x²⟩, E = {name}", exact.mean(lambda x: x**2), *average(x.double().square())),
        ]
        axes[i].hist(x[:, 0].numpy(), bins=60, range=(-5, 5), density=True, color=figure.SKY, label="chains")
        axes[i].plot(exact.x, exact.density, color=figure.BLACK, linewidth=1.2, label="exp(−E)/Z")
        axes[i].set(xlabel="x", ylabel="density", xlim=(-5, 5), title=f"E = {name}")
    axes[0].legend()
    return Claim(
        section="引言 · Introduction",
        sentence="Any function that maps an input to a number can serve as an energy, a deep network among them.",
        truth="This holds for any function with a finite integral of exp(−E); the network here needs the term x²/10. "
        "Neither derivatives nor continuity are needed. The Metropolis test uses only the values of E.",
        rows=rows,
        picture=picture,
        caption=f"Densities by quadrature and {CHAINS:,} MALA chains after {STEPS} steps from uniform noise.",
    )
