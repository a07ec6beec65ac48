"""What is wrong with a command line: every option and key that is not there, with the nearest that is."""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from ebm_cli.check import nearest
from ebm_cli.cli.answers import LIST_GROUPS, verb_groups

# The name under which a run's own group stands in Hydra's store.
OF_RUN = "of_run"


def wrong_options(chosen: list[Override], known: dict[str, dict[str, Path]], verb: str) -> list[tuple[Override, str]]:
    """Options that their group does not have, and groups that the verb does not use, with what to say of each."""
    wrong: list[tuple[Override, str]] = []
    for override in chosen:
        group = override.key_or_group
        if group not in verb_groups(verb):
            wrong.append(
                (
                    override,
                    f"{group} is no group of ebm {verb}; its groups are {', '.join(verb_groups(verb))}",
                )
            )
            continue
        if override.is_sweep_override():
            wrong.append((override, f"{override.input_line!r} gives several values: add -m to sweep over them"))
            continue
        value = override.value()
        names = value if isinstance(value, list) else [value]
        if isinstance(value, list) and group not in LIST_GROUPS:
            wrong.append((override, f"{group} takes one name, got {override.input_line!r}"))
            continue
        for name in names:
            if name is None and group != "experiment":
                wrong.append((override, f"{group} must name one of {', '.join(known[group])}, got null"))
            elif name is not None and str(name) not in [*known[group], OF_RUN]:
                options = ", ".join(known[group])
                hint = nearest(str(name), known[group])
                wrong.append((override, f"{group} has no option {str(name)!r}{hint} (options: {options})"))
    return wrong


def wrong_keys(values: list[Override], config: DictConfig) -> list[str]:
    """What to say of keys that the configuration does not have, several values, and text where a number belongs."""
    known = dict(flat(plain(config)))
    wrong: list[str] = []
    for override in values:
        key = override.key_or_group
        if override.is_add() or override.is_force_add():
            continue
        if key not in known and OmegaConf.select(config, key, throw_on_missing=False) is None:
            wrong.append(f"{key} is not a known key{suggestion(key, list(known))}")
            continue
        default = known.get(key)
        if override.is_sweep_override():
            several = f"{override.input_line!r} gives several values"
            wrong.append(f"{several}: add -m to sweep over them, or quote a list as 'KEY=[A,B]'")
        if override.is_delete() or override.is_sweep_override():
            continue
        given = override.value()
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        if is_number and isinstance(given, str | bool) and not str(given).startswith("${"):
            wrong.append(f"{key} must be a number, got {given!r}")
        if isinstance(default, bool) and not isinstance(given, bool):
            wrong.append(f"{key} must be true or false, got {given!r}")
    return wrong


def suggestion(key: str, known: list[str]) -> str:
    """The nearest whole key, or the nearest key in the same group, or one of the same last word."""
    hint = nearest(key, known)
    if hint:
        return hint
    last = key.rpartition(".")[2]
    for other in known:
        if other.rpartition(".")[2] == last:
            return f"; did you mean {other!r}?"
    tops = sorted({other.partition(".")[0] for other in known})
    return nearest(key.partition(".")[0], tops) or f"; the keys are {', '.join(tops)}"


def missing_keys(node: Any, prefix: str = "") -> list[str]:
    """Dotted keys whose value is still `???`."""
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in missing_keys(value, f"{prefix}{name}.")]
    return [prefix.rstrip(".")] if node == "???" else []


def flat(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and values of a nested dict."""
    pairs: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            pairs += flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as nested dicts, interpolations as they stand."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
