"""A base distribution that is a neural spline flow, for rows that no mixture of Gaussians describes well."""

import math
from importlib.util import find_spec

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.density import flow
from ebm_cli.density.fit_data import split_fit_data
from ebm_cli.path._coordinates import WhitenedEnergy
from ebm_cli.run.terminal import never_stop


class FlowBase(nn.Module):
    """U₀ = −log q(m + Lz) − log|det L|, with q the density of x = t⁻¹(wξ), ξ standard normal and t a spline flow.

    It is computed in double precision.
    space: coordinates of z, with m and L.
    fitted: the flow t, of x.
    wider: w (> 0). Draws must cover modes of the model that are wider than those of the flow.
    """

    description = "a spline flow"

    def __init__(self, space: WhitenedEnergy, fitted: flow.Flow, wider: float) -> None:
        super().__init__()
        self.space, self.wider = space, wider
        self.flow = fitted.to(space.center.device)
        log_scales = float(self.flow.spread.log().sum()) + len(space.center) * math.log(wider)
        self.constant = log_scales + 0.5 * len(space.center) * math.log(2 * math.pi) - space.log_volume

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        with torch.enable_grad():
            at = z.detach().requires_grad_(True)
            x = self.space.states(at).flatten(1).double()
            normal, log_det = self.flow.network().transform.call_and_ladj((x - self.flow.middle) / self.flow.spread)
            u = self.constant + 0.5 * (normal / self.wider).square().sum(1) - log_det
            (grad,) = torch.autograd.grad(u.sum(), at)
        return u.detach().to(z), grad

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        center = self.space.center
        normal = torch.randn((n, len(center)), generator=rng, dtype=torch.float64, device=center.device)
        with torch.no_grad():
            x = self.flow.middle + self.flow.spread * self.flow.network().transform.inv(self.wider * normal)
        return self.space.coordinates(x.to(center).view(n, *self.space.event))


def fitted_flow(space: WhitenedEnergy, rows: Float[Tensor, "n *event"], noise: float, wider: float) -> FlowBase:
    """Return a base: the flow of the held-out likelihood's baselines, fitted to these rows.

    noise: standard deviation of the noise that is added to the rows (≥ 0).
    wider: factor of the widths of the flow (> 0).
    """
    data = split_fit_data(rows.detach().flatten(1).double().cpu(), noise, 0)
    with torch.enable_grad():
        return FlowBase(space, flow.fit(data, never_stop), wider)


def check_flow_is_installed() -> None:
    """Raise InputError if the library of flows is missing."""
    if find_spec("zuko") is None:
        raise InputError("base=flow needs zuko. Type pip install 'ebm-cli[baselines]', or path.base=mixture")
