"""Compose a configuration with Hydra, and report every mistake at once, one per line."""

import sys
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import InputError, nearest_hint
from ebm_cli.cli.keys import LIST_GROUPS, groups, verb_groups
from ebm_cli.cli.loader import Base, Loader
from ebm_cli.cli.old_names import with_new_key
from ebm_cli.cli.validation import OF_RUN, option_errors, plain_dict, wrong_keys
from ebm_cli.cli.words import WrongWords, parse, text
from ebm_cli.run.nested import flatten
from ebm_cli.run.renamed_keys import BASE_OF_LOG_Z
from ebm_cli.run.shipped import KERNELS

# Options that are chosen by keys which no other option of their group has.
IMPLIED_BY = {
    # Those of metrics are old names of path.base and path.box.
    "path=base": (
        *("path.base", "path.box", "path.betas"),
        *(f"metric.{name}.{key}" for name in ("log_z", "nll") for key in BASE_OF_LOG_Z),
    ),
    "path=levels": ("path.levels",),
    "path=runs": ("path.runs",),
    "sampler=tempering": ("sampler.kernel", "sampler.step_factors"),
}


def compose(verb: str, overrides: list[Override], base: Base) -> dict[str, Any]:
    """Return the whole configuration as plain values. Raises InputError with everything that is wrong.

    If the line chooses the option of a group, that option replaces the whole group. No value that a recipe or a run
    gave to another option remains.
    """
    known = groups()
    overrides = [*implied_options(overrides, verb, base), *overrides]
    chosen = [o for o in overrides if o.key_or_group in known and "." not in o.key_or_group]
    wrong = [(override, message) for override in chosen for message in option_errors(override, known, verb, base.nodes)]
    wrong_groups = {o.key_or_group for o, _ in wrong}
    chosen = [o for o in chosen if o.key_or_group not in wrong_groups]
    dropped = [o for o in overrides if is_no_recipe(o)] + [o for o in chosen if repeats_run_option(o, base, known)]
    overrides, chosen = ([o for o in each if o not in dropped] for each in (overrides, chosen))
    named = {o.key_or_group for o in chosen}
    words = [f"{group}={OF_RUN}" for group in base.nodes if group not in named]
    if base.experiment is not None and "experiment" not in named:
        words.append(f"experiment={base.experiment}")
    with Loader(base) as loader:
        composed = loader.load(verb, words, chosen, named)
        with open_dict(composed):
            composed.merge_with(base.values)
        known_keys = plain_dict(composed)
        overrides = [o if o in chosen else with_new_key(o, known_keys) for o in overrides]
        kernel, overrides = separate_kernel(overrides, known_keys)
        values = [o for o in overrides if o not in chosen and o.key_or_group.partition(".")[0] not in wrong_groups]
        wrong += wrong_keys(values, composed, verb)
        if wrong:
            raise WrongWords(wrong)
        full = loader.load(verb, words, overrides, named, base.values)
        if kernel:
            with open_dict(full):
                full.sampler.kernel = loader.load(verb, [], kernel, {"sampler"}).sampler
    try:
        config = OmegaConf.to_container(full, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(str(error).splitlines()[0]) from None
    assert isinstance(config, dict)
    if missing := sorted({key for key, value in flatten(config) if value == "???"}):
        raise InputError(*(f"{key} must be given: {key}=VALUE" for key in missing))
    return {str(key): value for key, value in config.items()}


def implied_options(overrides: list[Override], verb: str, base: Base) -> list[Override]:
    """Return words for options that only have the keys on the line, such as path=base for path.betas=[1,0.3,0].

    Keys that the path of a run has, such as path.betas of path=rates, set them on that path.
    """
    named = {o.key_or_group for o in overrides}
    open_keys = named - {f"path.{key}" for key in base.nodes.get("path") or {}}
    implied = {
        option
        for option, keys in IMPLIED_BY.items()
        if any(key == name or name.startswith(f"{key}.") for key in keys for name in open_keys)
    }
    # In training nothing else walks a path. For new chains the verb's own default does.
    if verb == "train" and any(word.partition(".")[0].partition("=")[0] == "path" for word in named | implied):
        implied.add("sampler=tempering")
    return parse([word for word in sorted(implied) if word.partition("=")[0] in set(verb_groups(verb)) - named])


def separate_kernel(overrides: list[Override], config: dict[str, Any]) -> tuple[list[Override], list[Override]]:
    """Return the words that choose another kernel within the sampler, as words for a sampler, and all other words.

    `sampler.kernel=hmc sampler.kernel.leapfrog_steps=6` becomes `sampler=hmc sampler.leapfrog_steps=6`. Raises
    InputError for a kernel that is not a sampler's name.
    """
    key = "sampler.kernel"
    names = [str(o.value()) for o in overrides if o.key_or_group == key and not isinstance(o.value(), dict)]
    if not names or not isinstance((config.get("sampler") or {}).get("kernel"), dict):
        return [], overrides
    if names[-1] not in KERNELS:
        raise InputError(
            f"{key} must name one of {', '.join(KERNELS)}, got {names[-1]}{nearest_hint(names[-1], KERNELS)}"
        )
    inner = [o for o in overrides if o.key_or_group.partition(".")[0] == "sampler" and o.key_or_group.startswith(key)]
    return parse([text(o).replace(key, "sampler", 1) for o in inner]), [o for o in overrides if o not in inner]


def repeats_run_option(override: Override, base: Base, known: dict[str, dict[str, Path]]) -> bool:
    """Return True if the line chooses the option that the run already has. The run's values then stay."""
    node, name = base.nodes.get(override.key_or_group), str(override.value())
    if node is None or override.key_or_group in LIST_GROUPS or name not in known[override.key_or_group]:
        return False
    own = yaml.safe_load(known[override.key_or_group][name].read_text()).get("_target_")
    return own != "???" and own == node.get("_target_")


def is_no_recipe(override: Override) -> bool:
    """Return True for `experiment=null`. It chooses the verb's own defaults, but Hydra does not accept it."""
    return override.key_or_group == "experiment" and not override.is_sweep_override() and override.value() is None


def append_current_folder() -> None:
    """Append the current folder to the import path, because a user's own modules may be in it."""
    here = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)] + [here]
