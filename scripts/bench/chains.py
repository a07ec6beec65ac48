"""Time per gradient in our chains, compared with a lower limit, the usual loop, torchebm and blackjax.

    make bench            # or: python -m scripts.bench.chains [--device cuda] [--repeats 15] [--quick]

All variants run in one process on one core, interleaved within each repeat. A drift of the machine's speed therefore
affects all variants. A ratio is the median over repeats. Writes scripts/bench/DEVICE.md and .json.

ours: SGLD by `run_chains`, in each engine. floor: energy, gradient and one draw of noise in the same mode, at a fixed
point. usual: the loop of most training scripts. torchebm: its LangevinDynamics. blackjax: its MALA, HMC and NUTS,
jitted and warmed up, for comparison with ours.
"""

import argparse
import copy
import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.energy import energy_and_grad, frozen
from ebm_cli.energy.conv import Conv
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.mlp import MLP
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.hmc import HMC
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.nuts import NUTS
from ebm_cli.sampler.sgld import SGLD
from scripts.bench import table
from scripts.bench.table import Bar

STEP = 0.01
FLIGHT = 0.3
LEAPFROG = 8
MEANS, STDS, WEIGHTS = [[-2.0, 0.0], [2.0, 0.0]], [0.7, 0.7], [0.5, 0.5]
KERNELS: dict[str, Sampler] = {
    "mala": MALA(0.3, 1.0, None),
    "hmc": HMC(FLIGHT, LEAPFROG, 0.0, 0.0, 0.0, 1.0, None),
    "nuts": NUTS(FLIGHT, 10, 1.0, None),
}
SMALL, LARGE = "mixture, 2-D, 1,000 chains", "mixture, 2-D, 100,000 chains"
PERCEPTRON, PATCHES, IMAGES = "MLP 2-128-128-1, 1,000 chains", "conv, 64 of 1×8×8", "conv, 64 of 1×28×28"

# Explanations printed for bars that do not hold, from a profile of one thread of a shared AMD EPYC (for torchebm: from
# its source).
WHY = {
    "blackjax, mala": "mala: a compiled call costs 0.2 to 0.3 ms before its kernel, for 10 steps; noise by torch's "
    "generator takes a sixth to a third of a step.",
    "blackjax, hmc": "hmc: each trajectory is one compiled call with 0.2 ms of overhead in torch; its kernel takes "
    "50 µs per gradient, compared with 20 µs for all of blackjax.",
    "blackjax, nuts": "nuts: the longest of 1,000 trajectories determines the number of leaves, about 100 per step, "
    "with 70 chains each on average; a leaf takes 135 small torch calls, or 0.7 ms at any size.",
    "torchebm /": "torchebm also computes the gradient only in x, and therefore time can only be saved by the "
    "layout of convolutions and by compilation.",
}


@dataclass(frozen=True)
class Target:
    """An energy, the number of chains, and the number of gradients per measurement."""

    name: str
    energy: nn.Module
    event: tuple[int, ...]
    chains: int
    steps: int


def targets() -> list[Target]:
    mixture = GaussianMixture(MEANS, STDS, WEIGHTS)
    perceptron = MLP(128, 2, 0, 1.0, None, 1.0, 0, None, (2,), None)
    small, large = (Conv(32, 2, 1.0, 0, None, (1, side, side), None) for side in (8, 28))
    return [
        Target(SMALL, mixture, (2,), 1000, 400),
        Target(LARGE, mixture, (2,), 100_000, 10),
        Target(PERCEPTRON, perceptron, (2,), 1000, 40),
        Target(PATCHES, small, (1, 8, 8), 64, 20),
        Target(IMAGES, large, (1, 28, 28), 64, 5),
    ]


# A variant makes its steps and returns the number of gradients per chain.
Run = Callable[[], float]


def engines(device: str) -> list[str]:
    return ["eager", "compiled"] + (["graph"] if device.startswith("cuda") else [])


def ours(sampler: Sampler, energy: nn.Module, x: Tensor, steps: int, engine: str) -> float:
    rng = torch.Generator(x.device).manual_seed(0)
    return float(run_chains(sampler, energy, x, steps, rng, thin=None, engine=engine).gradients.mean())


def floor(look: Callable[[nn.Module, Tensor], Any], energy: nn.Module, x: Tensor, steps: int) -> float:
    """Evaluate `look`, which returns energy and gradient, and draw noise at a fixed point."""
    rng = torch.Generator(x.device).manual_seed(0)
    with frozen(energy), torch.no_grad():
        for _ in range(steps):
            look(energy, x)
            normal_like(x, rng)
    return steps


