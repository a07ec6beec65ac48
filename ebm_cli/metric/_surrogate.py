"""A small classifier of the training rows, whose adversarial rows are tried on the model."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

WIDTH, STEPS, BATCH_SIZE, LEARNING_RATE = 128, 400, 128, 3e-3


def train_surrogate(
    x: Float[Tensor, "n *event"], y: Int[Tensor, " n"], classes: int, rng: torch.Generator
) -> nn.Module:
    """Return a perceptron with one hidden layer of 128 SiLU units, trained by Adam for 400 batches of 128 rows."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), WIDTH), nn.SiLU(), nn.Linear(WIDTH, classes)).to(x)
    for layer in net:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=rng)
            nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            rows = torch.randint(len(x), (BATCH_SIZE,), generator=rng, device=x.device)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval().requires_grad_(False)
