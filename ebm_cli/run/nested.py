"""Nested dicts, read by dotted keys."""

from typing import Any


def flatten(node: dict[Any, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the dotted keys and the values of a nested dict."""
    pairs: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            pairs += flatten(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def value_at(node: Any, key: str) -> Any:
    """Return the value of a dotted key; None if the key does not exist."""
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node