def floor_graph(energy: nn.Module, x: Tensor) -> Callable[[int], float]:
    """Return the floor as a CUDA graph, captured here and replayed in each call."""
    rng, graph, aside = torch.Generator(x.device).manual_seed(0), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    with frozen(energy), torch.no_grad():
        with torch.cuda.stream(aside):
            for _ in range(3):
                energy_and_grad(energy, x)
        torch.cuda.synchronize()
        graph.register_generator_state(rng)
        with torch.cuda.graph(graph):
            held = (*energy_and_grad(energy, x), normal_like(x, rng))

    def replay(steps: int) -> float:
        for _ in range(steps):
            graph.replay()
        return steps + 0 * len(held)

    return replay


def usual_loop(energy: nn.Module, x: Tensor, steps: int) -> float:
    """Run the loop of most training scripts, with gradients in x and in the parameters."""
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        energy(x).sum().backward()
        assert x.grad is not None
        x = x - STEP * x.grad + (2 * STEP) ** 0.5 * torch.randn_like(x)
    return steps


def torchebm_chains(energy: nn.Module, x: Tensor, steps: int) -> Run:
    from torchebm.core import BaseModel  # pyright: ignore[reportMissingImports]
    from torchebm.samplers import LangevinDynamics  # pyright: ignore[reportMissingImports]

    class Model(BaseModel):
        def __init__(self) -> None:
            super().__init__(device=x.device)
            self.energy = energy

        def forward(self, x: Tensor) -> Tensor:
            return self.energy(x)

    sampler = LangevinDynamics(Model(), step_size=STEP, noise_scale=1.0, device=x.device)

    def run() -> float:
        sampler.sample(x=x, n_steps=steps)
        return steps

    return run


def langevin_variants(target: Target, device: str) -> dict[str, Run]:
    """Return all variants of Langevin steps on one target."""
    # Use the memory layout of `parts.assemble`; a training script keeps the default layout of torch.
    energy = copy.deepcopy(target.energy).to(device)
    plain = copy.deepcopy(energy)
    energy = energy.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    x = torch.randn(target.chains, *target.event, device=device, generator=torch.Generator(device).manual_seed(1))
    looks: dict[str, Any] = {
        "eager": energy_and_grad,
        "compiled": torch.compile(energy_and_grad, fullgraph=True, dynamic=False),
    }
    variants: dict[str, Run] = {}
    for engine in engines(device):
        sampler = SGLD(STEP, 1.0, None)
        variants[f"ours {engine}"] = partial(ours, sampler, energy, x, target.steps, engine)
        if engine in looks:
            variants[f"floor {engine}"] = partial(floor, looks[engine], energy, x, target.steps)
        else:
            variants[f"floor {engine}"] = partial(floor_graph(energy, x), target.steps)
    variants["usual"] = partial(usual_loop, plain, x, target.steps)
    if table.has("torchebm"):
        variants["torchebm"] = torchebm_chains(copy.deepcopy(plain), x, target.steps)
    return variants


