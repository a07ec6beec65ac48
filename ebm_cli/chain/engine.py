"""How steps are executed: one by one, compiled in blocks, or replayed as a CUDA graph."""

import shutil
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.check import InputError, one_of
from ebm_cli.energy import AnalyticGradient, offers
from ebm_cli.sampler import CompilableKernel, Info, Sampler

ENGINES = ("eager", "compiled", "graph")
# Compiling takes as long as some ten thousands of small steps.
WORTH_COMPILING = 100_000
# Steps of an energy with an analytic gradient that become one compiled function: calling it costs more than a step.
BLOCK = 10
# One graph a sampler and shape; past torch's own bound of 8 a sweep in one process would fail.
MOST_GRAPHS = 256
WARM_UP = 3


class Tally(NamedTuple):
    """Sums over the steps of a run, one number per chain.

    accepted: sum of acceptances.
    diverging: proposals without finite energy.
    first_nonfinite_step: the step at which a chain was first not finite; −1 for never.
    gradients: evaluations.
    step: steps made.
    """

    accepted: Float[Tensor, " n"]
    diverging: Int[Tensor, " n"]
    first_nonfinite_step: Int[Tensor, " n"]
    gradients: Float[Tensor, " n"]
    step: Int[Tensor, ""]

    @staticmethod
    def zero(x: Tensor) -> "Tally":
        """Return zeroed counters for chains at x."""
        whole = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return Tally(x.new_zeros(len(x)), whole, whole - 1, x.new_zeros(len(x)), whole.sum())


@runtime_checkable
class Engine(Protocol):
    """Makes steps. block: how many at a time at most."""

    block: int

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        """`steps` ≤ block transitions on from `state`."""
        ...


def counted(state: Any, info: Info, tally: Tally) -> Tally:
    """The tally after one more step."""
    step = tally.step + 1
    breaks = (tally.first_nonfinite_step < 0) & ~state.energy.isfinite()
    return Tally(
        accepted=tally.accepted + info.accept,
        diverging=tally.diverging + info.diverging,
        first_nonfinite_step=torch.where(breaks, step, tally.first_nonfinite_step),
        gradients=tally.gradients + info.gradients,
        step=step,
    )


class Eager:
    """Operation by operation: no preparation, any kernel, any energy."""

    block = 1

    def __init__(self, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> None:
        self.sampler, self.energy, self.rng = sampler, energy, rng

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        for _ in range(steps):
            state, info = self.sampler.step(self.energy, state, self.rng)
            tally = counted(state, info, tally)
        return state, tally


def updates(
    kernel: CompilableKernel, energy: nn.Module, state: Any, tally: Tally, noise: list[tuple[Tensor, ...]]
) -> tuple[Any, Tally]:
    """A step for each member of `noise`: what is compiled."""
    for each in noise:
        state, info = kernel.update(energy, state, each)
        tally = counted(state, info, tally)
    return state, tally


@cache
def compiled_updates() -> Callable[..., tuple[Any, Tally]]:
    """`updates`, compiled anew for each sampler, energy and shape that it meets."""
    return torch.compile(updates, fullgraph=True, dynamic=False)


class Compiled:
    """Energy, gradient and update fused by torch.compile; noise is drawn before, as eager steps would draw it.

    Rounding may differ from eager steps in the last digit.
    """

    def __init__(self, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> None:
        assert isinstance(sampler, CompilableKernel)
        torch._dynamo.config.recompile_limit = MOST_GRAPHS
        self.sampler, self.energy, self.rng = sampler, energy, rng
        self.block = max(1, BLOCK // sampler.passes) if offers(innermost(energy), AnalyticGradient) else 1

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        # Importing these takes two seconds, which eager runs need not wait for.
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        for count in [self.block] if steps == self.block else [1] * steps:
            noise = [self.sampler.noise(state, self.rng) for _ in range(count)]
            try:
                state, tally = compiled_updates()(self.sampler, self.energy, state, tally, noise)
            except (TorchDynamoException, InductorError) as error:
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                raise InputError(f"engine=compiled fails on this energy ({reason}); use engine=eager") from None
        return state, tally


class Graph:
    """One step captured as a CUDA graph and replayed: no launch costs. Draws are those of eager steps.

    The generator is registered with the graph, so that each replay goes on in its stream.
    """

    block = 1

    def __init__(self, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> None:
        self.eager = Eager(sampler, energy, rng)
        self.rng = rng
        self.graph: torch.cuda.CUDAGraph | None = None
        self.held: list[Tensor] = []

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        if self.graph is None:
            self._capture(state, tally)
        for held, now in zip(self.held, tensors((state, tally)), strict=True):
            if held is not now:
                held.copy_(now)
        assert self.graph is not None
        for _ in range(steps):
            self.graph.replay()
        return rebuilt((state, tally), iter(self.held))

    def _capture(self, state: Any, tally: Tally) -> None:
        """Record one step that reads and writes the held tensors; leave the generator as it was."""
        self.held = [part.clone() for part in tensors((state, tally))]
        before = self.rng.get_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self.eager.advance(*rebuilt((state, tally), iter(self.held)), steps=1)
        torch.cuda.current_stream().wait_stream(aside)
        self.rng.set_state(before)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.rng)
        with torch.cuda.graph(self.graph):
            done = self.eager.advance(*rebuilt((state, tally), iter(self.held)), steps=1)
            for held, new in zip(self.held, tensors(done), strict=True):
                held.copy_(new)
        self.rng.set_state(before)


def tensors(nested: Any) -> list[Tensor]:
    """The tensors of nested tuples, in order."""
    return [nested] if isinstance(nested, Tensor) else [part for each in nested for part in tensors(each)]


def rebuilt(nested: Any, parts: Any) -> Any:
    """The same nested tuples with other tensors."""
    if isinstance(nested, Tensor):
        return next(parts)
    members = [rebuilt(each, parts) for each in nested]
    return type(nested)(*members) if hasattr(nested, "_fields") else tuple(members)


def innermost(energy: nn.Module) -> nn.Module:
    """The energy within one that only changes its units."""
    inner = getattr(energy, "energy", None)
    return innermost(inner) if isinstance(inner, nn.Module) else energy


def engine_of(name: str, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> Engine:
    """The engine called `name`."""
    return {"eager": Eager, "compiled": Compiled, "graph": Graph}[name](sampler, energy, rng)


def choose(name: str, device: str, fixed: bool, steps: int) -> str:
    """What engine=`name` means: auto compiles runs of many steps on a CPU with a C++ compiler; else eager.

    fixed: whether the kernel's step is fixed arithmetic. steps: kernel steps of the whole run. Raises InputError for an
    engine that cannot be.
    """
    one_of("engine", name, ["auto", *ENGINES])
    if name == "auto":
        return "compiled" if fixed and device == "cpu" and has_compiler() and steps >= WORTH_COMPILING else "eager"
    if name != "eager" and not fixed:
        raise InputError(f"engine={name} needs a kernel whose steps are fixed arithmetic, not this one; use eager")
    if name == "graph" and not device.startswith("cuda"):
        raise InputError(f"engine=graph needs a CUDA device, got device={device}; use eager or compiled")
    if name == "compiled" and device == "cpu" and not has_compiler():
        raise InputError("engine=compiled needs a C++ compiler (g++ or clang++) on the path; use engine=eager")
    return name


def has_compiler() -> bool:
    """Whether a C++ compiler is on the path."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))
