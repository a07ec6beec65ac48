"""One thread, no display, and no CUDA test where there is no CUDA device."""

# ebm_cli must not be imported here: pytest loads this file before jaxtyping's import hook is in place.
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
import torch

matplotlib.use("Agg")
# The secret that signs runs is one of the tests' own, which lasts as long as they do.
STATE = tempfile.TemporaryDirectory(prefix="ebm-state-")
os.environ["XDG_STATE_HOME"] = STATE.name
torch.set_num_threads(1)


def pytest_configure(config: pytest.Config) -> None:
    # OmegaConf's classes derive from typing.MutableMapping, of which beartype warns where they are annotated.
    warning = "beartype.roar.BeartypeDecorHintPep585DeprecationWarning"
    config.addinivalue_line("filterwarnings", f"ignore::{warning}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """A network that a test makes begins at the same weights in whatever order tests run."""
    torch.manual_seed(0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one for the length of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def float64() -> Iterator[None]:
    """New tensors are float64 inside the test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def rng() -> torch.Generator:
    """A CPU generator with a fixed seed."""
    return torch.Generator().manual_seed(0)
