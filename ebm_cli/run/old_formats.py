"""Read configurations of earlier formats with the meaning that they had."""

from typing import Any

from ebm_cli.run.renamed_keys import with_new_names

FORMAT = 8
# Arguments that a class gained with a later format, with the values under which it does what it did before.
NETWORK = {"base_components": 0, "spectral_norm": None}
UNSCALED = {"scales": None}
RATE = {"restart_at": None, "restart_factor": 0.1}
DEFAULTS_FOR_OLD_FORMATS = {
    "ebm_cli.energy.mlp.MLP": {"frequencies": 0, "bandwidth": 1.0, "noise_level": None, **NETWORK},
    "ebm_cli.energy.conv.Conv": NETWORK,
    "ebm_cli.energy.autoencoder.Autoencoder": {
        "convolutions": 1,
        "channel_dropout": 0.0,
        "unet": False,
        "ensemble_size": 1,
        **NETWORK,
    },
    "ebm_cli.start.replay.Replay": {
        "chain_init": "noise",
        "age_limit": None,
        "shift": 0,
        "flip_probability": 0.0,
        "jitter_std": 0.0,
    },
    "ebm_cli.objective.contrastive.Contrastive": {"chains": None, "delay_steps": 0},
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
# Until format 5 each kernel had these keys. They are now keys of the verb.
KERNEL_KEYS_UNTIL_5 = ("adapt", "target")
TUNING_DEFAULTS = {"adapt": "none", "target_accept": None, "target_bias": 0.05}
TRAINER_DEFAULTS = {"max_rollbacks": 0, "rollback_factor": 0.3, "nll_every": None}


def migrate_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of any format in the present format: missing keys get values that keep its meaning."""
    if config["made"].get("format", 0) >= FORMAT:
        return config
    full = with_new_names(config)
    for group, node in full.items():
        if isinstance(node, dict) and node.get("_target_") in DEFAULTS_FOR_OLD_FORMATS:
            full[group] = DEFAULTS_FOR_OLD_FORMATS[node["_target_"]] | node
    if isinstance(full.get("trainer"), dict):
        full["trainer"] = TRAINER_DEFAULTS | full["trainer"]
    if "sampler" in full:
        full = {"engine": "eager"} | TUNING_DEFAULTS | full
    sampler = full.get("sampler")
    if isinstance(sampler, dict) and str(sampler.get("_target_")).startswith("ebm_cli.sampler."):
        full["sampler"] = {key: value for key, value in sampler.items() if key not in KERNEL_KEYS_UNTIL_5}
    return full
