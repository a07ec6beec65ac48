"""Compare log Z of difficult energies, for three seeds each, with exact values; writes scripts/edge.md.

python scripts/edge.py [NAME …]
"""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.integrate import quad
from torch import Tensor

# Make the package importable if this file is run as a script.
sys.path.insert(0, str(Path(__file__).parents[1]))

from ebm_cli import partition
from ebm_cli.estimate import Estimate, digits
from ebm_cli.partition import Budget, Integrand
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from scripts.hard_energies import (
    LOG_2PI,
    Formula,
    integral,
    log_student,
    normals,
    spike,
    student,
    walls,
)

SEEDS = (0, 1, 2)
BUDGET, TARGET = 600_000, 0.5
TABLE = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Edge:
    """An energy in d dimensions, its exact log Z (∞ if not normalizable) and temperature."""

    d: int
    f: Callable[[Tensor], Tensor]
    exact: float
    T: float = 1.0

    def log_z_estimate(self, seed: int) -> Estimate:
        """Return log Z by the method of `ebm evaluate`, with a smaller budget."""
        integrand = Integrand(Formula(self.f), self.T, (self.d,), None, seed)
        return partition.log_z(integrand, DEFAULT_SETTINGS, Budget(BUDGET, TARGET)).estimate


def double_well(T: float) -> float:
    """Return log ∫ exp(−2(x² − 1)²/T), with both wells cut at 40 standard deviations."""
    s = math.sqrt(T / 16)
    return math.log(2) + integral(lambda x: math.exp(-2 * (x * x - 1) ** 2 / T), max(0.0, 1 - 40 * s), 1 + 40 * s, 1.0)


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def along(x: Tensor, angle: float) -> tuple[Tensor, Tensor]:
    """Return the coordinates rotated by an angle."""
    c, s = math.cos(angle), math.sin(angle)
    return c * x[:, 0] + s * x[:, 1], -s * x[:, 0] + c * x[:, 1]


MODES_1D = [[-7.3], [-1.11], [0.38], [2.9], [11.7]]
MODES_2D = [[-2.1, 0.3], [1.7, 1.9], [0.4, -2.6], [2.2, -0.7], [-0.9, 2.8], [0.1, 0.2], [-1.6, -1.4]]
WEIGHTS_2D = [0.3, 0.05, 0.1, 0.2, 0.15, 0.1, 0.1]
RING = math.log(quad(lambda r: r * math.exp(-0.5 * ((r - 2) / 0.02) ** 2), 1.5, 2.5, points=[2])[0] * 2 * math.pi)

EDGES: dict[str, Edge] = {
    "walls at −1 and 2": Edge(1, lambda x: walls(x, (x[:, 0] > -1) & (x[:, 0] < 2)), math.log(3)),
    "two boxes apart": Edge(
        1, lambda x: walls(x, ((x[:, 0] - 0.5).abs() < 0.5) | ((x[:, 0] - 5.25).abs() < 0.25)), math.log(1.5)
    ),
    "a jump of 3": Edge(
        1,
        lambda x: 0.5 * x[:, 0] ** 2 + 3.0 * (x[:, 0] > 0.7),
        0.5 * LOG_2PI + math.log(normal_cdf(0.7) + math.exp(-3) * (1 - normal_cdf(0.7))),
    ),
    "stairs": Edge(1, lambda x: 0.5 * x[:, 0].abs().floor() + 0 * x[:, 0], math.log(2 / (1 - math.exp(-0.5)))),
    "a cusp": Edge(1, lambda x: x[:, 0].abs().sqrt(), math.log(4)),
    "constant": Edge(1, lambda x: 0 * x[:, 0], math.inf),
    "double well at T = 1e-3": Edge(1, lambda x: 2 * (x[:, 0] ** 2 - 1) ** 2, double_well(1e-3), T=1e-3),
    "double well at T = 1e-6": Edge(1, lambda x: 2 * (x[:, 0] ** 2 - 1) ** 2, double_well(1e-6), T=1e-6),
    "a spike of sd 1e-3": Edge(1, lambda x: spike(x, 0.37, 1e-3), math.log(10)),
    "a spike of sd 1e-4": Edge(1, lambda x: spike(x, -2.2, 1e-4), math.log(10)),
    "10⁵ + x²/2": Edge(1, lambda x: 1e5 + 0.5 * x[:, 0] ** 2, 0.5 * LOG_2PI - 1e5),
    "3·10⁸ + x²/2": Edge(1, lambda x: 3e8 + 0.5 * x[:, 0] ** 2, 0.5 * LOG_2PI - 3e8),
    "Cauchy": Edge(1, lambda x: torch.log1p(x[:, 0] ** 2), math.log(math.pi)),
    "1/(1 + |x|)": Edge(1, lambda x: torch.log1p(x[:, 0].abs()), math.inf),
    "a trough 40 deep": Edge(1, lambda x: -40 * torch.exp(-0.5 * x[:, 0] ** 2), math.inf),
    "five modes of sd 0.01": Edge(1, lambda x: normals(x, MODES_1D, [0.01] * 5, [1.0] * 5), math.log(5)),
    "a mode 300 off": Edge(1, lambda x: normals(x, [[0.0], [300.0]], [1.0, 0.5], [1.0, 2.0]), math.log(3)),
    "a disc": Edge(2, lambda x: walls(x, x.norm(dim=1) < 1.3), math.log(math.pi * 1.69)),
    "a rectangle": Edge(2, lambda x: walls(x, (x[:, 0].abs() < 1) & ((x[:, 1] - 1.5).abs() < 1.5)), math.log(6)),
    "a ridge of sd 0.003, turned": Edge(
        2,
        lambda x: sum((0.5 * (a / s) ** 2 for a, s in zip(along(x, 0.5), (1.0, 0.003), strict=True)), 0 * x[:, 0]),
        LOG_2PI + math.log(0.003),
    ),
    "a spike of sd 0.01 in 2-D": Edge(2, lambda x: spike(x, 0.8, 0.01), math.log(10)),
    "a banana": Edge(
        2, lambda x: 0.5 * x[:, 0] ** 2 + 0.5 * ((x[:, 1] - x[:, 0] ** 2) / 0.05) ** 2, LOG_2PI + math.log(0.05)
    ),
    "seven modes of sd 0.02": Edge(2, lambda x: normals(x, MODES_2D, [0.02] * 7, WEIGHTS_2D), 0.0),
    "a ring of width 0.02": Edge(2, lambda x: 0.5 * ((x.norm(dim=1) - 2) / 0.02) ** 2, RING),
    "Student, ν = 3": Edge(2, lambda x: student(x, 3.0), log_student(3.0, 2)),
    "flat along the diagonal": Edge(2, lambda x: 0.5 * (x[:, 0] - x[:, 1]) ** 2, math.inf),
    "10⁴ + ‖x‖²/2 in 5-D": Edge(5, lambda x: 1e4 + 0.5 * x.square().sum(1), 2.5 * LOG_2PI - 1e4),
    "two modes ±3 in 5-D": Edge(
        5, lambda x: normals(x, [[3.0, 0, 0, 0, 0], [-3.0, 0, 0, 0, 0]], [1.0, 1.0], [0.3, 0.7]), 0.0
    ),
    "99 of 100 parts 25 off in 5-D": Edge(
        5, lambda x: normals(x, [[0.0] * 5, [25.0, 0, 0, 0, 0]], [1.0, 1.0], [0.01, 0.99]), 0.0
    ),
    "Student, ν = 5, in 5-D": Edge(5, lambda x: student(x, 5.0), log_student(5.0, 5)),
    "a spike of sd 0.02 in 5-D": Edge(5, lambda x: spike(x, 0.7, 0.02), math.log(10)),
    "flat in one of 5": Edge(5, lambda x: 0.5 * x[:, :4].square().sum(1), math.inf),
}


