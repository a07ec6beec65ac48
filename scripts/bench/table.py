"""Functions shared by the benchmarks: binding to one core, description of the machine, and output files."""

import importlib.metadata
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

PEERS = ("jax", "blackjax", "torchebm")


@dataclass(frozen=True)
class Bar:
    """A number with a required bound, a minimum if `least`, else a maximum. value: None if it could not be measured."""

    what: str
    value: float | None
    bound: float
    least: bool

    @property
    def held(self) -> str:
        if self.value is None:
            return "not measured"
        return "yes" if (self.value >= self.bound if self.least else self.value <= self.bound) else "no"


def alone() -> None:
    """Bind this process to one core and all tools to one thread.

    Call this before jax is imported, because jax counts cores on import. Otherwise the number of threads would affect
    the results more than the code.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["OMP_NUM_THREADS"] = "1"
    # Extra compiler processes would only wait for the same core.
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    torch.set_num_threads(1)


def has(peer: str) -> bool:
    """Return True if this tool of the `bench` extra is installed."""
    try:
        return importlib.metadata.version(peer) != ""
    except importlib.metadata.PackageNotFoundError:
        return False


def machine(device: str, peers: Sequence[str] = PEERS) -> dict[str, Any]:
    """Return the machine and the versions of the measurement."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", *peers) if has(name)}
    chip = torch.cuda.get_device_name(device) if device.startswith("cuda") else processor()
    return {"machine": chip, "versions": versions, "threads": 1, "date": date.today().isoformat()}


def processor() -> str:
    """Return the model name of the CPU."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


def headline(on: dict[str, Any]) -> str:
    """Describe the machine in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in on["versions"].items())
    return f"{on['machine']}, {versions}, {on['threads']} thread, {on['date']}"


def lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*head, *("| " + " | ".join(row) + " |" for row in rows), ""]


def figure(value: float | None) -> str:
    """Format a number with three digits, or as a dash if it is missing."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def bar_lines(bars: Sequence[Bar]) -> list[str]:
    """Return the table of the bars, if there are any."""
    rows = [[b.what, figure(b.value), f"{'≥' if b.least else '≤'} {b.bound:g}", b.held] for b in bars]
    return lines(["bar", "measured", "bound", "held"], rows) if rows else []


def write(place: Path, on: dict[str, Any], text: Sequence[str], record: dict[str, Any], bars: Sequence[Bar]) -> None:
    """Write NAME.md and NAME.json, and print the Markdown."""
    page = "\n".join([f"{headline(on)}\n", *text, *bar_lines(bars)])
    print(page)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.with_suffix(".md").write_text(page)
    promised = [vars(bar) | {"held": bar.held} for bar in bars]
    place.with_suffix(".json").write_text(json.dumps(on | record | {"bars": promised}, indent=1) + "\n")
