"""Which chains an estimate may use: broken and stuck ones are named and set apart, the good ones kept."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ebm_cli.chain.chain_file import Chains

LEAST_CHAINS = 2
LEAST_DRAWS = 4


@dataclass(frozen=True)
class Screened:
    """Chains sorted by what is wrong with them. good: the sound ones; None when too few are left.

    remarks: one sentence a fault, with chain numbers. stuck: names of chains that never moved. fatal: why no
    estimate can be given, or empty.
    """

    good: Chains | None
    remarks: list[str]
    stuck: list[int]
    fatal: str


def screen(chains: Chains) -> Screened:
    """Sort chains into sound, not finite and never moved."""
    flat = chains.flat()
    names = chains.names or list(range(len(flat)))
    finite: np.ndarray = np.asarray(np.isfinite(flat).all((1, 2)))
    if chains.potential is not None:
        finite = finite & np.isfinite(chains.potential).all(1)
    moved = np.array([bool((chain != chain[:1]).any()) for chain in flat])
    broken = [i for i in range(len(flat)) if not finite[i]]
    stuck = [i for i in range(len(flat)) if finite[i] and not moved[i]] if flat.shape[1] > 1 else []
    sound = [i for i in range(len(flat)) if finite[i] and moved[i]]
    remarks = list(chains.remarks)
    if broken:
        remarks.append(f"{listed([names[i] for i in broken])} not finite, left out")
    if stuck:
        remarks.append(f"{listed([names[i] for i in stuck])} never moved, left out")
    still = never_moving(flat[sound]) if len(sound) and len(flat[0]) > 1 else []
    if name := together([chains.coordinate(i) for i in still]):
        remarks.append(f"{name} never moved in any chain, so nothing is known of it")
    if same := identical(flat[sound]):
        first, second = (names[sound[i]] for i in same)
        remarks.append(f"chains {first} and {second} are the same draws, so that they count as more than they are")
    fatal = ""
    draws = flat.shape[1]
    if draws < LEAST_DRAWS:
        few = f"{draws} draws a chain are fewer than the {LEAST_DRAWS} needed: raise steps or lower thin"
        fatal = "; ".join([*chains.remarks, few])
    elif len(sound) < LEAST_CHAINS:
        reason = "; ".join(remarks) if remarks else f"there is {len(sound)} chain"
        fatal = f"{reason}: fewer than {LEAST_CHAINS} sound chains are left; raise chains"
        if remarks:
            fatal += ", or lower sampler.step_size"
    return Screened(None if fatal else chains.only(sound), remarks, [names[i] for i in stuck], fatal)


def identical(flat: Float[np.ndarray, "chain draw size"]) -> tuple[int, int] | None:
    """Two chains with the same draws; None if there are none."""
    seen: dict[bytes, int] = {}
    for i, chain in enumerate(flat):
        content = hashlib.sha256(np.ascontiguousarray(chain).tobytes()).digest()
        if content in seen:
            return seen[content], i
        seen[content] = i
    return None


def never_moving(flat: Float[np.ndarray, "chain draw size"]) -> list[int]:
    """The coordinates that are constant within every chain."""
    return np.flatnonzero((flat == flat[:, :1]).all((0, 1))).tolist()


def together(names: list[str]) -> str:
    """'x[1]', 'x[1] and x[2]', or 'x[1], x[2], x[3] and 40 more'; empty for none."""
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def listed(names: list[int]) -> str:
    """'chain 3', 'chains 3 and 5', or 'chains 3, 5, 8 and 40 more'."""
    if len(names) == 1:
        return f"chain {names[0]}"
    if len(names) <= 4:
        return f"chains {', '.join(map(str, names[:-1]))} and {names[-1]}"
    return f"chains {', '.join(map(str, names[:3]))} and {len(names) - 3} more"
