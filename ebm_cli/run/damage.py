"""The error for a stored file that is damaged."""

from pathlib import Path

from ebm_cli.check import InputError


def damage_error(path: Path | str, reason: str) -> InputError:
    """Return the error for a file that cannot be used, with the reason."""
    return InputError(f"{path} is damaged: {reason}")
