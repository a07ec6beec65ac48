"""Total variation on four distributions in the plane: our objectives, one recipe per objective, against torchebm.

    python -m scripts.bench.plane [--quick] [--seeds 0,1,2] [--sets rings] [--only plane_noise_contrastive]

This benchmark needs torchebm (extra `bench`). The total variation ½∫|p − q| is computed as in
`metric=[distance_to_truth]`, by quadrature of the trained energy, without chains. Seconds are CPU time on one thread,
because other work runs on the machine. Our times are for `ebm train experiment=NAME data=SET seed=S`, without start-up.

The runs of torchebm use the networks, samplers and rates of its examples (examples/20-training): an MLP 2-128-128-1
with SiLU, Adam at 1e-3, batches of 256; Langevin steps of 0.1, 10 per update, from the data or from a buffer of 8,192;
noise of 0.1 in denoising; exact traces in score matching, for which the example uses denoising. Like ours, they train
on new rows at every step. They stop after the largest training time allowed for our runs. Their energies have no
confinement. If no box of the metric contains the mass of such an energy, TV is taken over the box of the data only, in
its favor, and marked *.

Each finished row is added to scripts/bench/plane.csv and is not measured again. The table in plane.md is made from it.
"""

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ebm_cli.assembly.build import make
from ebm_cli.assembly.trained_run import load_run
from ebm_cli.cli import main as ebm
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.metric import EvaluationContext
from ebm_cli.metric.distance_to_truth import DistanceToTruth, densities, divergence
from ebm_cli.rng import generator
from scripts.bench import table
from scripts.bench.table import Bar

SECONDS = 35.0
SETS = {"two_moons": 0.06, "gaussians_8": 0.06, "checkerboard": 0.12, "rings": 0.10}
OURS = ("contrastive", "denoising_score_matching", "noise_contrastive", "denoising_recovery")
# Losses of torchebm, with our objective of the same kind.
THEIRS = {
    "torchebm CD": "contrastive",
    "torchebm persistent CD": "contrastive",
    "torchebm score matching": "denoising_score_matching",
    "torchebm denoising": "denoising_score_matching",
}
RESOLUTION = 400
COLUMNS: tuple[str, ...] = ("set", "seed", "what", "tv", "inside", "seconds")


def total_variation(energy: nn.Module, data: Data) -> tuple[float, bool]:
    """Return TV at T = 1, and True if it was restricted to the box of the data."""
    held_out = noisy_split(data, "held_out", 0)
    subject = EvaluationContext(energy, 1.0, (2,), data, None, held_out, None, 0)
    found = DistanceToTruth(RESOLUTION)(subject).estimates["tv"].value
    if isinstance(found, float):
        return found, False
    half = 1.3 * float(held_out.x.abs().max())
    p, log_q, cell, _ = densities(subject, [(-half, half)] * 2, RESOLUTION)
    return divergence(p, log_q, cell)[1], True


def ours(name: str, of: str, seed: int, quick: bool) -> tuple[nn.Module, float]:
    """Train one recipe; return its energy and the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/run"
        words = [f"experiment=plane_{name}", f"data={of}", f"seed={seed}", "device=cpu", "threads=1", f"out={out}"]
        begin = time.process_time()
        code = ebm(["train", *words, *(["trainer.steps=20"] if quick else [])])
        seconds = time.process_time() - begin
        if code:
            raise SystemExit(f"experiment=plane_{name} data={of} seed={seed} failed")
        return load_run(out).energy, seconds


def theirs(what: str, data: Data, seed: int, quick: bool) -> tuple[nn.Module, float]:
    """Train with torchebm for the time limit of our runs, or for 20 steps; return its energy and the seconds."""
    torch.manual_seed(seed)
    energy = example_energy()
    loss = example_loss(what, energy)
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-3)
    rows, begin, steps = generator(seed, "data", "cpu"), time.process_time(), 0
    while time.process_time() - begin < SECONDS and not (quick and steps == 20):
        value = loss(data.sample(256, rows).x)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        steps += 1
    return energy.requires_grad_(False), time.process_time() - begin


def example_energy() -> nn.Module:
    """Return the network of the torchebm examples."""
    from torchebm.core import BaseModel  # pyright: ignore[reportMissingImports]

    class MLPEnergy(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            layers = [nn.Linear(2, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 1)]
            self.net = nn.Sequential(*layers)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x).squeeze(-1)

    return MLPEnergy()


def example_loss(what: str, energy: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return the loss of the torchebm examples, a function of a batch."""
    from torchebm import losses  # pyright: ignore[reportMissingImports]
    from torchebm.samplers import LangevinDynamics  # pyright: ignore[reportMissingImports]

    if what == "torchebm score matching":
        return losses.ScoreMatching(model=energy, hessian_method="exact")
    if what == "torchebm denoising":
        return losses.DenoisingScoreMatching(model=energy, noise_scale=0.1)
    sampler = LangevinDynamics(model=energy, step_size=0.1, noise_scale=1.0)
    kept = {"persistent": True, "buffer_size": 8192} if "persistent" in what else {}
    divergence = losses.ContrastiveDivergence(model=energy, sampler=sampler, k_steps=10, **kept)
    return lambda x: divergence(x)[0]


