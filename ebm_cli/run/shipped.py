"""The classes that this package ships: those that the YAML files of its groups name."""

import re
from functools import cache
from pathlib import Path
from typing import Any

TORCH_OPTIMIZER = re.compile(r"torch\.optim\.[A-Z]\w*")


def conf_folder() -> Path:
    """The package's own folder of YAML files: inside the package in a wheel, next to it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def files() -> dict[str, dict[str, Path]]:
    """The YAML file of every class by group and `_target_`, found without an import."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(conf_folder().glob("*/*.yaml")):
        for target in re.findall(r"^_target_: ([\w.]+)", path.read_text(), flags=re.MULTILINE):
            found.setdefault(path.parent.name, {})[target] = path
    return found


def defaults(target: str) -> dict[str, Any]:
    """The values that the YAML file of a shipped class gives, interpolations as they stand; none for another class."""
    for named in files().values():
        if target in named:
            import yaml

            return yaml.safe_load(named[target].read_text())
    return {}


def is_shipped(target: str, group: str | None = None) -> bool:
    """Whether `target` is a class of this package (of one group, if given) or an optimizer of torch."""
    if TORCH_OPTIMIZER.fullmatch(target):
        return group in (None, "optimizer")
    known = files()
    return target in known.get(group, ()) if group in known else any(target in names for names in known.values())
