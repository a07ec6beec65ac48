"""The contract of diagnostics: bad chains are named and never accepted, healthy chains are never refused."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ebm_cli.chain.chains import Chains
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate
from ebm_cli.mixing.verdict import assess_mixing
from tests.contract import build, options

LOOK_AT_NO_DRAW = {"phases", "recall", "couplings"}
EVERY = pytest.mark.parametrize("name", ["mixing", *sorted(set(options("diagnostic")) - LOOK_AT_NO_DRAW)])
CHAINS, DRAWS, BAD = 8, 400, 3
UNDEFINED_WHEN_STUCK = {"r_hat_max", "mixing"}


def draws(chains: int = CHAINS, length: int = DRAWS) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((chains, length, 2))


def examined(name: str, x: np.ndarray, names: list[int] | None = None) -> dict[str, Estimate]:
    chains = Chains(
        x=x,
        potential=0.5 * (x**2).sum(2),
        acceptance=np.ones(x.shape[:2]),
        gradients=x.shape[1] + 1,
        names=names or [],
    )
    energy = build("energy", "quadratic", {"a": 1.0}, event=(2,))
    # Of the very law, so that there is nothing to say about the model.
    patient = ChainContext(chains, energy, 1.0, data=build("data", "gaussian", {"dim": 2}))
    return (
        {"mixing": assess_mixing(patient, 0).estimate}
        if name == "mixing"
        else build("diagnostic", name)(patient).estimates
    )


@EVERY
def test_healthy_chains_are_never_refused(name: str) -> None:
    for estimate in examined(name, draws()).values():
        assert estimate.verdict == "ok", estimate


@EVERY
def test_a_chain_that_never_moved_is_named_and_the_others_kept(name: str) -> None:
    x = draws()
    x[BAD] = x[BAD, :1]
    for key, estimate in examined(name, x).items():
        assert estimate.verdict == ("refused" if key in UNDEFINED_WHEN_STUCK else "caution"), key
        assert f"chain {BAD} never moved" in estimate.reason


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_chain_that_is_not_finite_is_named_and_the_others_kept(name: str, value: float) -> None:
    x = draws()
    x[BAD, DRAWS // 2 :] = value
    good = examined(name, np.delete(x, BAD, 0))
    for key, estimate in examined(name, x).items():
        assert estimate.verdict == "caution", key
        assert f"chain {BAD} not finite" in estimate.reason
        # Random sign vectors and rounding aside, the bad chain leaves no trace in the value.
        assert estimate.value == pytest.approx(good[key].value, rel=1e-6)


@EVERY
def test_a_bad_chain_goes_by_its_number_in_the_file(name: str) -> None:
    x = draws()
    x[BAD] = x[BAD, :1]
    for estimate in examined(name, x, names=list(range(10, 10 + CHAINS))).values():
        assert f"chain {10 + BAD} " in estimate.reason


@EVERY
@pytest.mark.parametrize("length", [1, 2])
def test_too_few_draws_are_never_ok(name: str, length: int) -> None:
    for key, estimate in examined(name, draws(length=length)).items():
        assert estimate.verdict != "ok", key
        assert "steps" in estimate.reason


@EVERY
def test_chains_that_all_stand_still_are_refused(name: str) -> None:
    x = draws()
    x[:] = x[:, :1]
    for key, estimate in examined(name, x).items():
        assert estimate.verdict == "refused", key
        assert "never moved" in estimate.reason and "chains 0, 1, 2" in estimate.reason


@EVERY
def test_chains_that_are_all_not_finite_are_refused(name: str) -> None:
    x = draws()
    x[:, -1] = np.nan
    for key, estimate in examined(name, x).items():
        assert estimate.verdict == "refused", key
        assert "not finite" in estimate.reason


@EVERY
def test_a_single_chain_is_refused(name: str) -> None:
    for key, estimate in examined(name, draws(chains=1)).items():
        assert estimate.verdict == "refused", key
        assert "Increase chains" in estimate.reason


@pytest.mark.parametrize(
    ("name", "temperature", "remedy"),
    [
        ("asynchronous", 0.0, "sampler.temperature=1: at T = 0"),
        ("asynchronous", 0.5, "a higher sampler.temperature"),
        ("mala", 1.0, "sampler.step_size=0."),
    ],
)
def test_the_remedy_for_chains_that_never_moved_is_a_key_of_their_sampler(
    name: str, temperature: float, remedy: str
) -> None:
    sampler = build("sampler", name, {"temperature": temperature})
    context = ChainContext(Chains(x=np.ones((4, 10, 6))), None, temperature, sampler)
    assert remedy in assess_mixing(context, 0).estimate.reason


@pytest.mark.parametrize(
    ("kernel", "advice"),
    [("hmc", "target_accept=0.9"), ("discrete_langevin", "sampler.kernel.step_size=0.05"), ("gibbs", "a higher")],
)
def test_replicas_that_never_move_need_what_their_kernel_has(kernel: str, advice: str) -> None:
    sampler = dataclasses.replace(build("sampler", "tempering"), kernel=build("sampler", kernel))
    context: Any = SimpleNamespace(temperature=1.0, sampler=sampler)
    assert ChainContext.smaller_step(context).startswith(advice)
