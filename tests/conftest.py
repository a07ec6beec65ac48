"""Set one thread, no display, no CUDA test without a CUDA device, and figures drawn only for tests about figures."""

# ebm_cli must not be imported here: pytest loads this file before jaxtyping's import hook is in place.
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import threadpoolctl
import torch
from matplotlib.figure import Figure

from tests import Calls

matplotlib.use("Agg")
# The threads of BLAS wait busily for each other: on shared cores a fit of a mixture takes ten times as long with two.
# The variable holds for what is loaded later and for other processes, the call for what is loaded already.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
threadpoolctl.threadpool_limits(1, user_api="blas")
# The secret that signs runs is one of the tests' own, which lasts as long as they do.
STATE = tempfile.TemporaryDirectory(prefix="ebm-state-")
os.environ["XDG_STATE_HOME"] = STATE.name
torch.set_num_threads(1)
# A white PNG of one pixel.
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a49444154789c63f80f0001010100b138f614000000"
    "0049454e44ae426082"
)
DRAW = Figure.savefig
# Files with a test of several seconds, which run first.
LONG_FILES = ("test_readme", "test_engine", "test_frechet", "test_composition", "test_verbs", "test_known_density")


def leave_to_the_system(file: int) -> None:
    """Replace os.fsync: nothing in a test must outlive a power failure, and a run waits for the disk 100 times."""


os.fsync = leave_to_the_system  # type: ignore[assignment]


def write_pixel(figure: Figure, file: Any, **options: Any) -> None:
    """Write one pixel for a figure; layout and drawing take two thirds of the time of a short run."""
    if hasattr(file, "write"):
        file.write(PIXEL)
    elif Path(file).suffix == ".png":
        Path(file).write_bytes(PIXEL)
    else:
        DRAW(figure, file, **options)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Draw figures only in a test that is marked `figures`, and in the fixtures that it sets up; count calls anew."""
    Calls.test += 1
    Figure.savefig = DRAW if item.get_closest_marker("figures") else write_pixel  # type: ignore[method-assign]


def pytest_configure(config: pytest.Config) -> None:
    # OmegaConf's classes derive from typing.MutableMapping, of which beartype warns where they are annotated.
    warning = "beartype.roar.BeartypeDecorHintPep585DeprecationWarning"
    config.addinivalue_line("filterwarnings", f"ignore::{warning}")


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of every later garbage collection."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A long file that comes last would leave the other worker idle.
    items.sort(key=lambda item: item.path.stem not in LONG_FILES)
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("cuda"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def same_weights() -> None:
    """A network that a test makes begins at the same weights in whatever order tests run."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def same_import_path() -> Iterator[None]:
    """A command line appends the current folder to the import path; the next test does not see it."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one for the length of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search a step size with few chains, on a density fitted to few rows."""
    for name, value in {"N_CHAINS": 16, "N_STEPS": 100, "N_FIT_ROWS": 60, "N_CHECK_ROWS": 30}.items():
        monkeypatch.setattr(f"ebm_cli.training.step_size.{name}", value)


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
