"""Packages import only what stands below them, only the command line knows Hydra, and it starts without torch."""

import ast
import subprocess
import sys

from scripts.architecture import FILES, LEVEL, PACKAGE, PAGES, ROOT, ROWS, drawn, imported, imports_between, package_of

LOOSE = {"__init__", "__main__", "check", "rng", "estimate", "grid"}
MAX_PACKAGES = 32
MAX_LAYERS = 16
MAX_IMPORTS = 200


def test_every_package_has_a_row_and_few_files_are_loose() -> None:
    assert {package_of(path) for path in FILES} == set(LEVEL)
    assert {path.stem for path in PACKAGE.glob("*.py")} == LOOSE


def test_no_import_points_up_or_sideways() -> None:
    wrong = [
        f"{file}: {package} imports {name}"
        for package, names in imports_between().items()
        for name, files in names.items()
        for file in files
        if LEVEL[name] <= LEVEL[package]
    ]
    assert wrong == []


def test_imports_are_absolute() -> None:
    nodes = [(path, node) for path in FILES for node in ast.walk(ast.parse(path.read_text()))]
    assert [str(path) for path, node in nodes if isinstance(node, ast.ImportFrom) and node.level] == []


def test_packages_layers_and_imports_are_few() -> None:
    between = imports_between()
    depth: dict[str, int] = {}
    for row in reversed(ROWS):
        for package in row:
            depth[package] = 1 + max((depth[name] for name in between[package]), default=0)
    assert len(LEVEL) <= MAX_PACKAGES
    assert sum(len(names) for names in between.values()) <= MAX_IMPORTS
    assert max(depth.values()) <= MAX_LAYERS


def test_drawings_show_the_imports_of_today() -> None:
    stale = [page for page in PAGES if drawn(page) != (ROOT / page).read_text()]
    assert stale == [], "run python scripts/architecture.py"
    # A page without its drawing is out of date too.
    assert all("partition" in drawn(page) and "estimate" in drawn(page) for page in PAGES)


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
