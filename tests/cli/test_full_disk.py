"""Test a full disk and a limit on file sizes: one line reports them, no traceback appears, and the run can continue."""

import errno
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ebm_cli.cli import main
from ebm_cli.cli.failures import quiet_threads
from ebm_cli.run.writing import write_array

DRAWN = ["energy=double_well", "sampler=mala", "chains=16", "steps=400", "thin=1"]
TRAINED = ["data=gaussians_8", "experiment=null", "energy.width=64", "trainer.batch_size=8", "start.size=16"]


@contextmanager
def no_file_larger(size: int) -> Iterator[None]:
    """Limit files to `size` bytes, like a full disk. Python ignores the signal of the limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["sample", *DRAWN], 30_000),
        (["train", *TRAINED, "trainer.steps=2", "objective.steps=1"], 20_000),
        (["sample", *DRAWN], 10),
    ],
)
def test_a_limit_on_file_sizes_is_reported_in_one_line(
    words: list[str], size: int, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    with no_file_larger(size):
        code = main([*words, "out=r"])
    said = capsys.readouterr().err
    assert code == 1 and "failed: File too large" in said
    assert "report it" not in said and "Traceback" not in said


def test_a_disk_error_in_a_thread_is_raised_by_the_thread_that_waits_for_it(capsys) -> None:
    def meets(error: Exception) -> str:
        def write() -> None:
            raise error

        with quiet_threads():
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
        return capsys.readouterr().err

    with pytest.MonkeyPatch.context() as patch:
        # pytest has a hook of its own.
        patch.setattr(threading, "excepthook", threading.__excepthook__)
        assert meets(OSError(errno.ENOSPC, "No space left on device")) == ""
        assert "Traceback" in meets(OSError(errno.ENOENT, "No such file")) and "Traceback" in meets(ValueError("x"))


@pytest.mark.parametrize("size", [2_000, 40_000])
def test_chains_that_do_not_fit_leave_no_partial_file(size: int, tmp_path: Path) -> None:
    # A separate process is used, because HDF5 once crashed the whole process.
    program = f"""
import numpy as np, pathlib, resource
from ebm_cli.chain import chain_file
chains = chain_file.Chains(x=np.zeros((8, 2000, 2), "f4"), names=list(range(8)))
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
try:
    chain_file.write(pathlib.Path("c.nc"), chains, 1.0, {{}})
except OSError as error:
    print(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{errno.EFBIG}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_an_array_that_does_not_fit_gives_the_reason_and_keeps_the_earlier_array(tmp_path: Path) -> None:
    path = tmp_path / "samples.npy"
    write_array(path, np.arange(3))
    with no_file_larger(5_000), pytest.raises(OSError, match="too large") as caught:
        write_array(path, np.zeros(10_000))
    assert caught.value.errno == errno.EFBIG
    assert np.load(path).tolist() == [0, 1, 2] and list(tmp_path.iterdir()) == [path]
