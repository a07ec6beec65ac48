"""Shell completion that reads the YAML files alone: no torch, no Hydra."""

import re
import sys
from pathlib import Path

from ebm_cli.cli.answers import COMPLETE, conf_folders, groups, verb_groups

SCRIPTS = {
    "bash": """_ebm() {
    local line="${COMP_LINE:0:$COMP_POINT}"
    local word="${line##* }"
    local prefix="${word%"${COMP_WORDS[COMP_CWORD]}"}"
    [ "${COMP_WORDS[COMP_CWORD]}" = "=" ] && prefix="$word"
    COMPREPLY=()
    local reply
    while IFS= read -r reply; do COMPREPLY+=("${reply#"$prefix"}"); done < <(ebm _complete "$line" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=.] ]] && compopt -o nospace
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
RUN_KEYS = {"train": ("resume=", "init="), "sample": ("run=",), "evaluate": ("run=",), "diagnose": ("run=",)}


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
    if len(words) <= 1:
        options = [*verbs, "completion", "--help", "--version"]
    elif words[1] == "completion":
        options = list(SCRIPTS)
    elif words[1] in verbs:
        options = [*keys(words[1], words[2:]), "-m", "--help"] if "=" not in current else values(current)
    else:
        options = []
    return sorted(option for option in options if option.startswith(current))


def keys(verb: str, given: list[str]) -> list[str]:
    """Groups, the verb's own keys, and the keys of the options chosen on the line or by default."""
    folder = conf_folders()[0]
    own = yaml_keys(folder / f"{verb}.yaml")
    chosen = dict(re.findall(r"^  - (\w+): (\w+)", (folder / f"{verb}.yaml").read_text(), flags=re.MULTILINE))
    chosen |= {key: value for key, _, value in (word.partition("=") for word in given) if value}
    found = [f"{key}=" for key in own if key != "defaults"] + list(RUN_KEYS[verb])
    for group in verb_groups(verb):
        if group == "_self_":
            continue
        found.append(f"{group}=")
        path = groups().get(group, {}).get(chosen.get(group, ""))
        if path is not None and group != "experiment":
            found += [f"{group}.{key}=" for key in yaml_keys(path) if key != "_target_"]
    return list(dict.fromkeys(found))


def values(current: str) -> list[str]:
    """`GROUP=` with every option, `run=` with latest, of a word that has its '=' already."""
    key = current.partition("=")[0]
    if key in ("run", "resume", "init"):
        return [f"{key}=latest"]
    return [f"{key}={name}" for name in groups().get(key, {})]


def yaml_keys(path: Path) -> list[str]:
    """Dotted keys of a YAML file of at most two levels, by its indentation."""
    found: list[str] = []
    parent = ""
    for line in path.read_text().splitlines():
        match = re.match(r"( {0,2})(\w+):(.*)", line)
        if match is None:
            continue
        indent, key, rest = match.groups()
        nested = not rest.split("#")[0].strip()
        if not indent:
            parent = key if nested else ""
            if not nested:
                found.append(key)
        elif parent:
            found.append(f"{parent}.{key}")
    return found
