"""Engines execute steps: separately, compiled in blocks, or as a replayed CUDA graph."""

import shutil
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.check import InputError, one_of
from ebm_cli.energy._capabilities import AnalyticGradient, offers
from ebm_cli.sampler import CompilableKernel, Info, Sampler, compilable_kernel

ENGINES = ("eager", "compiled", "graph")
# Steps of a run from which compilation pays off. It takes as long as tens of thousands of small steps.
MIN_STEPS_TO_COMPILE = 100_000
# Steps per compiled function for energies with an analytic gradient. A call of the function costs more than a step.
BLOCK = 10
# A sampler and shape need one graph each. With torch's own bound of 8, a sweep in one process would fail.
MAX_GRAPHS = 256
N_WARM_UP_STEPS = 3


class Tally(NamedTuple):
    """Sums over the steps of a run, one number per chain.

    accepted: sum of acceptances.
    diverging: number of proposals without finite energy.
    first_nonfinite_step: the step at which a chain was first not finite; −1 for never.
    gradients: number of gradient evaluations.
    step: number of steps made.
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


def count_step(state: Any, info: Info, tally: Tally) -> Tally:
    """Return the tally after one more step."""
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
    """Executes each operation separately. It needs no preparation and works for any kernel and energy.

    block: maximum number of steps per call of `advance`.
    """

    block = 1

    def __init__(self, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> None:
        self.sampler, self.energy, self.rng = sampler, energy, rng

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        """Make `steps` transitions (≤ block) from `state`."""
        for _ in range(steps):
            state, info = self.sampler.step(self.energy, state, self.rng)
            tally = count_step(state, info, tally)
        return state, tally


def make_updates(
    kernel: CompilableKernel, energy: nn.Module, state: Any, tally: Tally, noise: list[tuple[Tensor, ...]]
) -> tuple[Any, Tally]:
    """Make one step with each member of `noise`. This function is compiled."""
    for each in noise:
        state, info = kernel.update(energy, state, each)
        tally = count_step(state, info, tally)
    return state, tally


@cache
def compiled_updates() -> Callable[..., tuple[Any, Tally]]:
    """Return `make_updates` in a form that torch compiles once for each sampler, energy and shape."""
    return torch.compile(make_updates, fullgraph=True, dynamic=False)


class Compiled:
    """Fuses energy, gradient and update by torch.compile. Noise is drawn before, in the order of eager steps.

    Rounding may differ from eager steps in the last digit.
    """

    def __init__(self, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> None:
        kernel = compilable_kernel(sampler, energy)
        assert kernel is not None
        torch._dynamo.config.recompile_limit = MAX_GRAPHS
        self.sampler, self.energy, self.rng = kernel, energy, rng
        self.block = max(1, BLOCK // kernel.passes) if offers(innermost(energy), AnalyticGradient) else 1

    def advance(self, state: Any, tally: Tally, steps: int) -> tuple[Any, Tally]:
        # These imports take two seconds, so they are not made for eager runs.
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
    """Captures one step as a CUDA graph and replays it without launch costs. Draws are the same as for eager steps.

    The generator is registered with the graph. Therefore each replay continues its stream.
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
        return rebuild((state, tally), iter(self.held))

    def _capture(self, state: Any, tally: Tally) -> None:
        """Record one step that reads and writes the held tensors; restore the generator afterwards."""
        self.held = [part.clone() for part in tensors((state, tally))]
        before = self.rng.get_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(N_WARM_UP_STEPS):
                self.eager.advance(*rebuild((state, tally), iter(self.held)), steps=1)
        torch.cuda.current_stream().wait_stream(aside)
        self.rng.set_state(before)
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(self.rng)
        with torch.cuda.graph(self.graph):
            done = self.eager.advance(*rebuild((state, tally), iter(self.held)), steps=1)
            for held, new in zip(self.held, tensors(done), strict=True):
                held.copy_(new)
        self.rng.set_state(before)


def tensors(nested: Any) -> list[Tensor]:
    """Return the tensors of nested tuples, in order."""
    return [nested] if isinstance(nested, Tensor) else [part for each in nested for part in tensors(each)]


def rebuild(nested: Any, parts: Any) -> Any:
    """Return nested tuples of the same types with other tensors."""
    if isinstance(nested, Tensor):
        return next(parts)
    members = [rebuild(each, parts) for each in nested]
    return type(nested)(*members) if hasattr(nested, "_fields") else tuple(members)


def innermost(energy: nn.Module) -> nn.Module:
    """Return the energy inside of wrappers that only change its units."""
    inner = getattr(energy, "energy", None)
    return innermost(inner) if isinstance(inner, nn.Module) else energy


def engine_of(name: str, sampler: Sampler, energy: nn.Module, rng: torch.Generator) -> Eager | Compiled | Graph:
    """Return the engine with this name."""
    return {"eager": Eager, "compiled": Compiled, "graph": Graph}[name](sampler, energy, rng)


def resolve_engine(name: str, device: str, fixed: bool, steps: int) -> str:
    """Return the engine for engine=`name`: for auto, compiled for many steps on a CPU with a C++ compiler, else eager.

    fixed: True if the kernel's step is fixed arithmetic.
    steps: number of kernel steps of the whole run.
    Raises InputError for an engine that cannot run here.
    """
    one_of("engine", name, ["auto", *ENGINES])
    if name == "auto":
        return "compiled" if fixed and device == "cpu" and has_compiler() and steps >= MIN_STEPS_TO_COMPILE else "eager"
    if name != "eager" and not fixed:
        raise InputError(f"engine={name} needs a kernel whose steps are fixed arithmetic, not this one; use eager")
    if name == "graph" and not device.startswith("cuda"):
        raise InputError(f"engine=graph needs a CUDA device, got device={device}; use eager or compiled")
    if name == "compiled" and device == "cpu" and not has_compiler():
        raise InputError("engine=compiled needs a C++ compiler (g++ or clang++) on the path; use engine=eager")
    return name


def has_compiler() -> bool:
    """Return True if a C++ compiler is on the path."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))
