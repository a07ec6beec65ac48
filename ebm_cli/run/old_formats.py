"""Read configurations of earlier formats with the meaning that they had."""

from typing import Any

from ebm_cli.run.renamed_keys import BASE_OF_LOG_Z, TEMPERING, with_new_names

FORMAT = 12
# Arguments that were added with a format, with the values under which a class does what it did without them.
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
    "ebm_cli.energy.rbm.RBM": {"joint": False},
    "ebm_cli.start.replay.Replay": {
        "chain_init": "noise",
        "age_limit": None,
        "shift": 0,
        "flip_probability": 0.0,
        "jitter_std": 0.0,
    },
    "ebm_cli.objective.contrastive.Contrastive": {"chains": None, "delay_steps": 0},
    "ebm_cli.regularizer.denoising.Denoising": {"weight_with_chains": None},
    "ebm_cli.sampler.sgld.SGLD": UNSCALED,
    "ebm_cli.sampler.sghmc.SGHMC": UNSCALED,
    "ebm_cli.sampler.mala.MALA": UNSCALED,
    "ebm_cli.sampler.hmc.HMC": {"short": 0.0, "log_step_std": 0.0},
    "ebm_cli.path.base.BasePath": {"renew_every": 100},
    "ebm_cli.data.table.Table": {
        "columns": None,
        "label": None,
        "header": "names",
        "missing": "refuse",
        "angles": None,
    },
    "ebm_cli.optimizer.adam.Adam": RATE,
    "ebm_cli.optimizer.adamw.AdamW": RATE,
    "ebm_cli.optimizer.sgd.SGD": RATE,
}
# Until format 5 each kernel had these keys. They are now keys of the verb.
KERNEL_KEYS_UNTIL_5 = ("adapt", "target")
TUNING_DEFAULTS = {"adapt": "none", "target_accept": None, "target_bias": 0.05}
TRAINER_DEFAULTS = {
    "max_rollbacks": 0,
    "rollback_factor": 0.3,
    "nll_every": None,
    "track": None,
    "stop": None,
    "patience": 1000,
}


LADDER_KEYS_UNTIL_8 = ("temperatures", "replicas", "hottest")


def with_path(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of format 8 or older with the path and the kernel of its tempering as nodes of their own.

    Its MALA with steps η at T·τ is one leapfrog step of √(2ηTτ) at the densities of the path.
    """
    node = config.get("sampler")
    if not isinstance(node, dict) or node.get("_target_") != TEMPERING or "kernel" in node:
        return config
    given, T, listed = node["step_size"], node["temperature"], isinstance(node["step_size"], list)
    first = given[0] if listed else given
    path = {"_target_": "ebm_cli.path.hot.HotPath"} | {key: node[key] for key in LADDER_KEYS_UNTIL_8}
    factors = None
    if listed:
        ladder = node["temperatures"] if isinstance(node["temperatures"], list) else None
        hottest, count = node["hottest"], len(given)
        places = ladder or [hottest ** (k / (count - 1)) for k in range(count)]
        factors = [(step / first * place) ** 0.5 for step, place in zip(given, places, strict=True)]
    kernel = {
        "_target_": "ebm_cli.sampler.hmc.HMC",
        "step_size": (2 * first * T) ** 0.5,
        "leapfrog_steps": 1,
        "step_size_jitter": 0.0,
        "short": node.get("short", 0.0),
        "log_step_std": 0.0,
        "temperature": 1.0,
        "scales": None,
    }
    sampler = {"_target_": TEMPERING, "temperature": T, "step_factors": factors, "scales": node.get("scales")}
    return config | {"path": path, "sampler": sampler | {"kernel": kernel}}


BASE_PATH = {
    "_target_": "ebm_cli.path.base.BasePath",
    "base": "auto",
    "box": None,
    "betas": "auto",
    "renew_every": 100,
}
LOG_Z_METRICS = ("ebm_cli.metric.log_z.LogZ", "ebm_cli.metric.nll.NLL")


def with_base_in_path(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of format 9 or older with the base of log Z in its path, where metrics had it.

    A base other than auto becomes that of a path from a base; of several metrics, the last gives it.
    """
    metrics = config.get("metric")
    if not isinstance(metrics, dict):
        return config
    path, kept = config.get("path"), {}
    for name, node in metrics.items():
        kept[name] = node
        if isinstance(node, dict) and node.get("_target_") in LOG_Z_METRICS:
            kept[name] = {key: value for key, value in node.items() if key not in BASE_OF_LOG_Z}
            given = {key: node[key] for key in BASE_OF_LOG_Z if key in node and node[key] != BASE_PATH[key]}
            own = path if isinstance(path, dict) and path.get("_target_") == BASE_PATH["_target_"] else BASE_PATH
            path = own | given if given else path
    return config | {"metric": kept, **({} if path is None else {"path": path})}


def with_old_defaults(node: Any) -> Any:
    """Return a node with the arguments that its class had no key for, as it was without them."""
    if not isinstance(node, dict) or node.get("_target_") not in DEFAULTS_FOR_OLD_FORMATS:
        return node
    return DEFAULTS_FOR_OLD_FORMATS[node["_target_"]] | node


def migrate_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of any format in the present format: missing keys get values that keep its meaning."""
    if config["made"].get("format", 0) >= FORMAT:
        return config
    full = with_base_in_path(with_path(with_new_names(config)))
    full = {group: with_old_defaults(node) for group, node in full.items()}
    if isinstance(full.get("regularizer"), dict):
        full["regularizer"] = {name: with_old_defaults(node) for name, node in full["regularizer"].items()}
    if isinstance(full.get("trainer"), dict):
        full["trainer"] = TRAINER_DEFAULTS | full["trainer"]
    if "sampler" in full:
        full = {"engine": "eager"} | TUNING_DEFAULTS | full
    sampler = full.get("sampler")
    if isinstance(sampler, dict) and str(sampler.get("_target_")).startswith("ebm_cli.sampler."):
        full["sampler"] = {key: value for key, value in sampler.items() if key not in KERNEL_KEYS_UNTIL_5}
    return full
