"""The coordinates of a mask are known."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.condition.mask import Mask


def example() -> dict[str, Any]:
    path = Path(tempfile.mkdtemp(dir=tempfile.gettempdir())) / "mask.npy"
    np.save(path, np.eye(8, dtype=bool))
    return {"path": str(path)}


def test_a_mask_of_pixels_holds_for_every_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.eye(4, dtype=np.int64))
    seen = Mask(str(tmp_path / "mask.npy")).observe("row", torch.zeros(3, 4, 4), torch.Generator())
    assert seen.known is not None
    assert torch.equal(seen.known, torch.eye(4, dtype=torch.bool).expand(3, 4, 4))


def test_wrong_masks_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "mask.npy", np.zeros((3, 3), bool))
    np.save(tmp_path / "levels.npy", np.full((4, 4), 0.5))
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(InputError, match=r"must have the shape \[1, 4, 4\] of a state, got \[3, 3\]"):
        Mask(str(tmp_path / "mask.npy")).observe("row", torch.zeros(1, 4, 4), torch.Generator())
    for path, words in ((tmp_path / "levels.npy", "zeros and ones"), ("none.npy", "is not a file")):
        with pytest.raises(InputError, match=words):
            Mask(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        Mask(str(tmp_path / "text.npy"))
