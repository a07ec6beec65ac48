"""log Z along a path through other models: by replicas, within their errors, and by no method that anneals."""

import pytest
import torch

from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.partition import log_z
from ebm_cli.path._coordinates import Integrand
from tests.contract import build
from tests.partition.paths import settings
from tests.path.test_runs import LAST, RUN, rows


def test_log_z_along_checkpoints_is_within_its_errors_and_bounds() -> None:
    path = build("path", "runs", {"base": "gaussian"}, data=rows(400), run=RUN)
    rng = torch.Generator().manual_seed(0)
    x = torch.where(torch.rand(400, 1, generator=rng) < 0.25, -3.0, 3.0) + 0.4 * torch.randn(400, 1, generator=rng)
    integrand = Integrand(LAST, 1.0, (1,), x, 0)
    found = log_z(integrand, settings(method="auto", steps=200), Budget(), path).estimate
    assert found.value is not None and abs(found.value - 3.0) < 4 * found.se < 0.6
    assert found.lower < 3.0 < found.upper and "multistate estimate" in found.reason


def test_annealing_along_models_is_refused_by_name() -> None:
    path = build("path", "runs", data=rows(50), run=RUN)
    with pytest.raises(InputError, match=r"method=smc does not follow path=runs\. Type method=ti, or path=base"):
        log_z(Integrand(LAST, 1.0, (1,), None, 0), settings(method="smc"), Budget(), path)
