"""Runs of format 8 and older had one tempering node. It is read as a path and a kernel that make the same steps."""

from typing import Any

import pytest

from ebm_cli.assembly.build import make
from ebm_cli.run.old_formats import migrate_config

OLD = {
    "_target_": "ebm_cli.sampler.tempering.Tempering",
    "step_size": 0.02,
    "temperature": 2.0,
    "temperatures": [1.0, 4.0],
    "replicas": 8,
    "hottest": 30.0,
    "short": 0.5,
    "scales": None,
}


def read(old: dict[str, Any]) -> Any:
    """Return the sampler of an old run."""
    config = migrate_config({"made": {"format": 8}, "sampler": old})
    return make(config["sampler"], path=make(config["path"]))


def leapfrog_steps(sampler: Any) -> list[float]:
    """Return the step ε of each replica."""
    return [sampler.kernel.step_size * factor for factor in sampler.replica_step_factors]


def expected_steps(η: tuple[float, float]) -> Any:
    """Return the ε of the same steps: MALA with step η at temperature Tτ is one leapfrog step of ε = √(2ηTτ)."""
    return pytest.approx([(2 * step * 2.0 * τ) ** 0.5 for step, τ in zip(η, (1.0, 4.0), strict=True)])


def test_one_step_size_of_all_temperatures_is_kept() -> None:
    sampler = read(OLD)
    assert leapfrog_steps(sampler) == expected_steps((0.02, 0.02))
    assert sampler.path.ladder == [1.0, 4.0] and sampler.kernel.short == 0.5 and sampler.kernel.leapfrog_steps == 1


def test_the_tuned_step_size_of_each_temperature_is_kept() -> None:
    sampler = read(OLD | {"step_size": [0.02, 0.01]})
    assert leapfrog_steps(sampler) == expected_steps((0.02, 0.01))
