"""Imports point down the list of layers, only the command line knows Hydra, and it starts without torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract import PACKAGE

# From top to bottom; modules of one row are one layer.
ROWS = (
    {"__main__"},
    {"cli"},
    {"train", "sample", "evaluate", "diagnose"},
    {
        "judgment",
        "report",
        "curves",
        "run_events",
        "tags",
        "step_size",
        "sweep_figure",
        "sweep_members",
        "sweep_pictures",
        "sweep_table",
        "sweep_report",
        "rollback",
        "ranking",
        "watch",
        "kernel_rows",
        "fresh_chains",
        "plain_sampler",
        "sample_figures",
        "columns_figure",
    },
    {"build", "parts"},
    {"state"},
    {"metric", "diagnostic", "finding", "figure", "landscape", "features", "screen", "chain_file"}
    | {"mixing", "agreement", "probe", "tails", "wells", "basins", "outposts", "bridge"}
    | {"partition", "likelihoods"},
    {"objective", "regularizer"},
    {"noise"},
    {"baseline"},
    {"chains", "start"},
    {"adaptation", "engine"},
    {"units"},
    {"optimizer", "sampler"},
    {"energy", "network", "convolutions", "grid", "composition", "levels"} | {"trial"},
    {"data", "table_file"},
    {"run", "stored", "shipped", "machine", "terminal", "estimate", "events"},
    {"check", "rng"},
)
LEVEL = {module: level for level, row in enumerate(ROWS) for module in row}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> list[str]:
    """Every module that a file imports, at its top or inside a function, `from a import b` as a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def module(path: Path) -> str:
    """The word in ROWS that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_a_layer() -> None:
    assert {module(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_up(path: Path) -> None:
    # `from ebm_cli import __version__` names no module and is free.
    inner = [name.split(".")[1] for name in imported(path) if name.startswith("ebm_cli.")]
    assert [name for name in inner if name in LEVEL and LEVEL[name] < LEVEL[module(path)]] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_imports_hydra(path: Path) -> None:
    found = [name for name in imported(path) if name.split(".")[0] in ("hydra", "omegaconf")]
    assert found == [] or module(path) == "cli"


def test_the_command_line_starts_without_torch_or_hydra() -> None:
    code = "import sys, ebm_cli.cli; print([m for m in ('torch', 'hydra', 'omegaconf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
