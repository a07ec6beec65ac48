"""Configurations of earlier formats, read with the meaning that they had."""

from typing import Any

FORMAT = 7
# Arguments that came with a format, with the values under which a class does what it did before them.
NETWORK = {"base": 0, "spectral_norm": None}
UNSCALED = {"scales": None}
RATE = {"restart_at": None, "restart_factor": 0.1}
SINCE = {
    "ebm_cli.energy.mlp.MLP": {"frequencies": 0, "bandwidth": 1.0, "noise_level": None, **NETWORK},
    "ebm_cli.energy.conv.Conv": NETWORK,
    "ebm_cli.energy.autoencoder.Autoencoder": {
        "convolutions": 1,
        "channel_dropout": 0.0,
        "unet": False,
        "members": 1,
        **NETWORK,
    },
    "ebm_cli.start.replay.Replay": {"begin": "noise", "age_limit": None, "shift": 0, "flip": 0.0, "jitter": 0.0},
    "ebm_cli.objective.contrastive.Contrastive": {"chains": None, "wait": 0},
    "ebm_cli.sampler.sgld.SGLD": UNSCALED,
    "ebm_cli.sampler.sghmc.SGHMC": UNSCALED,
    "ebm_cli.sampler.mala.MALA": UNSCALED,
    "ebm_cli.sampler.tempering.Tempering": {"short": 0.0},
    "ebm_cli.sampler.hmc.HMC": {"short": 0.0},
    "ebm_cli.data.table.Table": {"columns": None, "label": None, "header": "names", "missing": "refuse"},
    "ebm_cli.optimizer.adam.Adam": RATE,
    "ebm_cli.optimizer.adamw.AdamW": RATE,
    "ebm_cli.optimizer.sgd.SGD": RATE,
}
# Until format 5 each of our kernels had these keys, which are the verb's now.
UNTIL_5 = ("adapt", "target")
TUNING_SINCE = {"adapt": "none", "target_accept": None, "target_bias": 0.05}
TRAINER_SINCE = {"rollbacks": 0, "rollback_factor": 0.3, "nll_every": None}


def upgraded(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of any format as today's: what it lacks is added with the meaning that it had."""
    if config["made"].get("format", 0) >= FORMAT:
        return config
    full = dict(config)
    for group, node in config.items():
        if isinstance(node, dict) and node.get("_target_") in SINCE:
            full[group] = SINCE[node["_target_"]] | node
    if isinstance(config.get("trainer"), dict):
        full["trainer"] = TRAINER_SINCE | config["trainer"]
    if "sampler" in config:
        full = {"engine": "eager"} | TUNING_SINCE | full
    sampler = full.get("sampler")
    if isinstance(sampler, dict) and str(sampler.get("_target_")).startswith("ebm_cli.sampler."):
        full["sampler"] = {key: value for key, value in sampler.items() if key not in UNTIL_5}
    return full
