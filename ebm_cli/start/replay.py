"""Chains go on where they stopped: persistent contrastive divergence with a replay buffer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.start import Begun, fresh


class Replay(nn.Module):
    """A buffer of `size` chains; each step takes n of them without replacement and writes them back moved.

    Tieleman, 2008 (persistent CD); Du and Mordatch, 2019 (arXiv 1903.08689) for the buffer and restarts. A share
    `restart` of the rows taken begins anew at noise, and their ages at 0; a row is then restarted every
    size/(n·restart) steps on average. The buffer and the ages are part of the checkpoint.

    size: rows ≥ 1, at least the batch. restart: share in [0, 1]. law, scale: of the noise, as in start=noise.
    """

    x: Tensor
    age: Tensor
    filled: Tensor

    def __init__(self, size: int, restart: float, law: str, scale: float, event: tuple[int, ...]) -> None:
        super().__init__()
        check.count("size", size)
        check.share("restart", restart)
        check.one_of("law", law, ["uniform", "normal"])
        check.positive("scale", scale)
        self.size = size
        self.restart = restart
        self.law = law
        self.scale = scale
        self.event = event
        self.register_buffer("x", torch.zeros(size, *event, dtype=torch.get_default_dtype()))
        self.register_buffer("age", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))
        self._full = False

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:  # noqa: ARG002
        if n > self.size:
            raise check.InputError(f"size must be >= the number of chains {n}, got {self.size}")
        if not self._full:
            self._fill(rng)
        rows = torch.randperm(self.size, generator=rng, device=self.x.device)[:n]
        x, age = self.x[rows], self.age[rows]
        if self.restart > 0:
            anew = torch.rand(n, generator=rng, device=x.device) < self.restart
            noise = fresh(n, self.event, self.law, self.scale, rng, x.dtype)
            x = torch.where(anew.view(-1, *[1] * len(self.event)), noise, x)
            age = torch.where(anew, 0, age)
        return Begun(x, age, rows)

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        rows: Int[Tensor, " n"] | None = begun.rows
        if rows is None:
            raise ValueError("these chains did not come from a buffer")
        self.x[rows] = x
        self.age[rows] = begun.age + steps

    def _fill(self, rng: torch.Generator) -> None:
        # Noise needs the run's generator, which the constructor does not have; `filled` says so across a resume.
        if not bool(self.filled):
            self.x.copy_(fresh(self.size, self.event, self.law, self.scale, rng, self.x.dtype))
            self.filled.fill_(True)
        self._full = True
