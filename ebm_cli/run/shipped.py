"""The classes that this package ships: the classes that the YAML files of its groups name."""

import re
from functools import cache
from pathlib import Path
from typing import Any

# Samplers that can move replicas, by `sampler.kernel=NAME`. Clusters need an energy of pairs, which a path has not.
KERNELS = ("hmc", "mala", "nuts", "gibbs", "gibbs_with_gradients", "discrete_langevin")
TORCH_OPTIMIZER = re.compile(r"torch\.optim\.[A-Z]\w*")


def conf_folder() -> Path:
    """Return the package's folder of YAML files: inside the package in a wheel, next to it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def yaml_files() -> dict[str, dict[str, Path]]:
    """Return the YAML file of every class, by group and `_target_`, without importing a class."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(conf_folder().glob("*/*.yaml")):
        for target in re.findall(r"^_target_: ([\w.]+)", path.read_text(), flags=re.MULTILINE):
            found.setdefault(path.parent.name, {})[target] = path
    return found


def option_name(target: object) -> str:
    """Return the option's name in a class's dotted name, such as mlp in ebm_cli.energy.mlp.MLP; empty for no class."""
    return str(target or "").rpartition(".")[0].rpartition(".")[2]


def defaults(target: str) -> dict[str, Any]:
    """Return the values in the YAML file of a shipped class, with its interpolations; empty for another class."""
    for named in yaml_files().values():
        if target in named:
            import yaml

            return yaml.safe_load(named[target].read_text())
    return {}


def option_or_class(node: dict[str, Any]) -> str:
    """Return the name of the option whose class a group's node names, or the name of a class of the user."""
    target = str(node.get("_target_"))
    return next((named[target].stem for named in yaml_files().values() if target in named), target)


def is_shipped(target: str, group: str | None = None) -> bool:
    """Return True if `target` is a class of this package, of one group if given, or an optimizer of torch."""
    if TORCH_OPTIMIZER.fullmatch(target):
        return group in (None, "optimizer")
    known = yaml_files()
    return target in known.get(group, ()) if group in known else any(target in names for names in known.values())
