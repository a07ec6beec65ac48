"""Access of the claims to the project: its command, its components with YAML defaults, and its chains."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from ebm_cli.assembly.build import make
from ebm_cli.chain.loop import run_chains
from ebm_cli.cli import main
from ebm_cli.run.terminal import WorkFailed
from ebm_cli.sampler import Sampler

CONF = Path(__file__).parents[2] / "conf"


def ebm(*words: str) -> None:
    """Run `ebm WORDS` in this process without its output; raise WorkFailed with its last line if it fails."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = main(list(words))
    if code in (130, 143):
        raise KeyboardInterrupt
    if code:
        lines = said.getvalue().strip().splitlines() or ["no output"]
        raise WorkFailed(f"ebm {words[0]} ended with {code}: {lines[-1]}")


def part(group: str, name: str, changes: dict[str, Any] | None = None, **offered: Any) -> Any:
    """Build the component of conf/GROUP/NAME.yaml with some values changed."""
    node = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    if group == "start":
        # Their states are continuous, as without an energy.
        offered = {"energy": None} | offered
    return make(node | (changes or {}), **offered)


def tempering(temperatures: list[float], step_sizes: list[float], temperature: float = 1.0) -> Sampler:
    """Return replica exchange between multiples of a temperature by MALA with these step sizes η, one for each.

    A leapfrog step of √(2ηTτ) at the density of temperature Tτ is MALA's step η.
    """
    node = yaml.safe_load((CONF / "sampler" / "tempering.yaml").read_text())
    steps = [(2 * η * temperature * τ) ** 0.5 for η, τ in zip(step_sizes, temperatures, strict=True)]
    kernel = node["kernel"] | {"step_size": steps[0]}
    changes = {"temperature": temperature, "kernel": kernel, "step_factors": [step / steps[0] for step in steps]}
    return make(node | changes, path=part("path", "hot", {"temperatures": temperatures}))


def seeded(seed: int) -> torch.Generator:
    """Return a seeded generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def moved(sampler: Sampler, energy: nn.Module, x: Tensor, steps: int, rng: torch.Generator) -> Tensor:
    """Return the states of independent chains from x after a number of steps, one row per chain."""
    return run_chains(sampler, energy, x, steps, rng, thin=None).last.x.detach()


def descended(
    optimizer: torch.optim.Optimizer, steps: int, loss: Callable[[], Tensor], seen: Callable[[], Any] = lambda: None
) -> np.ndarray:
    """Minimize the loss with a cosine learning rate; return the value of `seen` after each step."""
    schedule = CosineAnnealingLR(optimizer, steps)
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        schedule.step()
        path.append(seen())
    return np.array(path)


def average(values: Tensor | np.ndarray | list[float]) -> tuple[float, float]:
    """Return the mean of independent values and its standard error."""
    each = np.asarray(values.detach() if isinstance(values, Tensor) else values, dtype=np.float64).ravel()
    return float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)


def variance(x: Tensor, mean: float = 0.0) -> tuple[float, float]:
    """Return the variance of independent values about a known mean and its standard error."""
    return average((x.double() - mean).square())
