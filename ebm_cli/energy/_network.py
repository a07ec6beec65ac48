"""What energies made of a network share: the terms that confine them, and spectral normalisation of their layers."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._gaussians import gaussian_base


class Tail(nn.Module):
    """confinement/2·‖x‖² − log b(x), b(x) = Σₖ wₖ N(x; mₖ, Cₖ): what is beside the network in an energy.

    A network with bounded slope grows at most linearly, so that Z(T) is finite for every T > 0 as soon as
    confinement > 0 or base ≥ 1. b is fitted once to the noised training rows by expectation maximisation (scikit-learn;
    with one component the maximum-likelihood Gaussian); each Cₖ has a thousandth of the mean variance on its diagonal.
    It is no part of what is trained afterwards: the network learns what b lacks.

    confinement: ≥ 0. base: components ≥ 0, 0 for no base; more need data.
    """

    def __init__(self, confinement: float, base: int, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.non_negative("confinement", confinement)
        check.count("base_components", base, least=0)
        self.confinement = confinement
        self.base = gaussian_base(base, event, data) if base else None

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        x = x.flatten(1)
        e = 0.5 * self.confinement * x.square().sum(1)
        return e if self.base is None else e + self.base(x)


def perceptron(size: int, width: int, depth: int, out: int, bias: bool = True) -> nn.Sequential:
    """`depth` hidden layers of `width` SiLU units, and a last one of `out` numbers; bias: whether that has one."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([size] + [width] * depth):
        layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width, out, bias=bias))


def spectrally_normalised(net: nn.Module, spectral_norm: float | None) -> float:
    """Divide every layer's weight by its largest singular value; the factor by which the outcome is to be multiplied.

    Miyato et al., 2018 (arXiv 1802.05957), by torch's power iteration, one round a training step. With SiLU, whose
    slope is at most 1.1, ‖∇f‖ ≤ spectral_norm·1.1^depth for fully connected layers; a convolution's weight counts as
    the matrix of its kernels, whose norm the operator exceeds by at most √(kernel height·kernel width).

    spectral_norm: > 0, or None to leave the layers as they are.
    """
    if spectral_norm is None:
        return 1.0
    check.positive("spectral_norm", spectral_norm)
    layers = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers:
        parametrizations.spectral_norm(layer)
    return spectral_norm
