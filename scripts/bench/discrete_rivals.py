"""Gibbs sampling of lattices and of a restricted Boltzmann machine, compared with thrml, dwave-samplers and rbms.

    python -m scripts.bench.discrete_rivals [--quick]      # ten minutes on one thread

Lattices: 64 chains of 16 × 16 to 64 × 64 spins at the critical temperature, from states of equilibrium. The mean
energy per site, of 500 draws every 10 sweeps, is compared with Kaufman's exact value for the finite lattice (1949), in
standard errors over the chains. Machine: 500 hidden units on mnist_binary, trained here for 200 steps; 64 and 512
chains from training rows. The mean energy after 10 sweeps is compared with ours, in standard errors of the difference.

Each tool is used as its documentation shows: thrml by `sample_states` with a block per color or layer, jitted and
vmapped over chains; dwave-samplers by `SimulatedAnnealingSampler` at one inverse temperature, which updates single
sites in order; rbms by `sample_state`. Tools take turns in one process, and times are of the processor, because others
may share its cores. Tools that are not installed are left out; `pip install '.[bench]'` installs them. Writes
scripts/bench/discrete_rivals.md and .json.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import cast

import torch

from ebm_cli import load_run
from ebm_cli.cli import main as ebm
from ebm_cli.energy.rbm import RBM
from scripts.bench import _discrete_page as page
from scripts.bench import _lattice_rivals as lattice
from scripts.bench import _machine_rivals as machine
from scripts.bench import table

TOOLS = ("thrml", "jax", "dwave-samplers", "rbms")
SIZES, CHAINS, STEPS = (16, 32, 64), (64, 512), 200


def trained(scratch: Path, quick: bool) -> tuple[RBM, torch.Tensor]:
    """Return a trained machine and its training rows."""
    hidden, steps = (20, 5) if quick else (500, STEPS)
    words = ["energy=rbm", f"energy.hidden={hidden}", "data=mnist_binary", f"trainer.steps={steps}"]
    if ebm(["train", *words, "seed=0", "threads=1", f"out={scratch / 'run'}"]) != 0:
        raise SystemExit("training failed")
    run = load_run(scratch / "run")
    assert run.data is not None
    return cast(RBM, run.energy.eval().requires_grad_(False)), run.data.split("train").x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--draws", type=int, default=500, help="draws of each chain of a lattice")
    parser.add_argument("--quick", action="store_true", help="run small models with two repeats, as a test")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    options = parser.parse_args()
    table.alone()
    repeats, draws = (2, 8) if options.quick else (options.repeats, options.draws)
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        # Compilation is timed, so that it must not find the files of an earlier run.
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{scratch}/inductor"
        spins = [row for size in ((8,) if options.quick else SIZES) for row in lattice.rows(size, repeats, draws)]
        with torch.enable_grad():
            energy, x = trained(Path(scratch), options.quick)
        units = [
            row
            for chains in ((8,) if options.quick else CHAINS)
            for row in machine.rows(energy, x[torch.linspace(0, len(x) - 1, chains).long()], repeats)
        ]
    on = table.machine("cpu", TOOLS) | {"repeats": repeats, "draws": draws}
    record = {"lattices": spins, "rbm": units}
    table.write(options.out / "discrete_rivals", on, page.text(spins, units, repeats), record, page.bars(spins, units))


if __name__ == "__main__":
    main()
