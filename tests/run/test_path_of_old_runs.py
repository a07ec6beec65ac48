"""Tempering of runs of format 8 and older is read with the path and the kernel that it had."""

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


def test_one_step_for_all_temperatures_stays_one() -> None:
    config = migrate_config({"made": {"format": 8}, "sampler": OLD})
    sampler = make(config["sampler"], path=make(config["path"]))
    # η = ε²/2 in units of x² per E/T is ηTτ in those of the path: ε = √(2ηTτ).
    assert [sampler.kernel.step_size * factor for factor in sampler.step_sizes] == pytest.approx(
        [(2 * 0.02 * 2.0 * tau) ** 0.5 for tau in (1.0, 4.0)]
    )
    assert sampler.path.ladder == [1.0, 4.0] and sampler.kernel.short == 0.5 and sampler.kernel.leapfrog_steps == 1


def test_tuned_steps_of_each_temperature_stay() -> None:
    config = migrate_config({"made": {"format": 8}, "sampler": OLD | {"step_size": [0.02, 0.01]}})
    sampler = make(config["sampler"], path=make(config["path"]))
    assert [sampler.kernel.step_size * factor for factor in sampler.step_sizes] == pytest.approx(
        [(2 * η * 2.0 * tau) ** 0.5 for η, tau in ((0.02, 1.0), (0.01, 4.0))]
    )
