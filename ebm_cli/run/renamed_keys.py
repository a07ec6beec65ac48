"""Keys that have a new name since format 8. Stored runs are read by this table, and typed old names are accepted."""

from typing import Any

from ebm_cli.run.nested import value_at

NETWORK = {"base": "base_components"}
DELAY = {"wait": "delay_steps"}
HELD_OUT = {"held_out": "holdout_fraction"}
# Old and new name of the keys of each class.
RENAMED: dict[str, dict[str, str]] = {
    "ebm_cli.energy.mlp.MLP": NETWORK,
    "ebm_cli.energy.conv.Conv": NETWORK,
    "ebm_cli.energy.resnet.ResNet": NETWORK,
    "ebm_cli.energy.classifier.Classifier": NETWORK,
    "ebm_cli.energy.autoencoder.Autoencoder": {"members": "ensemble_size", **NETWORK},
    "ebm_cli.energy.shifted_quadratic.ShiftedQuadratic": {"theta": "mean"},
    "ebm_cli.data.table.Table": HELD_OUT,
    "ebm_cli.data.images.Images": HELD_OUT,
    "ebm_cli.sampler.hmc.HMC": {"jitter": "step_size_jitter"},
    "ebm_cli.sampler.jump_mala.JumpMALA": {"jump": "jump_probability", "scale": "jump_std"},
    "ebm_cli.start.noise.Noise": {"law": "distribution"},
    "ebm_cli.start.replay.Replay": {
        "begin": "chain_init",
        "law": "distribution",
        "flip": "flip_probability",
        "jitter": "jitter_std",
    },
    "ebm_cli.objective.contrastive.Contrastive": DELAY,
    "ebm_cli.objective.joint_classifier.JointClassifier": DELAY,
    "ebm_cli.objective.reverse_kl.ReverseKL": {"critic_average": "critic_ema_decay", **DELAY},
    "ebm_cli.objective.denoising_recovery.DenoisingRecovery": {"begin": "chain_init", "descent": "sampling_steps"},
    "ebm_cli.objective.score_matching.ScoreMatching": {"limit": "max_dimension"},
    "ebm_cli.objective.exact.Exact": {"points": "grid_points", "refresh": "recheck_every"},
    "ebm_cli.objective.noise_contrastive.NoiseContrastive": {"broad": "broad_weight", "form": "loss"},
    "ebm_cli.diagnostic.ess.ESS": {"least": "min_ess_per_chain"},
    "ebm_cli.diagnostic.mode_occupancy.ModeOccupancy": {"least": "min_weight"},
    "ebm_cli.diagnostic.phases.Phases": {"share": "tail_fraction"},
    "ebm_cli.diagnostic.spurious_valleys.SpuriousValleys": {
        "share": "min_mass",
        "hottest": "initial_temperature_ratio",
    },
    "ebm_cli.diagnostic.r_hat.RHat": {"mixed": "caution_above", "apart": "fail_above"},
}
TEMPERING = "ebm_cli.sampler.tempering.Tempering"
# The base of log Z is now that of the path along which chains move.
BASE_OF_LOG_Z = {"base": "path.base", "box": "path.box"}
# Keys that are now in another group or node, by the class that had them.
MOVED = {
    "ebm_cli.metric.log_z.LogZ": BASE_OF_LOG_Z,
    "ebm_cli.metric.nll.NLL": BASE_OF_LOG_Z,
    TEMPERING: {
        "temperatures": "path.temperatures",
        "replicas": "path.replicas",
        "hottest": "path.hottest",
        "short": "sampler.kernel.short",
    },
}
TRAINER = {"average": "ema_decay", "rollbacks": "max_rollbacks"}


def with_new_names(node: Any) -> Any:
    """Return a stored node, at any depth, with the keys of its classes under their new names."""
    if isinstance(node, list):
        return [with_new_names(item) for item in node]
    if not isinstance(node, dict):
        return node
    names = RENAMED.get(str(node.get("_target_")), {})
    renamed = {names.get(key, key): with_new_names(value) for key, value in node.items()}
    if isinstance(trainer := renamed.get("trainer"), dict):
        renamed["trainer"] = {TRAINER.get(key, key): value for key, value in trainer.items()}
    return renamed


def new_key(config: dict[str, Any], key: str) -> str | None:
    """Return the new name of a dotted key that a configuration has under another name; None for any other key."""
    group, _, last = key.rpartition(".")
    node = value_at(config, group)
    if not isinstance(node, dict) or last in node:
        return None
    if moved := MOVED.get(str(node.get("_target_")), {}).get(last):
        return moved
    names = TRAINER if group == "trainer" else RENAMED.get(str(node.get("_target_")), {})
    return f"{group}.{names[last]}" if last in names else None
