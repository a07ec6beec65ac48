"""Engines: compiled steps make the same chains as eager steps, and an unusable engine is refused by name."""

import subprocess
import sys

import pytest

from ebm_cli.chain import engine
from ebm_cli.chain.engine import resolve_engine
from ebm_cli.check import InputError
from ebm_cli.sampler import CompilableKernel
from tests.contract import PACKAGE, build, samplers

needs_compiler = pytest.mark.skipif(not engine.has_compiler(), reason="needs a C++ compiler")


CODE = """
import sys, torch
from torch import nn
from ebm_cli.chain.loop import run_chains
from tests.contract import PACKAGE, build, samplers

class Unreadable(nn.Module):
    def forward(self, x):
        return x.square().sum(1) * (2.0 if float(x.detach().sum()) > 0 else 1.0)

name, changes = sys.argv[1], eval(sys.argv[3])
energy = build("energy", sys.argv[2], event=(2,))
x = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
eager, compiled = (
    run_chains(build("sampler", name, changes), energy, x, 12, torch.Generator().manual_seed(0), 3, 4, engine=which)
    for which in ("eager", "compiled")
)
for part in ("x", "energy", "accept", "gradients"):
    torch.testing.assert_close(getattr(compiled, part), getattr(eager, part), rtol=1e-4, atol=1e-5)
assert torch.equal(compiled.first_nonfinite_step, eager.first_nonfinite_step) and eager.x.std() > 0.1
print("agree")
if "unreadable" in sys.argv:
    run_chains(build("sampler", name), Unreadable(), x, 12, torch.Generator().manual_seed(0), 3, 4, engine="compiled")
"""


def compare(name: str, energy: str, *more: str) -> subprocess.CompletedProcess:
    """Chains of both engines in a process without the type checks that tests put into every function."""
    changes = {"hmc": {"leapfrog_steps": 2}, "tempering": {"replicas": 2}}.get(name, {})
    words = [sys.executable, "-c", CODE, name, energy, repr(changes), *more]
    return subprocess.run(words, capture_output=True, text=True, cwd=PACKAGE.parent)


@needs_compiler
def test_compiled_steps_make_the_draws_of_eager_ones_and_an_energy_that_cannot_be_compiled_is_named() -> None:
    done = compare("mala", "double_well", "unreadable")
    assert done.stdout.strip() == "agree", done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "InputError: engine=compiled fails on this energy" in last and last.endswith("use engine=eager")


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "energy"),
    [
        ("sgld", "gaussian_mixture"),
        *((name, "mlp") for name in samplers() if isinstance(build("sampler", name), CompilableKernel)),
    ],
)
def test_compiled_steps_of_every_kernel_make_the_draws_of_eager_ones(name: str, energy: str) -> None:
    done = compare(name, energy)
    assert done.stdout.strip() == "agree", done.stderr


SPINS = """
import torch
from ebm_cli.chain.loop import run_chains
from ebm_cli.energy.ising import Ising
from ebm_cli.sampler.gibbs import Gibbs

energy, sampler = Ising(1.0, 0.1, "lattice", "spin", False, (6, 4)), Gibbs(2.3, "systematic")
x = energy.sites.uniform(20, torch.Generator().manual_seed(1), torch.float32)
eager, compiled = (
    run_chains(sampler, energy, x, 30, torch.Generator().manual_seed(0), 3, 4, engine=which)
    for which in ("eager", "compiled")
)
assert torch.equal(compiled.x, eager.x) and eager.x.std() > 0.1
torch.testing.assert_close(compiled.energy, energy(eager.x.flatten(0, 1)).view(eager.energy.shape))
print("equal")
"""


@needs_compiler
@pytest.mark.slow
def test_compiled_sweeps_of_a_lattice_make_exactly_the_states_of_eager_ones() -> None:
    done = subprocess.run([sys.executable, "-c", SPINS], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "equal", done.stderr


def test_auto_compiles_long_runs_of_fixed_steps_where_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "has_compiler", lambda: True)
    assert resolve_engine("auto", "cpu", True, 1_000_000) == "compiled"
    assert resolve_engine("auto", "cpu", True, 1000) == "eager"
    assert resolve_engine("auto", "cpu", False, 1_000_000) == "eager"
    monkeypatch.setattr(engine, "has_compiler", lambda: False)
    assert resolve_engine("auto", "cpu", True, 1_000_000) == "eager"


@pytest.mark.parametrize(
    ("name", "fixed", "message"),
    [
        ("graph", True, "engine=graph needs a CUDA device, got device=cpu"),
        ("compiled", False, "engine=compiled needs a kernel whose steps are fixed"),
        ("compiled", True, r"engine=compiled needs a C\+\+ compiler"),
        ("compield", True, "engine must be one of auto, eager, compiled, graph, got 'compield'; did you mean"),
    ],
)
def test_an_engine_that_cannot_be_is_named(
    name: str, fixed: bool, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "has_compiler", lambda: False)
    with pytest.raises(InputError, match=f"^{message}"):
        resolve_engine(name, "cpu", fixed, 1)
