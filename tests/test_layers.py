"""Packages import only what stands below them, only the command line knows Hydra, and it starts without torch."""

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.contract import PACKAGE

# From top to bottom. A package imports only from rows below its own, never from another package of its row.
ROWS = (
    {"__main__"},
    {"cli"},
    {"verb"},
    {"training"},
    {"sampling"},
    {"logger"},
    {"report"},
    {"assembly"},
    {"metric"},
    {"partition"},
    {"mixing"},
    {"diagnostic"},
    {"regularizer"},
    {"objective"},
    {"start", "wells"},
    {"chain"},
    {"sampler"},
    {"path"},
    {"density", "figure"},
    {"grid"},
    {"energy"},
    {"data", "optimizer"},
    {"run"},
    {"check", "rng", "estimate"},
)
LEVEL = {package: level for level, row in enumerate(ROWS) for package in row}
LOOSE = {"__main__", "check", "rng", "estimate", "grid"}
MAX_PACKAGES = 32
MAX_LAYERS = 16
MAX_IMPORTS = 200
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> list[str]:
    """Return every module that a file imports, at its top or inside a function, `from a import b` as a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def package_of(path: Path) -> str:
    """Return the package, or the loose module, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_between() -> dict[str, dict[str, list[str]]]:
    """Return, per package, the packages that it imports and the files that do so."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in FILES:
        # `from ebm_cli import __version__` names no package.
        inner = {name.split(".")[1] for name in imported(path) if name.startswith("ebm_cli.")} & LEVEL.keys()
        for name in inner - {package_of(path)}:
            found[package_of(path)][name].append(str(path.relative_to(PACKAGE)))
    return found


def test_every_package_has_a_row_and_loose_files_are_few() -> None:
    assert {package_of(path) for path in FILES} == set(LEVEL)
    assert {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"} == LOOSE


def test_no_import_points_up_or_sideways() -> None:
    wrong = [
        f"{file}: {package} imports {name}"
        for package, names in imports_between().items()
        for name, files in names.items()
        for file in files
        if LEVEL[name] <= LEVEL[package]
    ]
    assert wrong == []


def test_the_picture_stays_small() -> None:
    between = imports_between()
    depth: dict[str, int] = {}
    for row in reversed(ROWS):
        for package in row:
            depth[package] = 1 + max((depth[name] for name in between[package]), default=0)
    assert len(LEVEL) <= MAX_PACKAGES
    assert sum(len(names) for names in between.values()) <= MAX_IMPORTS
    assert max(depth.values()) <= MAX_LAYERS


def test_only_the_command_line_imports_hydra() -> None:
    wrong = [
        f"{path}: {name}"
        for path in FILES
        for name in imported(path)
        if name.split(".")[0] in ("hydra", "omegaconf") and package_of(path) != "cli"
    ]
    assert wrong == []


def test_the_command_line_starts_without_torch_or_hydra() -> None:
    code = "import sys, ebm_cli.cli; print([m for m in ('torch', 'hydra', 'omegaconf') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
