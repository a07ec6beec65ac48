"""Ising model: closed forms of log Z against enumeration, the pairs of each graph, and what it refuses."""

import math

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.ising import Ising

pytestmark = pytest.mark.usefixtures("float64")


def enumerated_log_z(energy: Ising, temperature: float) -> float:
    x = energy.sites.enumerated(0, 2**energy.sites.count, torch.device("cpu"), torch.float64)
    return float((-energy(x) / temperature).logsumexp(0).detach())


@pytest.mark.parametrize("temperature", [0.8, 2 / math.log(1 + 2**0.5), 4.0])
@pytest.mark.parametrize(
    ("event", "coupling", "field"),
    [((3, 3), 1.0, 0.0), ((3, 4), 0.5, 0.0), ((4, 4), -0.7, 0.0), ((1, 4, 3), 1.0, 0.0), ((5,), -0.7, 0.3)],
)
def test_closed_form_is_the_sum_over_all_states(
    event: tuple[int, ...], coupling: float, field: float, temperature: float
) -> None:
    energy = Ising(coupling, field, "lattice", "spin", False, event)
    assert energy.log_z(temperature) == pytest.approx(enumerated_log_z(energy, temperature), rel=1e-12)


def test_closed_form_of_a_large_lattice_is_onsagers() -> None:
    # The free energy per site at T_c is log 2 / 2 + 2G/π with Catalan's constant G (Onsager, 1944).
    energy, temperature = Ising(1.0, 0.0, "lattice", "spin", False, (256, 256)), 2 / math.log(1 + 2**0.5)
    assert energy.log_z(temperature) / 256**2 == pytest.approx(math.log(2) / 2 + 2 * 0.915965594177 / math.pi, abs=2e-5)


@pytest.mark.parametrize(("event", "pairs"), [((5,), 5), ((8, 8), 128), ((3, 7), 42)])
def test_closed_form_at_low_temperature_is_that_of_two_ground_states(event: tuple[int, ...], pairs: int) -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, event)
    assert energy.log_z(1e-3) == pytest.approx(1000 * pairs + math.log(2), abs=1e-8)


def test_a_site_without_neighbors_is_drawn_by_the_field() -> None:
    energy = Ising(1.0, 0.3, "lattice", "spin", False, (1,))
    logits = energy.site_logits(torch.tensor([[-1.0], [1.0]]), torch.tensor([0])).detach()
    assert (logits[..., 1] - logits[..., 0]).flatten().tolist() == pytest.approx([0.6, 0.6])


def test_log_z_falls_with_the_couplings_as_the_energy_does() -> None:
    # T ∂log Z/∂J is the mean of Σ sᵢsⱼ, which an enumeration gives.
    energy = Ising(0.6, 0.0, "lattice", "spin", False, (3, 3))
    (slope,) = torch.autograd.grad(energy.log_partition(1.5), energy.coupling)
    x = energy.sites.enumerated(0, 512, torch.device("cpu"), torch.float64)
    e = energy(x).detach()
    assert float(slope) == pytest.approx(float(((-e / 1.5).softmax(0) * -e / 0.6).sum() / 1.5))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [({"field": 0.1}, "field"), ({"values": "binary"}, "spins"), ({"graph": "complete"}, "lattice")],
)
def test_there_is_no_closed_form_elsewhere(changes: dict, problem: str) -> None:
    arguments = {"coupling": 1.0, "field": 0.0, "graph": "lattice", "values": "spin", "separate": False} | changes
    with pytest.raises(ValueError, match=problem):
        Ising(**arguments, event=(3, 3)).log_z(1.0)


def test_a_boltzmann_machine_has_a_coupling_per_pair_and_a_field_per_unit() -> None:
    energy = Ising(0.0, 0.0, "complete", "binary", True, (4,))
    with torch.no_grad():
        energy.coupling[:] = torch.arange(6.0)
        energy.field[:, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    # Pairs in order: 01, 02, 03, 12, 13, 23.
    assert energy(torch.tensor([[1.0, 0.0, 1.0, 1.0]])).item() == -(1 + 2 + 5 + 1 + 3 + 4)


@pytest.mark.parametrize("graph", ["ring", [[0, 0]], [[0, 9]], [[0, 1], [1, 0]], [], [[0, 1, 2]]])
def test_a_wrong_graph_is_named(graph: object) -> None:
    with pytest.raises(InputError, match=r"^graph must"):
        Ising(1.0, 0.0, graph, "spin", False, (4,))
