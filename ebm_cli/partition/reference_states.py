"""States of about the model's distribution: the training samples, or the states of short exploring chains."""

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.path_kernels import path_hmc
from ebm_cli.chain.tuning import Tuning
from ebm_cli.energy import device_of
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy
from ebm_cli.rng import generator

N_CHAINS, N_STEPS, N_DRAWS = 64, 200, 20


def reference_states(integrand: Integrand) -> Float[Tensor, "n *event"]:
    """Return the integrand's rows; if there are none, states of short chains of the model."""
    return integrand.rows if integrand.rows is not None else explore(integrand)


def explore(integrand: Integrand) -> Float[Tensor, "n *event"]:
    """Return the second half of short chains that start at standard normal noise."""
    here = device_of(integrand.energy)
    rng = generator(integrand.seed, "partition/explore", here)
    d = integrand.size
    plain = WhitenedEnergy(integrand, torch.zeros(d, device=here), torch.eye(d, device=here))
    z = torch.randn(N_CHAINS, d, generator=rng, device=here)
    half, tuning = N_STEPS // 2, Tuning("step")
    done = run_chains(path_hmc(0.1, 5), plain, z, half, rng, burn_in=half, tuning=tuning, thin=half // N_DRAWS)
    return plain.states(done.x.flatten(0, 1))
