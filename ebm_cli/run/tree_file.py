"""A tree of tensors and plain values in a folder: the tensors in safetensors, the rest in JSON."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.run.damage import damage_error
from ebm_cli.run.old_formats import FORMAT
from ebm_cli.run.writing import sync_folder, write_synced


def write_checkpoint(folder: Path, tree: dict[str, Any]) -> None:
    """Write a tree as state.safetensors (tensors) and state.json (the rest, and the checksum of both)."""
    tensors: dict[str, Tensor] = {}
    skeleton = _strip(tree, "", tensors)
    content = save(tensors)
    write_synced(folder / "state.safetensors", content)
    head = {"format": FORMAT, "sha256": checksum(content, skeleton), "state": skeleton}
    write_synced(folder / "state.json", json.dumps(head, indent=1).encode())
    sync_folder(folder)


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """Return the tree that `write_checkpoint` wrote. Raises InputError if a file is missing, cut short or altered."""
    name = f"checkpoint {folder}"
    try:
        head = json.loads((folder / "state.json").read_text())
        content = (folder / "state.safetensors").read_bytes()
        if head["format"] > FORMAT:
            raise InputError(f"{name} has format {head['format']}, newer than this ebm reads ({FORMAT})")
        if checksum(content, head["state"]) != head["sha256"]:
            raise damage_error(name, "state.safetensors or state.json is cut short or altered")
        return _fill(head["state"], load(content))
    except FileNotFoundError as error:
        raise damage_error(name, f"{Path(str(error.filename)).name} is missing") from None
    except (json.JSONDecodeError, KeyError, TypeError, SafetensorError, UnicodeDecodeError) as error:
        raise damage_error(name, f"state.json cannot be read ({type(error).__name__})") from None


def checksum(content: bytes, skeleton: Any) -> str:
    """Return the SHA-256 of the tensors' bytes and of the rest."""
    return hashlib.sha256(content + json.dumps(skeleton).encode()).hexdigest()


def _strip(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """Return `node` with every tensor replaced by its key, and add the tensors to `tensors`."""
    if isinstance(node, Tensor):
        # safetensors refuses two tensors with the same storage.
        tensors[path] = node.detach().cpu().contiguous().clone()
        return {"tensor": path}
    if isinstance(node, dict):
        return {"dict": [[key, _strip(value, f"{path}/{key}", tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        items = [_strip(value, f"{path}/{i}", tensors) for i, value in enumerate(node)]
        return {"list": items} if isinstance(node, list) else {"tuple": items}
    return node


def _fill(node: Any, tensors: dict[str, Tensor]) -> Any:
    """Return `node` with every key replaced by its tensor."""
    if not isinstance(node, dict):
        return node
    ((kind, value),) = node.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: _fill(child, tensors) for key, child in value}
    items = [_fill(child, tensors) for child in value]
    return items if kind == "list" else tuple(items)
