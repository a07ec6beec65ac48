"""Screening: broken and stuck chains are reported and left out."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from ebm_cli.chain.chains import Chains
from ebm_cli.data import DISCRETE

MIN_CHAINS = 2
MIN_DRAWS = 4
MAX_NAMES = 4


@dataclass(frozen=True)
class ScreeningResult:
    """The usable chains, and the faults of the others.

    usable: the chains without a fault; None if too few are left.
    warnings: one sentence per fault, with chain numbers. They become cautions of every estimate.
    stuck: numbers of the chains that never moved.
    error: why estimates cannot be given; empty if they can.
    """

    usable: Chains | None
    warnings: list[str]
    stuck: list[int]
    error: str


def screen(chains: Chains) -> ScreeningResult:
    """Return the chains that are finite and have moved, and the faults of all others."""
    flat, names = chains.flat(), chains.numbers()
    finite = finite_chains(chains)
    moved = np.array([bool((chain != chain[:1]).any()) for chain in flat])
    usable = np.flatnonzero(finite & moved).tolist()
    broken = [names[i] for i in np.flatnonzero(~finite)]
    stuck = [names[i] for i in np.flatnonzero(finite & ~moved)] if flat.shape[1] > 1 else []
    warnings = list(chains.warnings)
    if broken:
        warnings.append(f"{join_chain_names(broken)} not finite, left out")
    if stuck:
        warnings.append(f"{join_chain_names(stuck)} never moved, left out")
    # A value of a discrete site that no chain takes is rare. Probes start at uniform states, and would find it.
    unknown = usable and flat.shape[1] > 1 and chains.space not in DISCRETE
    still = constant_coordinates(flat[usable]) if unknown else []
    if name := join_names([chains.coordinate(i) for i in still]):
        warnings.append(f"{name} never moved in any chain, so its distribution is unknown")
    if same := identical_pair(flat[usable]):
        first, second = (names[usable[i]] for i in same)
        warnings.append(f"chains {first} and {second} are the same draws, so errors are underestimated")
    error = _error(chains, len(usable), warnings)
    return ScreeningResult(None if error else chains.only(usable), warnings, stuck, error)


def _error(chains: Chains, usable: int, warnings: list[str]) -> str:
    """Return why estimates cannot be given; empty if they can."""
    draws = chains.x.shape[1]
    if draws < MIN_DRAWS:
        few = f"{draws} draws per chain are fewer than the {MIN_DRAWS} needed. Increase steps or decrease thin"
        return "; ".join([*chains.warnings, few])
    if usable >= MIN_CHAINS:
        return ""
    reason = "; ".join(warnings) if warnings else f"there is {usable} chain"
    remedy = "Increase chains" + (", or change sampler.step_size or sampler.temperature" if warnings else "")
    return f"{reason}: fewer than {MIN_CHAINS} usable chains are left. {remedy}"


def finite_chains(chains: Chains) -> Bool[np.ndarray, " chain"]:
    """Return True for each chain with only finite states and energies."""
    finite: np.ndarray = np.asarray(np.isfinite(chains.flat()).all((1, 2)))
    return finite if chains.potential is None else finite & np.isfinite(chains.potential).all(1)


def identical_pair(flat: Float[np.ndarray, "chain draw size"]) -> tuple[int, int] | None:
    """Return two chains with the same draws, if any."""
    first: dict[bytes, int] = {}
    for i, chain in enumerate(flat):
        j = first.setdefault(hashlib.sha256(np.ascontiguousarray(chain).tobytes()).digest(), i)
        if j < i:
            return j, i
    return None


def constant_coordinates(flat: Float[np.ndarray, "chain draw size"]) -> list[int]:
    """Return the coordinates that are constant within every chain."""
    return np.flatnonzero((flat == flat[:, :1]).all((0, 1))).tolist()


def join_names(names: list[str]) -> str:
    """Return 'x[1]', 'x[1] and x[2]', or 'x[1], x[2], x[3] and 40 more'; empty for an empty list."""
    if len(names) > MAX_NAMES:
        names = [*names[: MAX_NAMES - 1], f"{len(names) - MAX_NAMES + 1} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def join_chain_names(names: list[int]) -> str:
    """Return 'chain 3', 'chains 3 and 5', or 'chains 3, 5, 8 and 40 more'."""
    return f"chain{'s' if len(names) > 1 else ''} {join_names([str(name) for name in names])}"
