"""Parse the words of a command line, quote their values, and write them as text again."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ebm_cli.check import InputError

# Keys whose value is a path, and keys that never take several paths.
PATH_KEYS = (
    *("out", "name", "run", "init", "resume", "data.path", "score", "log_weights"),
    *("condition.path", "metric.out_of_distribution.rows"),
)
SINGLE_PATH_KEYS = ("out", "name")


class WrongWords(InputError):
    """Some words of a line are wrong, whatever the other words are.

    wrong: each wrong word with its message.
    """

    def __init__(self, wrong: list[tuple[Override, str]]) -> None:
        super().__init__(*(message for _, message in wrong))
        self.words = [override for override, _ in wrong]


def parse(arguments: list[str]) -> list[Override]:
    """Return command-line words as Hydra overrides. Raises InputError that names each word that cannot be read."""
    parser = OverridesParser.create()
    arguments = [word for argument in arguments for word in with_option_of_condition(argument)]
    parsed: list[Override] = []
    wrong: list[str] = []
    for word in arguments:
        key, mark, _ = word.partition("=")
        if not mark and not word.startswith("~"):
            hint = " (flags are -m and --help)" if word.startswith("-") else ""
            wrong.append(f"{word!r} is not of the form KEY=VALUE{hint}")
            continue
        if not key.strip("+~ "):
            wrong.append(f"{word!r} names no key: it must be of the form KEY=VALUE")
            continue
        try:
            parsed.append(parser.parse_override(with_quoted_path(word)))
            # Hydra reads some values only when they are used.
            parsed[-1].value()
        except (HydraException, ValueError) as error:
            detail = (str(error).splitlines() or [type(error).__name__])[0]
            wrong.append(f"{word!r} cannot be read ({detail}); quote values with spaces, commas or brackets")
    if wrong:
        raise InputError(*wrong)
    return parsed


def with_option_of_condition(word: str) -> list[str]:
    """Return the words of a short condition: condition=FILE.npy, condition=FILE.csv or condition=class:3."""
    key, _, value = word.partition("=")
    if key != "condition":
        return [word]
    if value.startswith("class:"):
        return ["condition=label", f"condition.label={value.removeprefix('class:')}"]
    if not Path(value).suffix:
        return [word]
    return [f"condition={'mask' if value.endswith('.npy') else 'rows'}", f"condition.path={value}"]


def with_quoted_path(word: str) -> str:
    """Return the word with its value quoted for Hydra if it is a path, because a path may contain any character.

    A value that is quoted, null, an interpolation or a list of paths to sweep over does not change.
    """
    key, _, value = word.partition("=")
    if key == "energy.runs" and value[:1] == "[" and value[-1:] == "]" and not value[1:].strip().startswith(("'", '"')):
        return f"{key}=[{','.join(path_text(path) for path in paths_in(value[1:-1]))}]"
    if key not in PATH_KEYS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return word
    several = "," in value or re.match(r"(choice|range|glob|sort|shuffle|tag)\(", value)
    return word if several and key not in SINGLE_PATH_KEYS and not path_exists(value) else f"{key}={path_text(value)}"


def paths_in(text: str) -> list[str]:
    """Return the paths of a list. A comma does not separate paths if it is part of an existing path."""
    pieces = text.split(",") if text.strip() else []
    found: list[str] = []
    while pieces:
        joined = [",".join(pieces[:count]).strip() for count in range(len(pieces), 0, -1)]
        path = next((path for path in joined if path_exists(path)), joined[-1])
        found.append(path)
        pieces = pieces[len(pieces) - joined.index(path) :] if path in joined else []
    return found


def path_exists(path: str) -> bool:
    """Return True if a path exists; False for text that cannot be a path."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def text(override: Override) -> str:
    """Return the override as the user typed it."""
    return override.input_line or ""


def quote(value: Any) -> str:
    """Return a plain value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(quote(item) for item in value) + "]"
    return repr(value)


def path_text(path: str) -> str:
    """Return a path in Hydra's override grammar, quoted only if necessary."""
    word = re.fullmatch(r"[A-Za-z_./][\w./-]*", path, flags=re.ASCII) is not None
    return path if word and path.lower() not in ("true", "false", "null", "nan", "inf") else quote(path)


def unquote(value: str) -> str:
    """Return a word's value as text, without the quotes of Hydra's grammar."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    return str(OverridesParser.create().parse_override(f"key={value}").value())


def sweep_jobs(overrides: list[Override], max_jobs: int) -> list[list[Override]]:
    """Return every combination of the values that sweep overrides list; the last key varies fastest.

    max_jobs: raise InputError if there are more jobs.
    """
    jobs: list[list[str]] = [[]]
    for override in overrides:
        if not override.is_sweep_override():
            words = [text(override)]
        elif override.is_discrete_sweep() or override.is_range_sweep():
            key = override.get_key_element()
            try:
                words = [f"{key}={value}" for value in islice(override.sweep_string_iterator(), max_jobs + 1)]
            except (HydraException, ValueError, TypeError, ArithmeticError):
                words = []
            if not words:
                raise InputError(f"{text(override)!r} lists no values to sweep over")
        else:
            raise InputError(f"{text(override)!r} cannot be swept: list its values, or use range(…)")
        if len(jobs) * len(words) > max_jobs:
            raise InputError(f"{text(override)!r} makes more than {max_jobs:,} jobs")
        jobs = [[*job, word] for job in jobs for word in words]
    return [parse(job) for job in jobs]
