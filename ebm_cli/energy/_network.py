"""Parts of energies made of a network: confining terms, and spectral normalization of the layers."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._gaussians import gaussian_base


class Tail(nn.Module):
    """confinement/2·‖x‖² − log b(x), b(x) = Σₖ wₖ N(x; mₖ, Cₖ): the terms that are added to a network.

    A network with bounded slope does not grow faster than linearly. Therefore Z(T) is finite for all T > 0 if
    confinement > 0 or base ≥ 1. b is fitted once to the noisy training rows by expectation maximization; a single
    component is the maximum-likelihood Gaussian. A thousandth of the mean variance is added to the diagonal of each Cₖ.
    b is not trained afterwards, so the network is trained to represent the difference between b and the data.

    confinement: curvature of the quadratic term (≥ 0).
    base: number of components of b (≥ 0); if it is > 0, data are needed.
    """

    def __init__(self, confinement: float, base: int, event: tuple[int, ...], data: Data | None) -> None:
        super().__init__()
        check.non_negative("confinement", confinement)
        check.count("base_components", base, minimum=0)
        self.confinement = confinement
        self.base = gaussian_base(base, event, data) if base else None

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        x = x.flatten(1)
        e = 0.5 * self.confinement * x.square().sum(1)
        return e if self.base is None else e + self.base(x)


def perceptron(size: int, width: int, depth: int, out: int, bias: bool = True) -> nn.Sequential:
    """Return `depth` hidden layers of `width` SiLU units, and a linear layer with `out` outputs.

    bias: True if the linear layer has a bias.
    """
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise([size] + [width] * depth):
        layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width, out, bias=bias))


def apply_spectral_norm(net: nn.Module, spectral_norm: float | None) -> float:
    """Divide every layer's weight by its largest singular value. Return the factor for the output of the network.

    Miyato et al., 2018 (arXiv 1802.05957), by torch's power iteration with one iteration per training step. The slope
    of SiLU is never above 1.1. Therefore ‖∇f‖ ≤ spectral_norm·1.1^depth for fully connected layers. The weight of a
    convolution is normalized as the matrix of its kernels. The norm of the operator may be larger than the norm of this
    matrix, by a factor of up to √(kernel height·kernel width).

    spectral_norm: the factor (> 0), or None to leave the layers unchanged.
    """
    if spectral_norm is None:
        return 1.0
    check.positive("spectral_norm", spectral_norm)
    layers = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers:
        parametrizations.spectral_norm(layer)
    return spectral_norm
