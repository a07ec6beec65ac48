"""What the contract tests know of each kernel beyond its interface: its own law on a quadratic, if it is biased."""

import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.sampler import PhaseState, Sampler, State
from tests.contract import build


def of_its_test(name: str, what: str, otherwise: Any) -> Any:
    """What a kernel's own test file says of it."""
    return getattr(importlib.import_module(f"tests.sampler.test_{name}"), what, otherwise)


def moderate(name: str, changes: dict | None = None) -> Sampler:
    """The kernel with a step at which it takes some proposals on a unit well and refuses others: its MODERATE."""
    return build("sampler", name, {"step_size": 0.6} | of_its_test(name, "MODERATE", {}) | (changes or {}))


def mixture() -> GaussianMixture:
    """Overlapping, of unequal widths and weights: neither symmetric nor one well."""
    return GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.5, 0.9], [0.3, 0.7])


def drawn(name: str, sampler: Sampler, energy: nn.Module, a: float, n: int, rng: torch.Generator) -> tuple:
    """A state of n chains of one coordinate drawn exactly from the kernel's own law on E = a/2·x², its `law`."""
    root = torch.from_numpy(np.linalg.cholesky(of_its_test(name, "law", None)(sampler, a)))
    z = (root @ torch.randn(len(root), n, generator=rng, dtype=torch.float64))[..., None]
    e, grad = energy_and_grad(energy, z[0])
    return State(z[0], e, grad) if len(root) == 1 else PhaseState(z[0], z[1], e, grad)


def directions(state: tuple) -> dict[str, Tensor]:
    """One number a chain along several directions of (x, v): a law is known by its projections."""
    x = state.x.flatten()
    if not hasattr(state, "v"):
        return {"x": x, "|x|": x.abs()}
    v = state.v.flatten()
    return {"x": x, "v": v, "x+v": x + v, "x-v": x - v, "|x|": x.abs(), "|v|": v.abs()}
