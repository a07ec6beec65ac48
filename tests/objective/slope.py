"""An objective's gradient against the slope of its loss."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def assert_gradient_is_slope(loss: Callable[[], Tensor], *modules: nn.Module, h: float = 1e-5) -> None:
    """Compare the derivative along a random direction of every parameter with central differences, in float64."""
    rng = torch.Generator().manual_seed(11)
    for parameter in [p for module in modules for p in module.parameters()]:
        (grad,) = torch.autograd.grad(loss(), parameter, allow_unused=True)
        along = torch.randn(parameter.shape, generator=rng)
        slope = torch.zeros(())
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(sign * h * along)
            slope += sign * loss().detach() / (2 * h)
            with torch.no_grad():
                parameter.sub_(sign * h * along)
        found = torch.zeros(()) if grad is None else (grad * along).sum()
        torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-7)
