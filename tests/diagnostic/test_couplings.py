"""Couplings: the matrix is that of E, receptive fields are the weights of the units, and pictures show both."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.potts import Potts
from ebm_cli.estimate import Result
from tests.contract import build
from tests.sampler.discrete import Cubic, rbm

pytestmark = pytest.mark.usefixtures("float64")
ENERGIES = {
    "lattice": lambda: Ising(0.0, 0.0, "lattice", "spin", True, (4, 6)),
    "one coupling": lambda: Ising(0.7, 0.0, "lattice", "spin", False, (4, 6)),
    "complete": lambda: Ising(0.0, 0.0, "complete", "binary", True, (7,)),
    "potts": lambda: Potts(0.0, 0.0, [[0, 1], [1, 2], [0, 3]], True, (4, 3)),
    "hopfield": lambda: build("energy", "hopfield", {"storage": "zero"}, data=None, event=(6,)),
}


def with_random_couplings(name: str, rng: torch.Generator) -> nn.Module:
    energy = ENERGIES[name]().requires_grad_(False)
    parameter = energy.weight if name == "hopfield" else energy.coupling
    if parameter.dim():
        parameter.copy_(torch.randn(parameter.shape, generator=rng, dtype=parameter.dtype))
    return energy


def examined(energy: nn.Module, x: torch.Tensor, fields: int = 64) -> Result:
    chains = Chains(x=x[None].numpy())
    return build("diagnostic", "couplings", {"fields": fields})(ChainContext(chains, energy, 1.0))


@pytest.mark.parametrize("name", ENERGIES)
def test_the_matrix_of_couplings_gives_the_energy(name: str, rng: torch.Generator) -> None:
    energy = with_random_couplings(name, rng)
    x, J = energy.sites.uniform(20, rng, torch.float64), energy.coupling_matrix()
    v = energy.sites.by_site(x)
    torch.testing.assert_close(energy(x), -0.5 * torch.einsum("nic,ij,njc->n", v, J, v))
    rows = examined(energy, x).estimates
    off = J[torch.triu(J != 0, 1)]
    assert rows["coupling_mean"].value == pytest.approx(float(off.mean()))
    assert rows["coupling_rms"].value == pytest.approx(float(off.square().mean().sqrt()))


@pytest.mark.parametrize(("name", "panels"), [("lattice", 2), ("complete", 1), ("potts", 1), ("hopfield", 1)])
def test_couplings_of_a_lattice_are_drawn_by_site_and_others_as_a_matrix(
    name: str, panels: int, rng: torch.Generator
) -> None:
    energy = with_random_couplings(name, rng)
    drawn = examined(energy, energy.sites.uniform(2, rng, torch.float64)).draw()
    assert drawn is not None
    images = [axes.images[0] for axes in drawn[0].axes if axes.images]
    J = energy.coupling_matrix().numpy()
    assert len(images) == panels
    if panels == 1:
        np.testing.assert_array_equal(images[0].get_array(), J)
        return
    for image, step in zip(images, ((0, 1), (1, 0)), strict=True):
        for row, column in ((0, 0), (2, 5), (3, 2)):
            other = (row + step[0]) % 4 * 6 + (column + step[1]) % 6
            assert image.get_array()[row, column] == J[row * 6 + column, other]
        assert image.norm.vmin == -image.norm.vmax


def test_equal_couplings_have_a_note_and_no_picture(rng: torch.Generator) -> None:
    energy = ENERGIES["one coupling"]()
    found = examined(energy, energy.sites.uniform(2, rng, torch.float64))
    assert found.picture is None and "all 48 are equal to 0.7" in found.notes[0]


def test_receptive_fields_are_the_weights_of_the_units_in_the_order_of_their_norms(rng: torch.Generator) -> None:
    energy = rbm().requires_grad_(False)
    energy.W.copy_(energy.W / energy.W.norm(dim=0) * torch.tensor([0.05, 3.0, 1.0]))
    v = torch.zeros(1, 5)
    slopes = torch.stack([energy.hidden_logits(v + unit) - energy.hidden_logits(v) for unit in torch.eye(5)], 2)[0]
    torch.testing.assert_close(energy.receptive_fields(), slopes)
    found = examined(energy, torch.zeros(1, 5), fields=2)
    assert found.estimates["used_units"].value == 2
    assert found.estimates["weight_rms"].value == pytest.approx(float(energy.W.square().mean().sqrt()))
    drawn = found.draw()
    assert drawn is not None and "2 of 3 hidden units" in drawn[1]
    np.testing.assert_allclose(drawn[0].axes[0].images[0].get_array(), slopes[[1, 2]].numpy())


def test_receptive_fields_of_images_are_tiles_and_those_of_a_perceptron_its_first_layer(rng: torch.Generator) -> None:
    changes = {"width": 10, "frequencies": 3}
    energy = build("energy", "mlp", changes, event=(1, 4, 4), data=None).requires_grad_(False)
    weights = energy.net[0].weight[:, :16].view(10, 1, 4, 4)
    torch.testing.assert_close(energy.receptive_fields(), weights)
    drawn = examined(energy, torch.zeros(1, 1, 4, 4)).draw()
    assert drawn is not None
    canvas = drawn[0].axes[0].images[0].get_array()
    order = weights.flatten(1).norm(dim=1).argsort(descending=True)
    assert canvas.shape == (2 * 5 - 1, 8 * 5 - 1)
    np.testing.assert_allclose(canvas[:4, 5:9], weights[order[1], 0])
    np.testing.assert_allclose(canvas[5:, :4], weights[order[8], 0])


def test_energies_without_couplings_and_chains_without_an_energy_are_named() -> None:
    with pytest.raises(InputError, match="needs couplings between pairs of sites"):
        examined(Cubic(), torch.zeros(1, 2, 2))
    with pytest.raises(InputError, match="does not contain the energy"):
        build("diagnostic", "couplings")(ChainContext(Chains(x=np.zeros((1, 1, 4)))))


def test_diagnose_draws_the_couplings_of_discrete_states_unless_other_diagnostics_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = ["energy=hopfield", "data=patterns", "data.count=2", "data.size=20", "sampler=gibbs"]
    assert main(["sample", *network, "chains=4", "steps=40", "burn_in=5", "out=s"]) in (0, 1)
    main(["diagnose", "run=s", "out=d"])
    assert Path("d/figures/couplings.png").exists() and "coupling_rms" in json.loads(Path("d/metrics.json").read_text())
    main(["diagnose", "run=s", "diagnostic=[ess]", "out=e"])
    assert not Path("e/figures/couplings.png").exists()
