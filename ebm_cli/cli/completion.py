"""Shell completion that reads YAML files only, the packages' and the run's: no torch, no Hydra."""

import re
import sys
from pathlib import Path
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.cli import runs
from ebm_cli.cli.keys import (
    ASKED,
    COMPLETE,
    LIST_GROUPS,
    OF_MODEL,
    OF_TRAINING,
    RESUME_MAY,
    Key,
    groups,
    keys_of,
    verb_file,
    verb_groups,
)
from ebm_cli.run.folder import Run

SCRIPTS = {
    "bash": """_ebm() {
    local line="${COMP_LINE:0:$COMP_POINT}"
    local word="${line##* }"
    local prefix="${word%"${COMP_WORDS[COMP_CWORD]}"}"
    [ "${COMP_WORDS[COMP_CWORD]}" = "=" ] && prefix="$word"
    COMPREPLY=()
    local reply
    while IFS= read -r reply; do COMPREPLY+=("${reply#"$prefix"}"); done < <(ebm _complete "$line" 2>/dev/null)
    reply="$prefix${COMPREPLY[0]}"
    [[ ${#COMPREPLY[@]} -eq 1 && ( $reply == *[=.] || $reply == *=[[]*[^]] ) ]] && compopt -o nospace
}
complete -o default -F _ebm ebm
""",
    "zsh": """#compdef ebm
_ebm() {
    local -a replies
    replies=("${(@f)$(ebm _complete "${BUFFER[1,CURSOR]}" 2>/dev/null)}")
    compadd -Q -S '' -- $replies
}
compdef _ebm ebm
""",
    "fish": """complete -c ebm -f -a '(ebm _complete (commandline -cp) 2>/dev/null)'
""",
}
RUN_KEYS = {"train": ("resume", "init"), "sample": ("run",), "evaluate": ("run",), "diagnose": ("run",)}
MOST_RUNS = 50


def completion(command: str, arguments: list[str], verbs: tuple[str, ...]) -> int:
    """`ebm completion SHELL` prints a script; `ebm _complete LINE` prints what may come next, one a line."""
    if command == COMPLETE:
        line = arguments[0] if arguments else "ebm "
        sys.stdout.writelines(f"{word}\n" for word in candidates(line, verbs))
        return 0
    if len(arguments) != 1 or arguments[0] not in SCRIPTS:
        sys.stderr.write(f"error: ebm completion takes one of {', '.join(SCRIPTS)}\n")
        return 2
    sys.stdout.write(SCRIPTS[arguments[0]])
    return 0


def candidates(line: str, verbs: tuple[str, ...]) -> list[str]:
    """Words that may stand where `line` ends."""
    words = line.split()
    current = "" if line.endswith(" ") or not words else words.pop()
    # An opening quote is the shell's own.
    current = current.lstrip("'\"")
    if len(words) <= 1:
        options = [*verbs, *ASKED, "--help", "--version"]
    else:
        options = following(words[1], [word.strip("'\"") for word in words[2:]], current, verbs)
    return sorted({option for option in options if option.startswith(current)})


def following(first: str, given: list[str], current: str, verbs: tuple[str, ...]) -> list[str]:
    """Words that may follow the first of a line and those given since."""
    known = groups()
    if first == "completion":
        return list(SCRIPTS)
    if first == "choices":
        return list(known) if not given else list(known.get(given[0], {}))
    if first == "help":
        return [*verbs, *(f"{group}=" for group in known)] if "=" not in current else of_group(current)
    if first not in verbs:
        return []
    if "=" in current:
        return values(first, given, current)
    return [*(f"{key}=" for key in keys(first, given)), "-m", "--help"]


def keys(verb: str, given: list[str]) -> dict[str, list[str]]:
    """Whatever a verb takes, with the alternatives of each key: its own keys, its groups, and the keys of the options
    chosen on the line, by the run that it names, or by default."""
    own = {key.name: key.alternatives for key in keys_of(verb_file(verb))}
    if any(word.startswith("resume=") for word in given):
        return {key: own.get(key, []) for key in RESUME_MAY}
    found: dict[str, list[str]] = own | {key: [] for key in RUN_KEYS[verb]}
    chosen = chosen_names(verb, given)
    of_run = run_keys(verb, given)
    for group in verb_groups(verb):
        found[group] = []
        if group != "experiment":
            for name in chosen.get(group, []):
                found |= option_keys(group, name)
            if group in of_run and not any(word.startswith(f"{group}=") for word in given):
                found |= of_run[group]
    return found


