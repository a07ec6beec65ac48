"""Random numbers: one independent generator per purpose, all derived from the run's one seed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor


def derive(seed: int, purpose: str) -> int:
    """A 63-bit seed for `purpose`: different purposes get unrelated streams from one run's seed."""
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, purpose: str, device: torch.device | str) -> torch.Generator:
    """A torch generator on `device` for one purpose of a run."""
    return torch.Generator(device).manual_seed(derive(seed, purpose))


def normal_like(x: Float[Tensor, "*shape"], rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Standard normal noise of x's shape, type and device."""
    return torch.randn(x.shape, generator=rng, dtype=x.dtype, device=x.device)


def signs_like(x: Float[Tensor, "*shape"], rng: torch.Generator) -> Float[Tensor, "*shape"]:
    """Return ±1 with equal probability, in the shape, type and device of x."""
    return 2 * torch.randint(2, x.shape, generator=rng, device=x.device).to(x.dtype) - 1


@contextmanager
def seeded_layers(seed: int, purpose: str) -> Iterator[None]:
    """Seed torch's global generators inside the block and restore them after it.

    torch's own layers take no generator: weight initialisation and dropout draw from the global ones.
    """
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(seed, purpose))
        yield


def global_states() -> dict[str, Tensor]:
    """The states of torch's global generators, for a checkpoint."""
    states = {"cpu": torch.get_rng_state()}
    for index in range(torch.cuda.device_count()):
        states[f"cuda:{index}"] = torch.cuda.get_rng_state(index)
    return states


def set_global_states(states: dict[str, Tensor]) -> None:
    """Restore what `global_states` returned; devices that this machine lacks are left out."""
    torch.set_rng_state(states["cpu"])
    for index in range(torch.cuda.device_count()):
        if f"cuda:{index}" in states:
            torch.cuda.set_rng_state(states[f"cuda:{index}"], index)
