"""A trained restricted Boltzmann machine: our kernel, rbms, thrml and dwave-samplers."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from ebm_cli.energy.rbm import RBM
from scripts.bench import table
from scripts.bench._discrete_tools import Dwave, Make, Ours, Rbms, Thrml, seconds, started
from scripts.bench._spin_graph import of_machine

SWEEPS, OURS = 10, "ours"


def tools(energy: RBM, x: Float[Tensor, "n *event"]) -> dict[str, Make]:
    """Return the tools that are installed. Each draws all hidden units, then all visible units."""
    graph = of_machine(energy)
    found: dict[str, Make] = {OURS: lambda seed: Ours(energy, 1.0, "eager", x, seed)}
    if table.has("rbms"):
        found["rbms"] = lambda seed: Rbms(energy, x, seed)
    if table.has("thrml"):
        found["thrml"] = lambda seed: Thrml(graph, x, seed)
    if table.has("dwave-samplers"):
        found["dwave-samplers, Gibbs"] = lambda seed: Dwave(graph, "Gibbs", x, seed)
    return found


def rows(energy: RBM, x: Float[Tensor, "n *event"], repeats: int) -> list[dict[str, Any]]:
    """Return one row per tool. se: standard error of the mean of E minus ours, over chains with the same start."""
    makers = tools(energy, x)
    made, ours, checks = {}, energy(x), {}
    for seed, (name, make) in enumerate(makers.items()):
        chains, set_up = started(make, seed, SWEEPS)
        e, made[name] = energy(chains.states()).double(), chains
        ours = e if name == OURS else ours
        difference = e - ours
        se = float(difference.std()) / len(x) ** 0.5
        distance = None if name == OURS else float(difference.mean()) / se
        checks[name] = {"set_up": set_up, "energy": float(e.mean()), "se": se, "distance": distance}
    times = seconds(made, SWEEPS, repeats)
    found = [
        {"chains": len(x), "tool": name, "sweeps_per_second": SWEEPS / times[name], **checks[name]} for name in makers
    ]
    print(*found, sep="\n", flush=True)
    return found
