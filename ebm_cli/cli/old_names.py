"""Old names of keys on a command line. For one release they are accepted, with one line that gives the new name."""

import sys
from functools import cache
from typing import Any

from hydra.core.override_parser.types import Override

from ebm_cli.cli.words import parse, text
from ebm_cli.run.renamed_keys import new_key


def with_new_key(override: Override, config: dict[str, Any]) -> Override:
    """Return the override under the new name of its key, if `config` has only the new name."""
    key = override.key_or_group
    new = new_key(config, key)
    if new is None:
        return override
    announce(key, new)
    return parse([text(override).replace(key, new, 1)])[0]


@cache
def announce(old: str, new: str) -> None:
    """Print, once per process, that a key has a new name."""
    sys.stderr.write(f"note: {old} is now called {new}; the next release will not accept the old name\n")