def chosen_names(verb: str, given: list[str]) -> dict[str, list[str]]:
    """The options of each group: those of the line, else the verb's own."""
    defaults = re.findall(r"^  - (\w+): (.+)$", verb_file(verb).read_text(), flags=re.MULTILINE)
    pairs = [*defaults, *(word.partition("=")[::2] for word in given)]
    return {group: re.split(r",\s*", value.strip("[]'\"")) for group, value in pairs if value}


def option_keys(group: str, name: str) -> dict[str, list[str]]:
    """The keys of an option as they are typed."""
    path = groups().get(group, {}).get(name)
    if path is None:
        return {}
    prefix = f"{group}.{name}" if group in LIST_GROUPS else group
    return {f"{prefix}.{key.name}": key.alternatives for key in keys_of(path) if is_typed(key)}


def is_typed(key: Key) -> bool:
    """Whether a key is a user's to give: a class is only where an option leaves it open."""
    return key.name != "_target_" or key.default == "???"


def run_keys(verb: str, given: list[str]) -> dict[str, dict[str, list[str]]]:
    """The keys of the groups that the run of a line has, by group; none where there is no such run."""
    named = [word.partition("=") for word in given if word.startswith(RUN_KEYS[verb])]
    if not named or verb == "diagnose":
        return {}
    key, _, value = named[-1]
    try:
        run = runs.find(value, verb, key)
        config = run.config() if isinstance(run, Run) else {}
    except (InputError, OSError):
        return {}
    return {
        group: {name: known_alternatives(group, config[group], name) for name in node_keys(f"{group}.", config[group])}
        for group in (OF_TRAINING if verb == "train" else OF_MODEL)
        if isinstance(config.get(group), dict)
    }


def node_keys(prefix: str, node: dict[str, Any]) -> list[str]:
    """The dotted keys of a run's node, classes aside."""
    found: list[str] = []
    for name, value in node.items():
        if isinstance(value, dict):
            found += node_keys(f"{prefix}{name}.", value)
        elif name != "_target_":
            found.append(f"{prefix}{name}")
    return found


def known_alternatives(group: str, node: dict[str, Any], name: str) -> list[str]:
    """The alternatives of a key of a run's node, by the option of the same class."""
    names = node if group in LIST_GROUPS else [str(node.get("_target_")).rpartition(".")[0].rpartition(".")[2]]
    return next((found[name] for each in names if name in (found := option_keys(group, each))), [])


def values(verb: str, given: list[str], current: str) -> list[str]:
    """What may follow the `=` of a word: options of a group, runs, a key's alternatives, checkpoints."""
    key = current.partition("=")[0]
    if key in ("run", "resume", "init"):
        return [f"{key}={name}" for name in run_names(verb)]
    if key in groups():
        return of_group(current)
    words = keys(verb, given).get(key, [])
    if key == "checkpoint":
        words = [*words, *checkpoints(verb, given)]
    return [f"{key}={word}" for word in words if word == word.lower()]


def of_group(current: str) -> list[str]:
    """The options of the group in `GROUP=` or `GROUP=[NAME,`, for a list group only those not listed yet."""
    group, _, value = current.partition("=")
    names = list(groups().get(group, {}))
    if group not in LIST_GROUPS:
        return [f"{group}={name}" for name in names]
    before = value.rpartition(",")[0] + "," if "," in value else "["
    taken = before.strip("[,").split(",")
    last = value.rpartition(",")[2].strip("[")
    done = [f"{group}={value}]"] if last in names and value.startswith("[") else []
    return [*(f"{group}={before}{name}" for name in names if name not in taken), *done]


def run_names(verb: str) -> list[str]:
    """`latest` and the folders under ./outputs that the verb can use, the newest fifty."""
    found = ["latest"]
    for made in runs.USES[verb]:
        folders = sorted(Path("outputs", made).glob("*/*"), reverse=True)
        found += [str(folder) for folder in folders if (folder / "config.yaml").exists()][:MOST_RUNS]
    return found


def checkpoints(verb: str, given: list[str]) -> list[str]:
    """The steps of the checkpoints that the run of a line has."""
    for word in reversed(given):
        if word.startswith("run="):
            try:
                run = runs.find(word.removeprefix("run="), verb)
            except InputError:
                return []
            return [str(step) for step in run.steps()] if isinstance(run, Run) else []
    return []