def measured(place: Path, sets: list[str], seeds: list[int], whats: list[str], quick: bool) -> list[dict[str, Any]]:
    """Return all rows, including the rows of the file; every new row is written at once."""
    rows: list[dict[str, Any]] = list(csv.DictReader(place.open())) if place.exists() else []
    done = {(row["set"], row["seed"], row["what"]) for row in rows}
    for seed in seeds:
        for of in sets:
            data: Data = make(compose("train", parse([f"data={of}", "experiment=null"]), Base())["data"])
            for what in (w for w in whats if (of, str(seed), w) not in done):
                run = theirs(what, data, seed, quick) if what in THEIRS else ours(what, of, seed, quick)
                tv, boxed = total_variation(run[0], data)
                values = (of, str(seed), what, f"{tv:.4f}", "*" if boxed else "", f"{run[1]:.1f}")
                rows.append(dict(zip(COLUMNS, values, strict=True)))
                with place.open("w", newline="") as file:
                    writer = csv.DictWriter(file, COLUMNS)
                    writer.writeheader()
                    writer.writerows(rows)
    return rows


def cell(rows: list[dict[str, Any]], of: str, what: str) -> list[float]:
    """Return TV for every seed."""
    return [float(row["tv"]) for row in rows if row["set"] == of and row["what"] == what]


def text(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of the page: TV for the seeds in order, and the longest training time."""
    body = []
    for what in (*OURS, *THEIRS):
        mine = [row for row in rows if row["what"] == what]
        if mine:
            shown = [
                " ".join(f"{float(r['tv']):.3f}{r['inside']}" for r in mine if r["set"] == of) or "–" for of in SETS
            ]
            body.append([what, *shown, table.figure(max(float(row["seconds"]) for row in mine))])
    assert __doc__ is not None
    return [*__doc__.split("\n\n", 2)[2].splitlines(), "", *table.lines(["", *SETS, "maximum seconds"], body)]


def bars(rows: list[dict[str, Any]]) -> list[Bar]:
    """Return the bars: best mean TV per set, and the best seed of torchebm over our worst seed, per kind and set."""
    promised = []
    for of, most in SETS.items():
        means = [statistics.mean(found) for what in OURS if (found := cell(rows, of, what))]
        promised.append(Bar(f"best tv, {of}", min(means, default=None), most, least=False))
    for what, kind in THEIRS.items():
        for of in SETS:
            mine, other = cell(rows, of, kind), cell(rows, of, what)
            ratio = min(other) / max(mine) if mine and other else None
            promised.append(Bar(f"tv of {what}, its best seed / {kind}, its worst, {of}", ratio, 1.0, least=True))
    longest = max((float(row["seconds"]) for row in rows if row["what"] in OURS), default=None)
    return [*promised, Bar("seconds of our longest training", longest, SECONDS, least=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="run 20 steps of each, as a test")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", help="run only rows with this text in their name")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the files")
    options = parser.parse_args()
    table.alone()
    whats = [w for w in (*OURS, *(THEIRS if table.has("torchebm") else ())) if (options.only or "") in w]
    place = options.out / "plane.csv"
    rows = measured(place, options.sets.split(","), [int(s) for s in options.seeds.split(",")], whats, options.quick)
    table.write(options.out / "plane", table.machine("cpu"), text(rows), {"rows": rows}, bars(rows))


if __name__ == "__main__":
    main()
