"""Modern Hopfield network: its update is attention and never raises E; log Z is that of a mixture of Gaussians."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from ebm_cli.energy.modern_hopfield import ModernHopfield
from tests.contract import log_integral
from tests.energy.parts import Rows

pytestmark = pytest.mark.usefixtures("float64")


def rows(event: tuple[int, ...] | None, count: int = 3) -> Rows:
    """Patterns for the shared tests."""
    return Rows(torch.randn(count, *(event or (10,)), generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def test_its_update_is_attention_with_the_patterns_as_keys_and_values(rng: torch.Generator) -> None:
    stored = rows((10,), 6)
    energy, x = ModernHopfield(3.0, None, stored), torch.randn(5, 10, generator=rng)
    torch.testing.assert_close(energy.retrieve(x), scaled_dot_product_attention(x, stored.x, stored.x, scale=3.0))


def test_its_update_never_raises_the_energy(rng: torch.Generator) -> None:
    energy, x = ModernHopfield(4.0, None, rows((10,), 6)), 2 * torch.randn(500, 10, generator=rng)
    for _ in range(20):
        after = energy.retrieve(x)
        assert (energy(after) <= energy(x) + 1e-12).all()
        x = after


def test_log_z_is_the_integral() -> None:
    energy = ModernHopfield(2.0, None, rows((2,)))
    assert energy.log_z(0.5) == pytest.approx(log_integral(lambda x: -energy(x) / 0.5, 2, 12.0, 601), abs=1e-8)
    with pytest.raises(ValueError, match=r"temperature 1/beta = 0.5"):
        energy.log_z(1.0)
