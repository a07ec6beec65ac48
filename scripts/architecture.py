"""Draw the packages and their imports in docs/architecture.md, and the picture in CONTRIBUTING.md.

    python scripts/architecture.py            # rewrite the drawings
    python scripts/architecture.py --check    # exit code 1 if a drawing differs from the imports

ROWS is the plan, from top to bottom: a package imports only from rows below its own. tests/test_layers.py compares the
imports with it.
"""

import ast
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "ebm_cli"
ROWS = (
    ("__main__",),
    ("cli",),
    ("verb",),
    ("training",),
    ("sampling",),
    ("logger",),
    ("report",),
    ("assembly",),
    ("metric",),
    ("partition",),
    ("mixing",),
    ("diagnostic",),
    ("regularizer",),
    ("objective",),
    ("start", "wells"),
    ("chain",),
    ("sampler",),
    ("path",),
    ("density", "figure", "condition"),
    ("grid",),
    ("energy",),
    ("data", "optimizer"),
    ("run",),
    ("check", "rng", "estimate"),
)
LEVEL = {package: level for level, row in enumerate(ROWS) for package in row}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
PAGES = {"CONTRIBUTING.md": "picture", "docs/architecture.md": "imports"}


def imported(path: Path) -> list[str]:
    """Return every module that a file imports, at its top or inside a function, `from a import b` as a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
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


def subject(package: str) -> str:
    """Return the first sentence of a package's docstring."""
    path = PACKAGE / package / "__init__.py"
    doc = ast.get_docstring(ast.parse((path if path.exists() else PACKAGE / f"{package}.py").read_text())) or ""
    return re.split(r"(?<=[.])\s", " ".join(doc.split("\n\n")[0].split()))[0]


def picture() -> str:
    """Return the packages from top to bottom, each with its subject."""
    rows = [row for row in ROWS if row != ("__main__",)]
    lines = [
        f"{package + ('/' if (PACKAGE / package).is_dir() else '.py'):<14}{subject(package)}"
        for row in rows
        for package in row
    ]
    return "```\n" + "\n".join(lines) + "\n```"


def imports() -> str:
    """Return a table of every package with the packages that it imports and that import it."""
    between = imports_between()
    users = {name: [package for package in between if name in between[package]] for name in LEVEL}
    lines = ["| package | imports | imported by |", "|---|---|---|"]
    for row in ROWS:
        for package in row:
            below = sorted(between[package], key=lambda name: (LEVEL[name], name))
            above = sorted(users[package], key=lambda name: (LEVEL[name], name))
            lines.append(f"| `{package}` | {' '.join(below) or '–'} | {' '.join(above) or '–'} |")
    count = sum(len(names) for names in between.values())
    return f"{len(LEVEL)} packages, {count} imports between them.\n\n" + "\n".join(lines)


def drawn(page: str) -> str:
    """Return a page with its drawing, between two comments, made from the imports of today.

    Raises ValueError if a comment is missing.
    """
    name, text = PAGES[page], (ROOT / page).read_text()
    block = {"picture": picture, "imports": imports}[name]()
    before, begin, rest = text.partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not begin or not end:
        raise ValueError(f"{page} has no place for its drawing: <!-- {name} --> and <!-- end of {name} -->")
    return f"{before}{begin}{block}\n{end}{after}"


if __name__ == "__main__":
    stale = [page for page in PAGES if drawn(page) != (ROOT / page).read_text()]
    if "--check" in sys.argv:
        raise SystemExit(
            "\n".join(f"{page} is not up to date: run python scripts/architecture.py" for page in stale) or 0
        )
    for page in stale:
        (ROOT / page).write_text(drawn(page))
