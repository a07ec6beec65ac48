"""Langevin steps of this package against the usual training-script loop, as ratios in one process.

    make bench            # or: python scripts/bench/chains.py [--device cuda] [--repeats 15]

Both run SGLD on the same energy from the same start. They are timed in turn, so that a machine whose
speed drifts slows both, and the median over repeats is shown. Writes scripts/bench/DEVICE.md and .json.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ebm_cli.chains import run_chains
from ebm_cli.energy.conv import Conv
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.mlp import MLP
from ebm_cli.sampler.sgld import SGLD

STEP = 0.01


def usual_loop(energy: nn.Module, x: Tensor, steps: int) -> Tensor:
    """The loop of most training scripts: backward through everything, parameters included."""
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        energy(x).sum().backward()
        assert x.grad is not None
        x = x - STEP * x.grad + (2 * STEP) ** 0.5 * torch.randn_like(x)
    return x.detach()


def ours(energy: nn.Module, x: Tensor, steps: int) -> Tensor:
    rng = torch.Generator(x.device).manual_seed(0)
    return run_chains(SGLD(STEP, 1.0), energy, x, steps, rng, thin=None).last.x


def targets() -> dict[str, tuple[nn.Module, tuple[int, ...], int, int]]:
    """Energy, event, chains, steps of each measurement."""
    mixture = GaussianMixture([[-2.0, 0.0], [2.0, 0.0]], [0.7, 0.7], [0.5, 0.5])
    return {
        "mixture, 2-D, 1,000 chains": (mixture, (2,), 1000, 200),
        "mixture, 2-D, 100,000 chains": (mixture, (2,), 100_000, 5),
        "MLP 2-128-128-1, 1,000 chains": (MLP(128, 2, 0, 1.0, 1.0, 0, None, (2,), None), (2,), 1000, 40),
        "conv, 64 of 1×8×8": (Conv(32, 2, 1.0, 0, None, (1, 8, 8), None), (1, 8, 8), 64, 20),
        "conv, 64 of 1×28×28": (Conv(32, 2, 1.0, 0, None, (1, 28, 28), None), (1, 28, 28), 64, 5),
    }


def seconds(run: Callable[[], Tensor], device: str) -> float:
    began = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, (energy, event, chains, steps) in targets().items():
        energy = energy.to(options.device)
        x = torch.randn(chains, *event, device=options.device)
        loops = {"ours": ours, "usual": usual_loop}
        times: dict[str, list[float]] = {key: [] for key in loops}
        for repeat in range(options.repeats + 2):
            for key, loop in loops.items():
                # Ours begins with the gradient at the start, which the first step then has already.
                gradients = steps + 1 if key == "ours" else steps
                took = seconds(partial(loop, energy, x, steps), options.device) / gradients
                if repeat >= 2:
                    times[key].append(took)
        ratio = statistics.median(u / o for o, u in zip(times["ours"], times["usual"], strict=True))
        ours_ms = 1000 * statistics.median(times["ours"])
        rows.append({"target": name, "ours_ms_a_gradient": ours_ms, "usual_over_ours": ratio})
        print(f"{name:32} ours {ours_ms:8.3f} ms a gradient   usual/ours {ratio:.2f}")
    machine = (
        torch.cuda.get_device_name()
        if options.device.startswith("cuda")
        else platform.processor() or platform.machine()
    )
    head = f"{machine}, torch {torch.__version__}, 1 thread, median of {options.repeats} interleaved repeats"
    table = [f"{head}\n", "| target | ours, ms a gradient | usual loop / ours |", "|---|---|---|"]
    table += [f"| {r['target']} | {r['ours_ms_a_gradient']:.3f} | {r['usual_over_ours']:.2f} |" for r in rows]
    place = Path(__file__).parent / options.device.replace(":", "-")
    place.with_suffix(".md").write_text("\n".join(table) + "\n")
    place.with_suffix(".json").write_text(json.dumps({"machine": head, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
