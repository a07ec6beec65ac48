"""Lattices of spins at the critical temperature: our kernel, thrml and dwave-samplers."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.energy.ising import Ising
from ebm_cli.sampler.swendsen_wang import SwendsenWang
from scripts.bench import table
from scripts.bench._discrete_tools import Chains, Dwave, Make, Ours, Thrml, seconds, started
from scripts.bench._spin_graph import of_lattice
from scripts.bench.discrete_kernels import ess
from scripts.ising_critical import CRITICAL, exact_energy

CHAINS, EQUILIBRATION, SWEEPS, THIN = 64, 100, 100, 10


def equilibrium(energy: Ising) -> Float[Tensor, "n *event"]:
    """Return states after steps of Swendsen and Wang's sampler from uniform spins."""
    rng = torch.Generator().manual_seed(0)
    sampler = SwendsenWang(CRITICAL)
    state = sampler.init(energy, energy.sites.uniform(CHAINS, rng, torch.float32), rng)
    for _ in range(EQUILIBRATION):
        state, _ = sampler.step(energy, state, rng)
    return state.x


def tools(energy: Ising, x: Float[Tensor, "n *event"]) -> dict[str, Make]:
    """Return the tools that are installed."""
    graph = of_lattice(energy, CRITICAL)
    found: dict[str, Make] = {
        "ours, compiled": lambda seed: Ours(energy, CRITICAL, "compiled", x, seed),
        "ours, eager": lambda seed: Ours(energy, CRITICAL, "eager", x, seed),
    }
    if table.has("thrml"):
        found["thrml"] = lambda seed: Thrml(graph, x, seed)
    if table.has("dwave-samplers"):
        found["dwave-samplers, Metropolis"] = lambda seed: Dwave(graph, "Metropolis", x, seed)
        found["dwave-samplers, Gibbs"] = lambda seed: Dwave(graph, "Gibbs", x, seed)
    return found


def energies(chains: Chains, energy: Ising, draws: int) -> Float[np.ndarray, "draw chain"]:
    """Return the energy per site of every chain every THIN sweeps."""
    sites, rows = energy.sites.count, []
    for _ in range(draws):
        chains.advance(THIN)
        rows.append(energy(chains.states()) / sites)
    return torch.stack(rows).double().numpy()


def rows(size: int, repeats: int, draws: int) -> list[dict[str, Any]]:
    """Return one row per tool. se: standard error of the mean energy over chains."""
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (size, size)).requires_grad_(False)
    makers = tools(energy, equilibrium(energy))
    made = {name: started(make, seed, SWEEPS) for seed, (name, make) in enumerate(makers.items())}
    times, found = seconds({name: each for name, (each, _) in made.items()}, SWEEPS, repeats), []
    exact = exact_energy(size, CRITICAL)
    for name, (chains, set_up) in made.items():
        e = energies(chains, energy, draws)
        means, sweep = e.mean(0), times[name] / SWEEPS
        se = float(means.std(ddof=1)) / CHAINS**0.5
        effective = float(ess(e[..., None])[0])
        found.append(
            {
                "size": size,
                "tool": name,
                "millions": CHAINS * size**2 / sweep / 1e6,
                "set_up": set_up,
                "energy": float(means.mean()),
                "se": se,
                "exact": exact,
                "distance": (float(means.mean()) - exact) / se,
                "ess": effective,
                "ess_per_second": effective / (draws * THIN * sweep),
            }
        )
        print(found[-1], flush=True)
    return found
