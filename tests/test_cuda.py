"""On a CUDA device: everything moves there, nothing in a chain waits for it, and a run resumes on its bits."""

import json

import pytest
import torch

from ebm_cli.chains import run_chains
from ebm_cli.cli import main
from ebm_cli.energy.mlp import MLP
from ebm_cli.sampler.jump_mala import JumpMALA
from ebm_cli.sampler.mala import MALA
from ebm_cli.sampler.sghmc import SGHMC
from ebm_cli.sampler.sgld import SGLD

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


@pytest.mark.cuda
@pytest.mark.parametrize(
    "sampler",
    [SGLD(0.01, 1.0), MALA(0.01, 1.0), SGHMC(0.01, 0.2, 1.0), JumpMALA(0.01, 0.3, 2.0, 1.0)],
    ids=lambda s: type(s).__name__,
)
def test_no_step_waits_for_the_device(sampler):
    energy = MLP(16, 2, 0, 1.0, 1.0, 0, None, (2,), None).cuda()
    rng = torch.Generator("cuda").manual_seed(0)
    x = torch.randn(32, 2, device="cuda")
    run_chains(sampler, energy, x, 3, rng, thin=1)
    torch.cuda.set_sync_debug_mode("error")
    try:
        run_chains(sampler, energy, x, 3, rng, thin=1)
    finally:
        torch.cuda.set_sync_debug_mode("default")
