"""Read the YAML files of runs and sweeps as plain values, and sign them for the user who writes them.

A signature is an HMAC-SHA256 of the text before it, keyed by a secret in the user's state folder (RFC 2104). It proves
that the text is as this user's ebm wrote it, wherever its folder is moved.
"""

import copy
import hashlib
import hmac
import os
import re
import secrets
import stat
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from ebm_cli.run.damage import damage_error
from ebm_cli.run.writing import write_synced

SIGNATURE_MARK = "# signature: "
MAX_BYTES = 1 << 20
MAX_VALUES = 200_000
MAX_DEPTH = 40
PLAIN_TYPES = (type(None), bool, int, float, str)


class _Loader(yaml.SafeLoader):
    """The safe loader without merge keys, because they can expand without bound."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", node.start_mark)


class _Dumper(yaml.SafeDumper):
    """The safe dumper without aliases: equal lists are written twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def dump(values: dict[str, Any]) -> str:
    """Return plain values as YAML, with this user's signature in the last line if the user has a secret."""
    body = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    secret = user_secret(create=True)
    return body if secret is None else f"{body}{SIGNATURE_MARK}{_signature(secret, body)}\n"


def is_signed(text: str) -> bool:
    """Return True if this user's ebm wrote exactly this text."""
    body, mark, last = text.rpartition(SIGNATURE_MARK)
    if not mark or not re.fullmatch(r"[0-9a-f]{64}\n", last):
        return False
    secret = user_secret(create=False)
    return secret is not None and hmac.compare_digest(_signature(secret, body), last.strip())


def read_text(path: Path) -> str:
    """Return the file's text. Raises InputError if it is too large or not text, and OSError if it cannot be read."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise damage_error(path, f"it is larger than {MAX_BYTES:,} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise damage_error(path, " ".join(str(error).split())) from None


def load(text: str, path: Path) -> dict[str, Any]:
    """Return the text as a dict of plain values. Raises InputError, naming `path`, if it is anything else."""
    try:
        values = copy.deepcopy(_parsed(text))
    except yaml.YAMLError as error:
        raise damage_error(path, " ".join(str(error).split())[:200]) from None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, LookupError) as error:
        raise damage_error(path, f"it is not plain YAML ({type(error).__name__})") from None
    if not isinstance(values, dict):
        raise damage_error(path, "it does not describe a run or a sweep")
    _require_plain(values, path)
    return values


@lru_cache(maxsize=32)
def _parsed(text: str) -> Any:
    """Return the text's values. A verb reads the configuration of its run and of that run's relatives often."""
    # _Loader is a subclass of the safe loader. libyaml's own is not used: nested text ends the process in it.
    return yaml.load(text, Loader=_Loader)


def interpolations(node: Any, prefix: str = "") -> list[str]:
    """Return the keys whose name or value contains `${`. Nothing resolves such interpolations of a stored file."""
    if isinstance(node, dict):
        inside = [found for key, value in node.items() for found in interpolations(value, f"{prefix}{key}.")]
        return [*inside, *(f"{prefix}{key}" for key in node if "${" in key)]
    if isinstance(node, list):
        return [found for item in node for found in interpolations(item, prefix)]
    return [prefix.rstrip(".")] if isinstance(node, str) and "${" in node else []


def state_folder() -> Path:
    """Return the user's folder for state: $XDG_STATE_HOME/ebm, or ~/.local/state/ebm."""
    given = os.environ.get("XDG_STATE_HOME", "")
    return (Path(given) if Path(given).is_absolute() else Path.home() / ".local" / "state") / "ebm"


def user_secret(create: bool) -> bytes | None:
    """Return this user's secret; None if the user has none or if others can read it.

    create: True to make a secret with mode 600 if the user has none.
    """
    try:
        path = state_folder() / "secret"
        if create and not path.exists():
            _make_secret(path)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as file:
            about = os.fstat(handle)
            if about.st_uid != os.getuid() or stat.S_IMODE(about.st_mode) & 0o077 or not stat.S_ISREG(about.st_mode):
                return None
            secret = file.read(1024).strip()
    except (OSError, RuntimeError):
        return None
    return secret if len(secret) >= 32 else None


def _make_secret(path: Path) -> None:
    """Write a new secret to a temporary file and link it into place. Therefore no process can read half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The temporary file has mode 600.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
    os.close(handle)
    try:
        write_synced(Path(temporary), secrets.token_hex(32).encode() + b"\n")
        # If another process was first, its secret is used.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()


def _signature(secret: bytes, body: str) -> str:
    return hmac.new(secret, b"ebm stored file\n" + body.encode(), hashlib.sha256).hexdigest()


def _require_plain(values: dict[str, Any], path: Path) -> None:
    """Raise InputError unless all keys are text and all values plain, in bounded number and depth."""
    count = 0
    todo: list[tuple[Any, str, int]] = [(values, "", 0)]
    while todo:
        node, name, depth = todo.pop()
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            raise damage_error(path, "it is nested too deeply or holds too many values")
        if isinstance(node, dict):
            for key, value in node.items():
                if not isinstance(key, str):
                    raise damage_error(path, f"the key {key!r}{f' of {name}' if name else ''} is not text")
                todo.append((value, f"{name}.{key}".lstrip("."), depth + 1))
        elif isinstance(node, list):
            todo += [(item, name, depth + 1) for item in node]
        elif not isinstance(node, PLAIN_TYPES):
            raise damage_error(path, f"{name} has type {type(node).__name__}; this is not a plain value")
