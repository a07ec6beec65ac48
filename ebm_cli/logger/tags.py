"""TensorBoard groups, descriptions and layout of the scalars that training logs."""

# TensorBoard sorts groups by name and opens the first. The digit places this group before chains and data.
MAIN_GROUP = "1_train"
# The group of all other scalars, which an objective adds.
OBJECTIVE_GROUP = "objective"
DESCRIPTIONS = {
    "loss": (MAIN_GROUP, "The objective's loss. With chains it compares two phases: its sign and size mean little."),
    "e_data": (MAIN_GROUP, "Mean energy E of the batch's data (positive phase)."),
    "e_model": (MAIN_GROUP, "Mean energy E of the model's chains (negative phase)."),
    "gap": (MAIN_GROUP, "e_model − e_data. Look for values around 0; it is not a loss to minimize."),
    "acceptance": ("chains", "Fraction of proposals that are accepted; always 1 for unadjusted kernels."),
    "chain_gradients": ("chains", "Gradient evaluations of the chains per training step."),
    "chain_age": ("chains", "Mean number of kernel steps since the chains' initial states."),
    "chain_distance": (
        "chains",
        "Root-mean-square move of chains per training step. It should not be near 0.",
    ),
    "swap_rate_min": ("chains", "Smallest swap rate of neighboring replicas in a training step."),
    "input_grad_norm": ("chains", "Mean ‖∇E(x)‖. If it keeps growing, the energy becomes too steep."),
    "outside": ("chains", "Fraction of chains beyond twice the largest distance of the data. It should be 0."),
    "e_noise": ("data", "Mean energy E of fixed noise. It should be above e_data."),
    "sample_mmd": (
        "data",
        "MMD² between chains and held-out samples; it selects checkpoints/best without nll.",
    ),
    "nll": ("data", "Negative log-likelihood of held-out samples, in nats per sample, from a cheap bracket."),
    "nll_lower": ("data", "Lower bound of nll, in nats per sample."),
    "nll_upper": ("data", "Upper bound of nll, in nats per sample; it selects checkpoints/best."),
    "fisher_divergence": ("data", "½ mean ‖∇E/T − ∇(exact energy)‖² over data with a known density."),
    "accuracy": (OBJECTIVE_GROUP, "Fraction of samples that the objective classifies correctly."),
    "accuracy_held_out": ("data", "Fraction of held-out samples that are classified correctly."),
    "dv_bound_held_out": ("data", "The objective's Donsker-Varadhan bound on held-out samples."),
    "log_z": (OBJECTIVE_GROUP, "The objective's own estimate of log Z, in nats."),
    "tracked_log_z": ("data", "log Z by replica exchange, in nats, as trainer.track=replicas estimates it for nll."),
    "tracked_log_z_lower": ("data", "Lower bound of tracked_log_z, in nats: two standard errors below it."),
    "tracked_log_z_upper": ("data", "Upper bound of tracked_log_z, in nats: two standard errors above it."),
    "nll_swap_rate_min": ("data", "Smallest swap rate of the replicas that give nll. It should be above 0.25."),
    "cross_entropy": (OBJECTIVE_GROUP, "Cross-entropy of the labels, in nats."),
    "grad_norm": ("optimizer", "Norm of the loss's gradient before clipping."),
    "lr": ("optimizer", "Learning rate."),
    "steps_per_second": ("speed", "Training steps per second since the run was started or resumed."),
}
HISTOGRAMS = {
    "data": "Energies of the batch's data. It should overlap the histogram of the model.",
    "model": "Energies of the model's chains. It should overlap the histogram of the data.",
    "noise": "Energies of fixed noise. They should be far above the energies of the data.",
}
PICTURES = {
    "samples": "The first chains of the model at this training step, not selected. They should look like the data.",
    "buffer": "States of the replay buffer, where the chains of the next steps start.",
}
# The categories of TensorBoard's custom layout, in order, and the scalars of each chart.
LAYOUT = {
    "training": {
        "energies of both phases: data and model": ("e_data", "e_model"),
        "gap: e_model − e_data": ("gap",),
        "loss": ("loss",),
    },
    "chains": {"acceptance": ("acceptance",), "distance per step": ("chain_distance",), "outside": ("outside",)},
    "compared with held-out rows": {
        "nll and its bounds": ("nll", "nll_lower", "nll_upper"),
        "log Z and its bounds": ("tracked_log_z", "tracked_log_z_lower", "tracked_log_z_upper"),
        "MMD²": ("sample_mmd",),
    },
}


def tag(name: str) -> str:
    """Return the tag of the scalar `name` of metrics.jsonl."""
    return f"{DESCRIPTIONS.get(name, (OBJECTIVE_GROUP, ''))[0]}/{name}"


def description(name: str) -> str:
    """Return the description of a scalar of training."""
    return DESCRIPTIONS.get(name, (OBJECTIVE_GROUP, "A scalar of the objective; see its docstring."))[1]


def layout(logged: set[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the custom layout for the scalars that exist: categories, their charts, and the tags of each."""
    charts = {
        title: {chart: tuple(map(tag, names)) for chart, names in rows.items() if logged.intersection(names)}
        for title, rows in LAYOUT.items()
    }
    return {title: rows for title, rows in charts.items() if rows}
