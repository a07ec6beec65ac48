"""Chains that continue from their last states: persistent contrastive divergence with a replay buffer."""

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.energy import space_of
from ebm_cli.sampler._replicas import with_replica_count
from ebm_cli.start import BufferAugmentation, InitialStates, NoiseLaw


class Replay(nn.Module):
    """A buffer of `size` chains; each step draws n of them without replacement and stores their final states.

    Tieleman, 2008 (persistent CD); Du and Mordatch, 2019 (arXiv 1903.08689) for the buffer and restarts. A selected
    chain restarts with probability `restart`, every size/(n·restart) steps on average, or after `age_limit` kernel
    steps; its age then is 0. Chains that continue may be augmented before (Du et al., 2021, arXiv 2012.01316, section
    3.3): a shift, a mirror image or some noise moves a chain to states that its gradient would not reach. Augmentation
    does not preserve the model distribution; later MCMC steps must correct for it. The buffer and the ages are stored
    separately from the checkpoints, only with the two newest, unless training may return to older checkpoints.
    A chain of replica exchange continues with all its replicas; one that restarts has all of them at its new state.

    size: number of chains (≥ 1, and ≥ the number of chains of a step).
    chain_init: initial states of chains and of restarts: noise, or data for training samples with noise.
    restart: probability of a restart (in [0, 1]).
    age_limit: largest age in kernel steps (≥ 1), or None.
    distribution, scale: distribution and scale of the noise, with the meaning in start=noise.
    shift: maximum shift of a picture along both axes, with its edge repeated, in pixels (≥ 0).
    flip_probability: probability that a picture is mirrored (in [0, 1]).
    jitter_std: standard deviation of added noise, in units of x (≥ 0).
    """

    x: Tensor
    age: Tensor
    filled: Tensor
    replicas: Tensor | None

    def __init__(
        self,
        size: int,
        chain_init: str,
        restart: float,
        age_limit: int | None,
        distribution: str,
        scale: float,
        shift: int,
        flip_probability: float,
        jitter_std: float,
        event: tuple[int, ...],
        data: Data | None,
        energy: nn.Module | None,
    ) -> None:
        super().__init__()
        check.count("size", size)
        check.one_of("chain_init", chain_init, ["noise", "data"])
        if chain_init == "data" and data is None:
            raise check.InputError("chain_init=data needs data: choose data, or chain_init=noise")
        check.fraction("restart", restart)
        if age_limit is not None:
            check.count("age_limit", age_limit)
        check.one_of("distribution", distribution, ["uniform", "normal"])
        check.positive("scale", scale)
        if jitter_std and space_of(energy) != "continuous":
            raise check.InputError(f"jitter_std must be 0 for {space_of(energy)} states, got {jitter_std}")
        self.size = size
        self.chain_init = chain_init
        self.data = data
        self.restart = restart
        self.age_limit = age_limit
        self.noise = NoiseLaw(space_of(energy), distribution, scale)
        self.augmentation = BufferAugmentation(shift, flip_probability, jitter_std, event)
        self.event = event
        self.register_buffer("x", torch.zeros(size, *event, dtype=torch.get_default_dtype()))
        self.register_buffer("age", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("replicas", None)
        self.register_load_state_dict_pre_hook(make_room_for_replicas)

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:  # noqa: ARG002
        if n > self.size:
            raise check.InputError(f"start.size must be >= the number of chains {n}, got {self.size}")
        if not bool(self.filled):
            # The states need the run's generator. The constructor does not have it.
            self.x.copy_(self._new_states(self.size, rng))
            self.filled.fill_(True)
        rows = torch.randperm(self.size, generator=rng, device=self.x.device)[:n]
        x, age = self.augmentation(self.x[rows], rng), self.age[rows]
        replicas = None if self.replicas is None else torch.cat([x[:, None], self.replicas[rows, 1:]], 1)
        if self.restart > 0 or self.age_limit is not None:
            restarts = torch.rand(n, generator=rng, device=x.device) < self.restart
            if self.age_limit is not None:
                restarts |= age >= self.age_limit
            x = torch.where(restarts.view(-1, *[1] * len(self.event)), self._new_states(n, rng), x)
            age = torch.where(restarts, 0, age)
            if replicas is not None:
                replicas = torch.where(restarts.view(-1, 1, *[1] * len(self.event)), x[:, None], replicas)
        return InitialStates(x, age, rows, replicas)

    def holds_chains(self) -> bool:
        return bool(self.filled)

    def clear(self) -> None:
        self.replicas = None
        for buffer in self.buffers():
            buffer.zero_()

    def _new_states(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return the states at which n chains start or restart."""
        if self.chain_init == "data":
            assert self.data is not None
            return self.data.sample(n, rng).x
        return self.noise.draw(n, self.event, rng, self.x.dtype)

    def keep(self, initial: InitialStates, x: Float[Tensor, "n *event"], steps: int) -> None:
        if initial.rows is None:
            raise ValueError("these chains did not come from a buffer")
        self.x[initial.rows] = x
        self.age[initial.rows] = initial.age + steps

    def keep_replicas(self, initial: InitialStates, replicas: Float[Tensor, "n K *event"], steps: int) -> None:
        # The other chains get as many replicas. Before their first step all of them are at the chain's state.
        before = self.x[:, None] if self.replicas is None else self.replicas
        self.replicas = with_replica_count(before, replicas.shape[1]).contiguous()
        self.keep(initial, replicas[:, 0], steps)
        self.replicas[initial.rows] = replicas

    def policy(self, chains: int, steps: int) -> str:
        at = "noised training samples" if self.chain_init == "data" else self.noise.description(self.event)
        times = []
        if self.restart:
            times.append(f"after {steps / self.restart:,.0f} kernel steps on average")
        if self.age_limit is not None:
            times.append(
                f"after {self.age_limit:,} at the latest" if times else f"after {self.age_limit:,} kernel steps"
            )
        again = f"restarts there {' and '.join(times)}" if times else "never restarts"
        interval = f"{self.size / chains:.3g} training steps"
        changes = self.augmentation.policy()
        return (
            f"they are taken from a buffer of {self.size:,} chains that start at {at}; "
            f"each continues every {'training step' if self.size == chains else interval} and {again}"
            + (f"; before it continues, {changes}" if changes else "")
        )


def make_room_for_replicas(replay: nn.Module, stored: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give a buffer as many replicas as a checkpoint holds, before the checkpoint is loaded."""
    replicas = stored.get(f"{prefix}replicas")
    here = cast(Tensor, replay.x).device
    replay.register_buffer("replicas", None if replicas is None else torch.empty_like(replicas, device=here))
