"""Verbs, groups, options and their keys, read from the YAML files as text, without torch or Hydra."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ebm_cli.run.shipped import conf_folder

VERBS = ("train", "sample", "evaluate", "diagnose")
# Commands that are answered without running a verb.
QUERIES = ("help", "choices", "completion")
COMPLETE = "_complete"
# Help texts and completion scripts.
TEXTS = Path(__file__).parent / "texts"
LIST_GROUPS = ("regularizer", "metric", "diagnostic")
# Keys that may change when a training run is resumed.
RESUME_KEYS = (
    "trainer.steps",
    "trainer.checkpoint_every",
    "trainer.log_every",
    "trainer.stop",
    "trainer.patience",
    "device",
    "threads",
)
# Groups that a verb takes from the run that the line names.
TRAINING_GROUPS = ("energy", "data", "path", "sampler", "start", "objective", "regularizer", "optimizer")
MODEL_GROUPS = ("energy", "data", "path", "sampler")
LINE = re.compile(r"( {0,2})([a-z_]\w*):(?: +([^#\s].*?))?(?:\s+# (.*))?")


@dataclass(frozen=True)
class Key:
    """A key of a YAML file.

    name: the key as it is typed, with or without its group.
    default: the default as text.
    comment: meaning, unit and bound.
    """

    name: str
    default: str
    comment: str

    @property
    def alternatives(self) -> list[str]:
        """Return the words at the start of a comment such as `stop | rollback: at the first …`; empty if none."""
        first = re.split(r"[:;,.] ", self.comment)[0]
        return [word for word in first.split(" | ") if " " not in word] if " | " in first else []


def conf_folders() -> list[Path]:
    """Return the folders in which groups are looked up: the package's own, then ./conf."""
    ours = conf_folder()
    own = Path.cwd() / "conf"
    return [ours, own] if own.is_dir() and own.resolve() != ours else [ours]


def groups() -> dict[str, dict[str, Path]]:
    """Return every group with its options in alphabetical order; the package's options hide a user's of equal name."""
    found: dict[str, dict[str, Path]] = {}
    for folder in conf_folders():
        for path in sorted(folder.glob("*/*.yaml")):
            found.setdefault(path.parent.name, {}).setdefault(path.stem, path)
    return dict(sorted(found.items()))


def verb_file(verb: str) -> Path:
    """Return the YAML file of a verb."""
    return conf_folders()[0] / f"{verb}.yaml"


def default_options(verb: str) -> dict[str, list[str]]:
    """Return the options that a verb's defaults list names, by group and in its order."""
    pairs = re.findall(r"^  - (\w+):(.*)$", verb_file(verb).read_text(), flags=re.MULTILINE)
    return {group: option_names(value) for group, value in pairs}


def verb_groups(verb: str) -> list[str]:
    """Return the groups in a verb's defaults list, in its order."""
    return list(default_options(verb))


def typed_options(words: list[str], verb: str) -> dict[str, list[str]]:
    """Return the existing options that a line names (GROUP=NAME or 'GROUP=[NAME,NAME]') in groups of the verb."""
    known, wanted = groups(), verb_groups(verb)
    found: dict[str, list[str]] = {}
    for group, _, value in (word.partition("=") for word in words):
        if group in wanted:
            found[group] = [name for name in option_names(value) if name in known.get(group, {})]
    return {group: names for group, names in found.items() if names}


def option_names(value: str) -> list[str]:
    """Return the names in NAME or [NAME,NAME]."""
    return [name.strip(" '\"") for name in value.strip(" []'\"").split(",")]


def option_keys(group: str, name: str) -> list[Key]:
    """Return the keys of an option as they are typed; `_target_` is a key only if the user has to give the class."""
    path = groups().get(group, {}).get(name)
    prefix = f"{group}.{name}" if group in LIST_GROUPS else group
    keys = keys_of(path) if path is not None else []
    return [replace(k, name=f"{prefix}.{k.name}") for k in keys if k.name != "_target_" or k.default == "???"]


def keys_of(path: Path) -> list[Key]:
    """Return the keys of a YAML file of at most two levels; a node's comment is that of its class."""
    found: list[Key] = []
    parent = about = ""
    for line in path.read_text().splitlines():
        match = LINE.fullmatch(line)
        if match is None:
            continue
        indent, name, default, comment = match.groups(default="")
        if not indent:
            parent, about = ("", "") if default else (name, comment)
        if default:
            comment = comment or (about if name == "_target_" else "")
            found.append(Key(f"{parent}.{name}" if indent else name, default, comment))
    return found


def first_comment(path: Path) -> str:
    """Return the first comment of a YAML file that is not a package line."""
    for line in path.read_text().splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def group_summary(group: str) -> str:
    """Describe the options of a group, in the words of its package's docstring; empty for a user's own group."""
    package = Path(__file__).parent.parent / group / "__init__.py"
    if group == "experiment":
        return "recipes that are known to work"
    if not package.is_file():
        return ""
    first = package.read_text().partition("\n")[0].strip('"').partition(". ")[0]
    return first.partition(": ")[2] or first