def is_wrongly_ok(edge: Edge, found: Estimate) -> bool:
    """Return True if the verdict is ok but the bracket misses the exact value."""
    if found.verdict != "ok" or found.lower is None or found.upper is None:
        return False
    return not found.lower <= edge.exact <= found.upper


def row(name: str, edge: Edge, found: list[Estimate], seconds: float) -> str:
    """Return a line of the table: value of the first seed, largest error over the seeds."""
    first = found[0]
    values = [each.value for each in found if isinstance(each.value, float)]
    off = max((abs(value - edge.exact) for value in values), default=math.nan)
    reach = max((e.upper - e.lower for e in found if e.upper is not None and e.lower is not None), default=math.nan)
    inside = sum(e.lower <= edge.exact <= e.upper for e in found if e.upper is not None and e.lower is not None)
    verdicts = " ".join(each.verdict for each in found)
    value = "–" if first.value is None or isinstance(first.value, list) else digits(first.value, 7)
    exact = digits(edge.exact, 7) if math.isfinite(edge.exact) else "∞"
    escaped = name.replace("|", r"\|")
    return (
        f"| {escaped} | {edge.d} | {exact} | {value} | {short(off)} | {short(reach / 2)} | {inside} of {len(found)} | "
        f"{verdicts} | {seconds:.1f} |"
    )


def short(value: float) -> str:
    """Format a number with one digit, or as a dash if it is missing."""
    return "–" if math.isnan(value) else f"{value:.1g}"


def main(names: list[str]) -> None:
    """Run all energies, or only the given names."""
    lines, answered, failures = [], 0, 0
    for name in names or EDGES:
        edge, begin = EDGES[name], time.monotonic()
        found = [edge.log_z_estimate(seed) for seed in SEEDS]
        lines.append(row(name, edge, found, (time.monotonic() - begin) / len(SEEDS)))
        answered += all(each.value is not None for each in found)
        failures += sum(is_wrongly_ok(edge, each) for each in found)
        print(lines[-1], flush=True)
        for each in found[:1]:
            print("   ", each.reason, flush=True)
    summary = (
        f"{len(lines)} energies, {len(SEEDS)} seeds: {failures} wrong brackets with verdict ok; {answered} energies "
        "with a value for all seeds"
    )
    print(summary)
    if not names:
        head = "| energy | d | exact | log Z | off by | bracket ± | inside | verdicts | s |\n" + "|---" * 9 + "|"
        about = "`python scripts/edge.py`: log Z in nats, largest error and bracket over the seeds, seconds per seed."
        TABLE.write_text("\n".join(["# log Z of difficult energies", "", about, summary + ".", "", head, *lines, ""]))


if __name__ == "__main__":
    main(sys.argv[1:])
