"""The device, the number type and the number of threads of a run, and the values that `auto` stands for."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import threadpoolctl
import torch

from ebm_cli import check

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Machine:
    """The device, number type and number of threads of a run, in the form that config.yaml records."""

    device: str
    dtype: str
    threads: int

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Set torch's default number type, and the threads of torch and of the BLAS of NumPy, inside the block.

        The threads of OpenBLAS wait busily for each other: on shared cores a fit of a mixture takes several times as
        long with two.
        """
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        torch.set_num_threads(self.threads)
        torch.set_default_dtype(DTYPES[self.dtype])
        try:
            with threadpoolctl.threadpool_limits(self.threads, user_api="blas"):
                yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)


def default_device(device: str) -> AbstractContextManager[Any]:
    """Return a context in which new tensors are on this device.

    torch's own context makes every call slower. Therefore there is none where the device is the default already.
    """
    wanted = torch.device(device)
    return nullcontext() if torch.get_default_device() == wanted else wanted


def resolve(device: Any, dtype: Any, threads: Any) -> Machine:
    """Return the machine with the values that `auto` stands for: CUDA if available, and one thread per process.

    One thread is the default because a step of a chain consists of many small operations. They gain little from a
    second thread and lose much when cores are shared. Large networks on a free machine need threads=N.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        raise check.InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise check.InputError(f"device={device} is not available: torch finds no CUDA device; use device=cpu")
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        raise check.InputError(f"device={device} is not available: this machine has {torch.cuda.device_count()}")
    check.one_of("dtype", dtype, DTYPES)
    threads = 1 if threads == "auto" else threads
    check.count("threads", threads)
    cores = os.cpu_count() or 1
    if threads > cores:
        raise check.InputError(f"threads must be <= {cores}, the number of cores of this machine, got {threads}")
    return Machine(device, dtype, threads)
