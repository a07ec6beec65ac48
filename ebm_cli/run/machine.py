"""Where a run computes: device, number type and threads, with what `auto` means."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from ebm_cli import check

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Machine:
    """A resolved device, dtype and thread count: what config.yaml records."""

    device: str
    dtype: str
    threads: int

    @contextmanager
    def used(self) -> Iterator[None]:
        """Inside the block floating-point tensors are of this type and torch has these threads; both are restored."""
        threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
        torch.set_num_threads(self.threads)
        torch.set_default_dtype(DTYPES[self.dtype])
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_default_dtype(dtype)


def resolve(device: Any, dtype: Any, threads: Any) -> Machine:
    """Machine with `auto` decided: CUDA where there is one; one thread a process.

    One thread is the default because a chain's step is many small operations, which gain little from a second
    thread and lose much when cores are shared; large networks on a free machine want threads=N.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        raise check.InputError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}") from None
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise check.InputError(f"device={device} is not there: this torch sees no CUDA device; use device=cpu")
    if device.startswith("cuda:") and int(device[5:]) >= torch.cuda.device_count():
        raise check.InputError(f"device={device} is not there: this machine has {torch.cuda.device_count()}")
    check.one_of("dtype", dtype, DTYPES)
    if threads == "auto":
        threads = 1
    check.count("threads", threads)
    cores = os.cpu_count() or 1
    if threads > cores:
        raise check.InputError(f"threads must be <= {cores}, the cores of this machine, got {threads}")
    return Machine(device, dtype, threads)
