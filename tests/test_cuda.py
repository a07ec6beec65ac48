"""On a CUDA device: everything moves there, nothing in a chain waits for it, and a run resumes on its bits."""

import json

import pytest
import torch

from ebm_cli.chain.loop import run_chains
from ebm_cli.cli import main
from ebm_cli.energy import frozen
from tests.contract import build, samplers

TINY = ["experiment=gaussians_8", "energy.width=8", "start.size=64", "trainer.batch_size=16", "trainer.log_every=1"]


@pytest.mark.cuda
def test_the_verbs_run_on_cuda(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "trainer.steps=10", "trainer.checkpoint_every=5", "device=cuda", "out=a"]) == 0
    assert main(["sample", "run=a", "chains=8", "steps=40", "thin=2", "device=cuda", "out=b"]) == 0
    assert main(["evaluate", "run=a", "samples=20", "steps=5", "device=cuda", "out=c"]) == 0
    assert main(["diagnose", "run=b", "device=cuda", "out=d"]) == 0
    assert main(["sample", "run=a", "chains=8", "steps=40", "thin=2", "device=cpu", "out=e"]) == 0
    assert "tv" in json.loads((tmp_path / "c" / "metrics.json").read_text())


@pytest.mark.cuda
def test_digits_train_and_score_on_cuda(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "trainer.steps=5", "device=cuda", "out=a"]) == 0
    assert main(["evaluate", "run=a", "steps=5", "device=cuda", "metric=[frechet,memorization]", "out=c"]) == 0


@pytest.mark.cuda
def test_a_run_resumes_on_the_same_bits_on_cuda(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("whole", "parts"):
        words = ["trainer.steps=10", "trainer.checkpoint_every=5", "device=cuda", f"out={name}"]
        assert main(["train", *TINY, *words]) == 0
    (tmp_path / "parts/checkpoints/last").write_text("step-5\n")
    assert main(["train", "resume=parts"]) == 0
    whole, parts = (tmp_path / name / "checkpoints/step-10/state.safetensors" for name in ("whole", "parts"))
    assert whole.read_bytes() == parts.read_bytes()


# NUTS looks at the device to know how far to fly.
FIXED = [name for name in samplers() if name != "nuts"]


@pytest.mark.cuda
@pytest.mark.parametrize("name", FIXED)
def test_no_step_waits_for_the_device(name):
    energy, sampler = build("energy", "mlp", event=(2,)).cuda(), build("sampler", name)
    rng = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(32, 2, device="cuda")
    with frozen(energy), torch.no_grad():
        state, _ = sampler.step(energy, sampler.init(energy, x, rng), rng)
        torch.cuda.set_sync_debug_mode("error")
        try:
            sampler.step(energy, state, rng)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@pytest.mark.parametrize("name", FIXED)
def test_a_captured_graph_makes_the_draws_of_eager_steps(name):
    energy, sampler = build("energy", "mlp", event=(2,)).cuda(), build("sampler", name)
    x = torch.randn(32, 2, device="cuda")
    drawn = [
        run_chains(sampler, energy, x, 20, torch.Generator("cuda").manual_seed(0), thin=5, engine=engine)
        for engine in ("eager", "graph")
    ]
    assert torch.equal(drawn[0].x, drawn[1].x) and torch.equal(drawn[0].accept, drawn[1].accept)
