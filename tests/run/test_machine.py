"""A machine's threads are those of torch and of BLAS inside the block, and what was set before returns."""

import threadpoolctl
import torch

from ebm_cli.run.machine import Machine


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}


def test_threads_of_torch_and_of_blas_are_those_of_the_machine_inside_the_block() -> None:
    before = torch.get_num_threads(), torch.get_default_dtype()
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with Machine("cpu", "float64", 1).activate():
            assert torch.get_num_threads() == 1 and blas_threads() == {1}
            assert torch.get_default_dtype() == torch.float64
        assert blas_threads() == {2}
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before
