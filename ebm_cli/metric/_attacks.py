"""Attacks on a classifier within a ball around each row: projected gradients, and a search by decisions only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

Norm = Literal["linf", "l2"]
# f(x), logits of shape (n, classes).
Classifier = Callable[[Tensor], Tensor]
# Step size of projected gradients, in radii per number of steps: a path can cross the ball from side to side.
STEP_FACTOR = 2.5
# A proposal is accepted at a ray shorter by this fraction of what a change of its size gains along the best direction.
DEMAND = 0.25
# Factors by which the size of proposals changes after an accepted and after a rejected one.
GROW, SHRINK = 1.3, 0.93
BISECTIONS = 12


@dataclass(frozen=True)
class Ball:
    """{x : ‖x − x₀‖ ≤ radius}, cut to `box` if there is one.

    norm: linf, ‖v‖ = max |vᵢ|; or l2, ‖v‖ = √Σ vᵢ².
    """

    norm: Norm
    radius: float
    box: tuple[float, float] | None

    def length(self, v: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        """Return ‖v‖ of each row."""
        return v.flatten(1).abs().amax(1) if self.norm == "linf" else v.flatten(1).norm(dim=1)

    def project(self, x: Float[Tensor, "n *event"], x0: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return the nearest point of the ball, then of the box: it stays in the ball if x₀ is in the box."""
        v = x - x0
        if self.norm == "linf":
            v = v.clamp(-self.radius, self.radius)
        else:
            v = v * per_row((self.radius / self.length(v).clamp(min=1e-12)).clamp(max=1.0), v)
        return self.boxed(x0 + v)

    def boxed(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return x cut to the box."""
        return x if self.box is None else x.clamp(*self.box)

    def ascent(self, grad: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return the direction of length 1 in which the loss grows fastest: argmax g·v with ‖v‖ ≤ 1."""
        return grad.sign() if self.norm == "linf" else grad / per_row(self.length(grad).clamp(min=1e-30), grad)

    def random(self, x0: Float[Tensor, "n *event"], rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return uniform points of the ball, cut to the box."""
        if self.norm == "linf":
            v = 2 * torch.rand(x0.shape, generator=rng, dtype=x0.dtype, device=x0.device) - 1
        else:
            ξ = torch.randn(x0.shape, generator=rng, dtype=x0.dtype, device=x0.device)
            u = torch.rand(len(x0), generator=rng, dtype=x0.dtype, device=x0.device)
            v = self.ascent(ξ) * per_row(u ** (1 / x0[0].numel()), x0)
        return self.boxed(x0 + self.radius * v)


def per_row(values: Shaped[Tensor, " n"], like: Float[Tensor, "n *event"]) -> Tensor:
    """Return one number per row in a shape that multiplies rows."""
    return values.view(-1, *(1 for _ in like.shape[1:]))


def wrong_margin(f: Float[Tensor, "n classes"], y: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return max_{j ≠ y} f_j − f_y: positive for a wrong decision (Carlini and Wagner, 2017, arXiv 1608.04644)."""
    true = f.gather(1, y[:, None])[:, 0]
    return f.scatter(1, y[:, None], -torch.inf).amax(1) - true


def projected_gradients(
    classify: Classifier,
    x0: Float[Tensor, "n *event"],
    y: Int[Tensor, " n"],
    ball: Ball,
    steps: int,
    restarts: int,
    rng: torch.Generator,
) -> Float[Tensor, "n *event"]:
    """Return the points with the largest `wrong_margin` on paths x ← P(x + η·argmax_{‖v‖≤1} v·∇(f_j − f_y)).

    Madry et al., 2018 (arXiv 1706.06083), with η = 2.5·radius/steps. The margin has no exponential, so that confident
    logits do not hide its gradient. The first path starts at x₀ and j is the best wrong class at each step. The others
    start at random points of the ball, each with the next best wrong class j at x₀ as its target.
    """
    with torch.no_grad():
        f = classify(x0)
        best, best_margin = x0.clone(), wrong_margin(f, y)
        others = f.scatter(1, y[:, None], -torch.inf).argsort(1, descending=True)
    for restart in range(restarts):
        x = x0.clone() if restart == 0 else ball.random(x0, rng)
        target = None if restart == 0 else others[:, (restart - 1) % (f.shape[1] - 1)]
        for step in range(steps + 1):
            with torch.enable_grad():
                at = x.detach().requires_grad_(True)
                f_at = classify(at)
                margin = wrong_margin(f_at, y)
                loss = (
                    margin
                    if target is None
                    else f_at.gather(1, target[:, None])[:, 0] - f_at.gather(1, y[:, None])[:, 0]
                )
                grad = torch.autograd.grad(loss.sum(), at)[0] if step < steps else torch.zeros_like(at)
            better = margin.detach() > best_margin
            best = torch.where(per_row(better, x), x, best)
            best_margin = torch.where(better, margin.detach(), best_margin)
            x = ball.project(x + STEP_FACTOR * ball.radius / steps * ball.ascent(grad), x0)
    return best


def decisions_only(
    classify: Classifier,
    x0: Float[Tensor, "n *event"],
    y: Int[Tensor, " n"],
    ball: Ball,
    queries: int,
    pool: Float[Tensor, "m *event"],
    rng: torch.Generator,
) -> Float[Tensor, "n *event"]:
    """Return the nearest points found with another class, using decisions of the classifier but no gradient.

    After Brendel, Rauber and Bethge, 2018 (arXiv 1712.04248), on rays as by Chen and Gu, 2020 (arXiv 2006.12792): a ray
    x₀ + r·d, ‖d‖ = 1, starts at the nearest row of `pool` that is classified differently. A bisection shortens it. Then
    random changes of d are accepted if the class is still wrong at a shorter r. A change of size s gains about s/√D of
    r, or √(s/D) if a fraction s of the D signs is drawn again; a quarter of this is demanded. s adapts to the
    acceptance.

    queries: number of decisions per row after the bisection.
    """
    with torch.no_grad():
        direction, r = first_rays(classify, x0, y, ball, pool)
        size, least = torch.full_like(r, 0.3), 1 / x0[0].numel()
        for _ in range(queries):
            proposal = changed(direction, per_row(size, x0), ball, rng)
            gain = (size if ball.norm == "l2" else size.sqrt()) * least**0.5
            shorter = (1 - DEMAND * gain) * r
            wrong = classify(ball.boxed(x0 + per_row(shorter, x0) * proposal)).argmax(1) != y
            direction, r = torch.where(per_row(wrong, x0), proposal, direction), torch.where(wrong, shorter, r)
            size = (size * torch.where(wrong, GROW, SHRINK).to(size)).clamp(least, 1.0)
        return ball.boxed(x0 + per_row(r, x0) * direction)


def first_rays(
    classify: Classifier,
    x0: Float[Tensor, "n *event"],
    y: Int[Tensor, " n"],
    ball: Ball,
    pool: Float[Tensor, "m *event"],
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """Return the direction to the nearest row of another class and the distance at which the class changes."""
    of_pool = torch.cat([classify(part).argmax(1) for part in pool.split(4096)])
    apart = torch.cdist(x0.flatten(1), pool.flatten(1))
    other = pool[apart.masked_fill(of_pool[None] == y[:, None], torch.inf).argmin(1)]
    r = ball.length(other - x0).clamp(min=1e-12)
    direction = (other - x0) / per_row(r, x0)
    low = torch.zeros_like(r)
    for _ in range(BISECTIONS):
        middle = (low + r) / 2
        wrong = classify(ball.boxed(x0 + per_row(middle, x0) * direction)).argmax(1) != y
        low, r = torch.where(wrong, low, middle), torch.where(wrong, middle, r)
    return direction, r


def changed(
    direction: Float[Tensor, "n *event"], size: Tensor, ball: Ball, rng: torch.Generator
) -> Float[Tensor, "n *event"]:
    """Return other directions of length 1: a fraction `size` of coordinates gets random signs, or with normal noise."""
    like = {"dtype": direction.dtype, "device": direction.device, "generator": rng}
    if ball.norm == "linf":
        signs = 2.0 * (torch.rand(direction.shape, **like) < 0.5) - 1
        return torch.where(torch.rand(direction.shape, **like) < size, signs.to(direction), direction)
    noisy = direction + size * torch.randn(direction.shape, **like) / direction[0].numel() ** 0.5
    return noisy / per_row(ball.length(noisy), noisy)
