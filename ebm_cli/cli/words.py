"""The words of a command line: parsed, quoted, and written as text again."""

import re
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from ebm_cli.check import InputError

# Keys whose value is a path, and those of them that take one path only.
PATHS = ("out", "name", "run", "init", "resume", "data.path", "score", "log_weights")
ONE_PATH = ("out", "name")


class WrongWords(InputError):
    """Some words of a line are wrong by themselves: with what to say of each."""

    def __init__(self, wrong: list[tuple[Override, str]]) -> None:
        super().__init__(*(message for _, message in wrong))
        self.words = [override for override, _ in wrong]


def parse(arguments: list[str]) -> list[Override]:
    """Command-line words as Hydra overrides; InputError names each that cannot be read."""
    parser = OverridesParser.create()
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
            parsed.append(parser.parse_override(literal(word)))
            # Hydra reads some values only when asked for them.
            parsed[-1].value()
        except (HydraException, ValueError) as error:
            detail = (str(error).splitlines() or [type(error).__name__])[0]
            wrong.append(f"{word!r} cannot be read ({detail}); quote values with spaces, commas or brackets")
    if wrong:
        raise InputError(*wrong)
    return parsed


def literal(word: str) -> str:
    """The word, its value quoted for Hydra where it is a path: any character may stand in a folder's name.

    A value that is quoted, null, or an interpolation stays, and so does a list of paths to sweep over.
    """
    key, _, value = word.partition("=")
    if key == "energy.runs" and value[:1] == "[" and value[-1:] == "]" and not value[1:].strip().startswith(("'", '"')):
        return f"{key}=[{','.join(path_text(path) for path in paths_in(value[1:-1]))}]"
    if key not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return word
    several = "," in value or re.match(r"(choice|range|glob|sort|shuffle|tag)\(", value)
    return word if several and key not in ONE_PATH and not is_there(value) else f"{key}={path_text(value)}"


def paths_in(text: str) -> list[str]:
    """The paths of a list; a comma inside the name of a path that exists does not split it."""
    pieces = text.split(",") if text.strip() else []
    found: list[str] = []
    while pieces:
        joined = [",".join(pieces[:count]).strip() for count in range(len(pieces), 0, -1)]
        path = next((path for path in joined if is_there(path)), joined[-1])
        found.append(path)
        pieces = pieces[len(pieces) - joined.index(path) :] if path in joined else []
    return found


def is_there(path: str) -> bool:
    """Whether a path exists; false for what cannot be one."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def text(override: Override) -> str:
    """The override as the user typed it."""
    return override.input_line or ""


def quoted(value: Any) -> str:
    """A plain value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(quoted(item) for item in value) + "]"
    return repr(value)


def path_text(path: str) -> str:
    """A path in Hydra's override grammar: as it is where that needs no quotes."""
    word = re.fullmatch(r"[A-Za-z_./][\w./-]*", path, flags=re.ASCII) is not None
    return path if word and path.lower() not in ("true", "false", "null", "nan", "inf") else quoted(path)


def unquoted(value: str) -> str:
    """A word's value as text, without the quotes of Hydra's grammar."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    return str(OverridesParser.create().parse_override(f"key={value}").value())


def sweep_jobs(overrides: list[Override], most: int) -> list[list[Override]]:
    """Every combination of the values that sweep overrides list, the last key varying fastest; at most so many."""
    jobs: list[list[str]] = [[]]
    for override in overrides:
        if not override.is_sweep_override():
            words = [text(override)]
        elif override.is_discrete_sweep() or override.is_range_sweep():
            key = override.get_key_element()
            try:
                words = [f"{key}={value}" for value in islice(override.sweep_string_iterator(), most + 1)]
            except (HydraException, ValueError, TypeError, ArithmeticError):
                words = []
            if not words:
                raise InputError(f"{text(override)!r} lists no values to sweep over")
        else:
            raise InputError(f"{text(override)!r} cannot be swept: list its values, or use range(…)")
        if len(jobs) * len(words) > most:
            raise InputError(f"{text(override)!r} makes more than {most:,} jobs")
        jobs = [[*job, word] for job in jobs for word in words]
    return [parse(job) for job in jobs]


def swept(overrides: list[Override]) -> list[str]:
    """The keys that sweep."""
    return [o.key_or_group for o in overrides if o.is_sweep_override()]
