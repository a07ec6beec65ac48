"""Chains of discrete states by our kernel, thrml, dwave-samplers and rbms, with a common signature, and their times."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Int8
from torch import Tensor, nn

from ebm_cli.chain.engine import Tally, engine_of
from ebm_cli.energy.rbm import RBM
from ebm_cli.sampler.gibbs import Gibbs
from scripts.bench._spin_graph import SpinGraph


class Chains(Protocol):
    """Chains that continue from call to call."""

    def advance(self, sweeps: int) -> None:
        """Update every site of every chain `sweeps` times."""
        ...

    def states(self) -> Tensor:
        """Return the present states, as our energies take them."""
        ...


# Makes chains whose random numbers come from a seed.
Make = Callable[[int], Chains]


class Ours:
    """Gibbs with an engine of `ebm sample`."""

    def __init__(self, energy: nn.Module, temperature: float, engine: str, x: Tensor, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        sampler = Gibbs(temperature, "systematic")
        self.runner = engine_of(engine, sampler, energy, rng)
        self.state, self.tally = sampler.init(energy, x, rng), Tally.zero(x)

    def advance(self, sweeps: int) -> None:
        for _ in range(sweeps // self.runner.block):
            self.state, self.tally = self.runner.advance(self.state, self.tally, self.runner.block)
        for _ in range(sweeps % self.runner.block):
            self.state, self.tally = self.runner.advance(self.state, self.tally, 1)

    def states(self) -> Tensor:
        return self.state.x


class Thrml:
    """`sample_states` of thrml for an `IsingEBM`, one block per color or layer; jitted, and vmapped over chains."""

    def __init__(self, graph: SpinGraph, x: Tensor, seed: int) -> None:
        import jax  # pyright: ignore[reportMissingImports]
        import jax.numpy as jnp  # pyright: ignore[reportMissingImports]
        from thrml import Block, SpinNode  # pyright: ignore[reportMissingImports]
        from thrml.models import IsingEBM, IsingSamplingProgram  # pyright: ignore[reportMissingImports]

        nodes = [SpinNode() for _ in graph.fields]
        edges = [(nodes[i], nodes[j]) for i, j in graph.pairs]
        fields, couplings = (jnp.asarray(each, dtype=jnp.float32) for each in (graph.fields, graph.couplings))
        model = IsingEBM(nodes, edges, fields, couplings, jnp.array(graph.beta))
        self.program = IsingSamplingProgram(model, [Block([nodes[i] for i in block]) for block in graph.blocks], [])
        self.graph, self.key, self.compiled = graph, jax.random.key(seed), {}
        self.held = [jnp.asarray(graph.to_spins(x)[:, block] > 0) for block in graph.blocks]

    def run(self, sweeps: int) -> Any:
        """Return the compiled function of `sweeps` sweeps."""
        import jax  # pyright: ignore[reportMissingImports]
        from thrml import SamplingSchedule, sample_states  # pyright: ignore[reportMissingImports]

        schedule, blocks = SamplingSchedule(sweeps, 1, 1), self.program.gibbs_spec.free_blocks

        def one(key: Any, state: Any) -> Any:
            return [found[0] for found in sample_states(key, self.program, schedule, state, [], blocks)]

        return self.compiled.setdefault(sweeps, jax.jit(jax.vmap(one)))

    def advance(self, sweeps: int) -> None:
        import jax  # pyright: ignore[reportMissingImports]

        self.key, key = jax.random.split(self.key)
        run = self.compiled.get(sweeps) or self.run(sweeps)
        self.held = jax.block_until_ready(run(jax.random.split(key, len(self.held[0])), self.held))

    def states(self) -> Tensor:
        spins = np.empty((len(self.held[0]), len(self.graph.fields)), np.int8)
        for block, held in zip(self.graph.blocks, self.held, strict=True):
            spins[:, block] = np.where(np.asarray(held), 1, -1)
        return self.graph.from_spins(spins)


class Dwave:
    """`SimulatedAnnealingSampler` of dwave-samplers at one inverse temperature: single sites, in order.

    criterion: Metropolis, its default, or Gibbs.
    """

    def __init__(self, graph: SpinGraph, criterion: str, x: Tensor, seed: int) -> None:
        import dimod  # pyright: ignore[reportMissingImports]
        from dwave.samplers import SimulatedAnnealingSampler  # pyright: ignore[reportMissingImports]

        first, second = graph.pairs.T
        # dimod's energy has the opposite sign.
        terms = -graph.fields, (first, second, -graph.couplings), 0.0
        self.model = dimod.BinaryQuadraticModel.from_numpy_vectors(*terms, dimod.SPIN)
        self.sampler, self.graph, self.criterion = SimulatedAnnealingSampler(), graph, criterion
        self.rng, self.spins, self.labels = np.random.default_rng(seed), graph.to_spins(x), list(range(len(terms[0])))

    def advance(self, sweeps: int) -> None:
        found = self.sampler.sample(
            self.model,
            beta_schedule_type="custom",
            beta_schedule=[self.graph.beta],
            num_sweeps_per_beta=sweeps,
            initial_states=(self.spins, self.labels),
            proposal_acceptance_criteria=self.criterion,
            seed=int(self.rng.integers(2**31)),
        )
        self.spins: Int8[np.ndarray, "n sites"] = np.ascontiguousarray(found.record.sample)

    def states(self) -> Tensor:
        return self.graph.from_spins(self.spins)


class Rbms:
    """`sample_state` of the Bernoulli–Bernoulli machine of rbms at β = 1."""

    def __init__(self, energy: RBM, x: Tensor, seed: int) -> None:
        from rbms.bernoulli_bernoulli.classes import BBRBM  # pyright: ignore[reportMissingImports]

        torch.manual_seed(seed)
        W = energy.W.detach()
        a, b = energy.visible_logits(W.new_zeros(1, W.shape[1])), energy.hidden_logits(W.new_zeros(1, W.shape[0]))
        self.model = BBRBM(W, a.detach().flatten(), b.detach().flatten())
        self.chains, self.event = self.model.init_chains(len(x), start_v=x.flatten(1)), energy.event

    def advance(self, sweeps: int) -> None:
        self.chains = self.model.sample_state(n_steps=sweeps, chains=self.chains)

    def states(self) -> Tensor:
        return self.chains["visible"].view(-1, *self.event)


def spent() -> float:
    """Return the processor seconds of this process and of its finished children, such as a C++ compiler."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def started(make: Make, seed: int, sweeps: int) -> tuple[Chains, float]:
    """Return chains after `sweeps` sweeps, and the processor seconds of set-up, compilation and these sweeps."""
    began = spent()
    chains = make(seed)
    chains.advance(sweeps)
    return chains, spent() - began


def seconds(chains: dict[str, Chains], sweeps: int, repeats: int) -> dict[str, float]:
    """Return the median processor seconds of `sweeps` sweeps of each tool, over repeats in which tools take turns."""
    found: dict[str, list[float]] = {name: [] for name in chains}
    for _ in range(repeats):
        for name, each in chains.items():
            began = time.process_time()
            each.advance(sweeps)
            found[name].append(time.process_time() - began)
    return {name: statistics.median(values) for name, values in found.items()}
