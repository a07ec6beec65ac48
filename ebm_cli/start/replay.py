"""Chains go on where they stopped: persistent contrastive divergence with a replay buffer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.start import Begun, Moves, fresh, noise_name


class Replay(nn.Module):
    """A buffer of `size` chains; each step takes n of them without replacement and writes them back moved.

    Tieleman, 2008 (persistent CD); Du and Mordatch, 2019 (arXiv 1903.08689) for the buffer and restarts. A share
    `restart` of the rows taken begins anew, and their ages at 0; a row is then restarted every
    size/(n·restart) steps on average, or when it has `age_limit` kernel steps behind it. The rows that go on may be
    moved before they do, as Du et al., 2021 (arXiv 2012.01316), section 3.3, move theirs: a shift, a mirror image
    or some noise takes a chain where its gradient would not. It is no step of a kernel, so that a chain's law is the
    model's only as far as later steps make it so. The buffer and the ages
    are stored apart from the checkpoints, with the two newest only unless training may roll back to others.

    size: rows ≥ 1, at least the chains of a step. begin: noise, or data for noised training rows, where rows begin and
    begin anew. restart: share in [0, 1]. age_limit: kernel steps ≥ 1, or None. law, scale: of the noise, as in
    start=noise. shift: pixels ≥ 0, up to which a picture moves either way, its edge repeated. flip:
    share in [0, 1] of pictures that are mirrored. jitter: σ ≥ 0 of noise added, in units of x.
    """

    x: Tensor
    age: Tensor
    filled: Tensor

    def __init__(
        self,
        size: int,
        begin: str,
        restart: float,
        age_limit: int | None,
        law: str,
        scale: float,
        shift: int,
        flip: float,
        jitter: float,
        event: tuple[int, ...],
        data: Data | None,
    ) -> None:
        super().__init__()
        check.count("size", size)
        check.one_of("begin", begin, ["noise", "data"])
        if begin == "data" and data is None:
            raise check.InputError("begin=data needs data: choose data, or begin=noise")
        check.share("restart", restart)
        if age_limit is not None:
            check.count("age_limit", age_limit)
        check.one_of("law", law, ["uniform", "normal"])
        check.positive("scale", scale)
        self.size = size
        self.begin = begin
        self.data = data
        self.restart = restart
        self.age_limit = age_limit
        self.law = law
        self.scale = scale
        self.moves = Moves(shift, flip, jitter, event)
        self.event = event
        self.register_buffer("x", torch.zeros(size, *event, dtype=torch.get_default_dtype()))
        self.register_buffer("age", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:  # noqa: ARG002
        if n > self.size:
            raise check.InputError(f"size must be >= the number of chains {n}, got {self.size}")
        if not bool(self.filled):
            # Both need the run's generator, which the constructor does not have.
            self.x.copy_(self._anew(self.size, rng))
            self.filled.fill_(True)
        rows = torch.randperm(self.size, generator=rng, device=self.x.device)[:n]
        x, age = self.moves(self.x[rows], rng), self.age[rows]
        if self.restart > 0 or self.age_limit is not None:
            anew = torch.rand(n, generator=rng, device=x.device) < self.restart
            if self.age_limit is not None:
                anew |= age >= self.age_limit
            x = torch.where(anew.view(-1, *[1] * len(self.event)), self._anew(n, rng), x)
            age = torch.where(anew, 0, age)
        return Begun(x, age, rows)

    def holds_chains(self) -> bool:
        return bool(self.filled)

    def clear(self) -> None:
        for buffer in self.buffers():
            buffer.zero_()

    def _anew(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Where n chains begin."""
        if self.begin == "data":
            assert self.data is not None
            return self.data.sample(n, rng).x
        return fresh(n, self.event, self.law, self.scale, rng, self.x.dtype)

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        rows: Int[Tensor, " n"] | None = begun.rows
        if rows is None:
            raise ValueError("these chains did not come from a buffer")
        self.x[rows] = x
        self.age[rows] = begun.age + steps

    def policy(self, chains: int, steps: int) -> str:
        at = "noised training samples" if self.begin == "data" else noise_name(self.law, self.scale)
        times = []
        if self.restart:
            times.append(f"after {steps / self.restart:,.0f} kernel steps on average")
        if self.age_limit is not None:
            times.append(
                f"after {self.age_limit:,} at the latest" if times else f"after {self.age_limit:,} kernel steps"
            )
        again = f"restarts there {' and '.join(times)}" if times else "never restarts"
        moves = self.moves.policy()
        return (
            f"they are taken from a buffer of {self.size:,} chains that start at {at}; "
            f"each continues every {self.size / chains:.3g} training steps and {again}"
            + (f"; before it continues, {moves}" if moves else "")
        )
