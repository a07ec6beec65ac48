"""What YAML files tell of their keys: default, comment and alternatives. They are read as text: no torch, no Hydra."""

import re
from dataclasses import dataclass
from pathlib import Path

from ebm_cli.run.shipped import conf_folder

LIST_GROUPS = ("regularizer", "metric", "diagnostic")
# What can change when a training run is taken up again.
RESUME_MAY = ("trainer.steps", "trainer.checkpoint_every", "trainer.log_every", "device", "threads")
# The groups that a verb takes over from the run that a line names.
OF_TRAINING = ("energy", "data", "sampler", "start", "objective", "regularizer", "optimizer")
OF_MODEL = ("energy", "data", "sampler")
LINE = re.compile(r"( {0,2})([a-z_]\w*):(?: +(.*?))?(?:\s+# (.*))?")


@dataclass(frozen=True)
class Key:
    """A key as it is typed after its group, its default as text, and its comment: meaning, unit and bound."""

    name: str
    default: str
    comment: str

    @property
    def alternatives(self) -> list[str]:
        """The words that the comment begins with, as in `stop | rollback: at the first …`; none if it has none."""
        first = re.split(r"[:;,.] ", self.comment)[0]
        return [word for word in first.split(" | ") if " " not in word] if " | " in first else []


def conf_folders() -> list[Path]:
    """Where groups are looked up: ours (next to the package in a wheel, above it in a checkout), then ./conf."""
    ours = conf_folder()
    own = Path.cwd() / "conf"
    return [ours, own] if own.is_dir() and own.resolve() != ours else [ours]


def groups() -> dict[str, dict[str, Path]]:
    """Every group with its options, in alphabetical order; ours win over a user's of the same name."""
    found: dict[str, dict[str, Path]] = {}
    for folder in conf_folders():
        for path in sorted(folder.glob("*/*.yaml")):
            found.setdefault(path.parent.name, {}).setdefault(path.stem, path)
    return dict(sorted(found.items()))


def verb_file(verb: str) -> Path:
    """The YAML file of a verb."""
    return conf_folders()[0] / f"{verb}.yaml"


def verb_groups(verb: str) -> list[str]:
    """The groups in a verb's defaults list, in its order."""
    return re.findall(r"^  - (\w+):", verb_file(verb).read_text(), flags=re.MULTILINE)


def keys_of(path: Path) -> list[Key]:
    """The keys of a YAML file of at most two levels, by its indentation."""
    found: list[Key] = []
    parent = ""
    for line in path.read_text().splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        indent, name, default, comment = match.groups(default="")
        if not indent:
            parent = "" if default else name
        if default:
            found.append(Key(f"{parent}.{name}" if indent else name, default, comment))
    return found


def about(path: Path) -> str:
    """The first comment of a YAML file that is not a package line."""
    for line in path.read_text().splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def about_group(group: str) -> str:
    """What a group's options are: the first words of its package; nothing for a group of the user's own."""
    package = Path(__file__).parent.parent / group / "__init__.py"
    if group == "experiment":
        return "recipes that are known to work"
    if not package.is_file():
        return ""
    first = package.read_text().partition("\n")[0].strip('"').partition(". ")[0]
    return first.partition(": ")[2]


COMPLETE = "_complete"
ASKED = ("help", "choices", "completion")