def exact_variants(target: Target, kernel: str, device: str) -> dict[str, Run]:
    """Return one exact kernel in our engines and in blackjax, on the mixture."""
    energy, sampler = copy.deepcopy(target.energy).to(device), KERNELS[kernel]
    x = torch.randn(target.chains, *target.event, device=device, generator=torch.Generator(device).manual_seed(1))
    steps = max(1, target.steps // {"mala": 1, "hmc": LEAPFROG, "nuts": LEAPFROG}[kernel])
    fitting = ["eager"] if kernel == "nuts" else engines(device)
    variants: dict[str, Run] = {f"ours {e}": partial(ours, sampler, energy, x, steps, e) for e in fitting}
    if table.has("blackjax") and device == "cpu":
        variants["blackjax"] = blackjax_variant(kernel, x, steps)
    return variants


def blackjax_variant(kernel: str, x: Tensor, steps: int) -> Run:
    import jax  # pyright: ignore[reportMissingImports]
    import jax.numpy as jnp  # pyright: ignore[reportMissingImports]

    from scripts.bench import blackjax_chains

    log_density = blackjax_chains.mixture(MEANS, STDS, WEIGHTS)
    mass = jnp.ones(x.shape[1])
    run = {
        "mala": lambda: blackjax_chains.mala(log_density, 0.3, steps),
        "hmc": lambda: blackjax_chains.hmc(log_density, FLIGHT, mass, LEAPFROG, steps),
        "nuts": lambda: blackjax_chains.nuts(log_density, FLIGHT, mass, steps),
    }[kernel]()
    starts, key = jnp.asarray(x.numpy()), jax.random.key(0)

    def variant() -> float:
        _, gradients = jax.block_until_ready(run(key, starts))
        return float(gradients.mean())

    return variant


def milliseconds(variants: dict[str, Run], repeats: int, device: str) -> dict[str, list[float]]:
    """Return the time per gradient of each variant in each repeat, after two warm-up repeats."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 2):
        for name, run in variants.items():
            began = time.perf_counter()
            gradients = run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            if repeat >= 2:
                times[name].append(1000 * (time.perf_counter() - began) / gradients)
    return times


def ratio(times: dict[str, list[float]], above: str, below: str) -> float | None:
    """Return the median over repeats of the time of `above` over that of `below`; None if one was not run."""
    if above not in times or below not in times:
        return None
    return statistics.median(a / b for a, b in zip(times[above], times[below], strict=True))


def best(times: dict[str, list[float]]) -> str:
    """Return our fastest engine."""
    return min((name for name in times if name.startswith("ours")), key=lambda name: statistics.median(times[name]))


def langevin_row(name: str, times: dict[str, list[float]]) -> dict[str, Any]:
    fastest = best(times)
    return {
        "target": name,
        "ms_a_gradient": {key: statistics.median(values) for key, values in times.items()},
        "best": fastest,
        "over_floor": ratio(times, fastest, fastest.replace("ours", "floor")),
        "usual_over_ours": ratio(times, "usual", fastest),
        "torchebm_over_ours": ratio(times, "torchebm", fastest),
    }


def exact_row(name: str, kernel: str, times: dict[str, list[float]]) -> dict[str, Any]:
    fastest = best(times)
    return {
        "target": name,
        "kernel": kernel,
        "ms_a_gradient": {key: statistics.median(values) for key, values in times.items()},
        "best": fastest,
        "over_blackjax": ratio(times, fastest, "blackjax"),
    }


def bars(langevin: list[dict[str, Any]], exact: list[dict[str, Any]]) -> list[Bar]:
    """Return the bars of the measured targets."""
    promised = []
    for row in langevin:
        name, mixture = row["target"], row["target"].startswith("mixture")
        if name == LARGE:
            continue
        promised += [
            Bar(f"ours / floor, {name}", row["over_floor"], 1.5 if mixture else 1.1, least=False),
            Bar(f"usual loop / ours, {name}", row["usual_over_ours"], 3.0 if mixture else 1.4, least=True),
            Bar(f"torchebm / ours, {name}", row["torchebm_over_ours"], 4.0 if mixture else 1.3, least=True),
        ]
    return promised + [
        Bar(f"ours / blackjax, {row['kernel']}, {row['target']}", row["over_blackjax"], 1.0, least=False)
        for row in exact
    ]


def reasons(promised: list[Bar]) -> list[str]:
    """Return the explanations for bars that do not hold, each only once."""
    missed = [bar.what for bar in promised if bar.held == "no"]
    return [f"{why}\n" for key, why in WHY.items() if any(key in what for what in missed)]


def text(langevin: list[dict[str, Any]], exact: list[dict[str, Any]], device: str, repeats: int) -> list[str]:
    """Return the tables of the page."""
    tools = [f"{who} {engine}" for engine in engines(device) for who in ("ours", "floor")] + ["usual", "torchebm"]
    first = [
        [row["target"]]
        + [table.figure(row["ms_a_gradient"].get(tool)) for tool in tools]
        + [table.figure(row[key]) for key in ("over_floor", "usual_over_ours", "torchebm_over_ours")]
        for row in langevin
    ]
    others = [f"ours {engine}" for engine in engines(device)] + ["blackjax"]
    second = [
        [row["target"], row["kernel"]]
        + [table.figure(row["ms_a_gradient"].get(tool)) for tool in others]
        + [table.figure(row["over_blackjax"])]
        for row in exact
    ]
    return [
        f"Milliseconds per gradient of all chains, medians of {repeats} interleaved repeats. Ratios use our best",
        "engine, and the floor in the same mode: energy, gradient and a draw of noise, without a step.\n",
        *table.lines(["Langevin", *tools, "ours / floor", "usual / ours", "torchebm / ours"], first),
        *table.lines(["exact kernels", "kernel", *others, "ours / blackjax"], second),
        *reasons(bars(langevin, exact)),
    ]


def measured(device: str, repeats: int, quick: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all rows; quick: one short row per table."""
    chosen = targets()
    if quick:
        chosen = [dataclasses.replace(t, steps=10) for t in chosen if t.name in (SMALL, PATCHES)]
    moved = [t for t in chosen if not (quick and t.name == SMALL)]
    langevin = [langevin_row(t.name, milliseconds(langevin_variants(t, device), repeats, device)) for t in moved]
    exact = [
        exact_row(t.name, kernel, milliseconds(exact_variants(t, kernel, device), repeats, device))
        for t in chosen
        if isinstance(t.energy, GaussianMixture)
        for kernel in (["mala"] if quick else KERNELS)
    ]
    return langevin, exact


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="run two short rows with two repeats, as a test")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    options = parser.parse_args()
    table.alone()
    repeats = 2 if options.quick else options.repeats
    torch.manual_seed(0)
    langevin, exact = measured(options.device, repeats, options.quick)
    on = table.machine(options.device) | {"repeats": repeats}
    page = text(langevin, exact, options.device, repeats)
    place = options.out / options.device.replace(":", "-")
    table.write(place, on, page, {"langevin": langevin, "exact": exact}, bars(langevin, exact))


if __name__ == "__main__":
    main()
