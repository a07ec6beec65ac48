"""Where TensorBoard shows what training logs: its group, what it means, and the layout of the first screen."""

# TensorBoard sorts groups by name and opens the first; a digit puts this one before chains and data.
MAIN = "1_train"
# Of what an objective logs besides.
OTHER = "objective"
ABOUT = {
    "loss": (MAIN, "The objective's loss. With chains it compares two phases: its sign and size say little."),
    "e_data": (MAIN, "Mean energy E of the batch's data (positive phase)."),
    "e_model": (MAIN, "Mean energy E of the model's chains (negative phase)."),
    "gap": (MAIN, "e_model − e_data. Good: it hovers around 0; it is not a loss to be driven down."),
    "acceptance": ("chains", "Fraction of proposals that are accepted; always 1 for kernels without a test."),
    "chain_gradients": ("chains", "Gradient evaluations of the chains per training step."),
    "chain_age": ("chains", "Mean number of kernel steps since the chains' initial states."),
    "chain_distance": ("chains", "Root-mean-square distance that chains move in a training step. Bad: near 0."),
    "input_grad_norm": ("chains", "Mean ‖∇E(x)‖. Bad: it grows without end, as the energy becomes steep."),
    "outside": ("chains", "Fraction of chains further out than twice the furthest data. Good: 0."),
    "e_noise": ("data", "Mean energy E of fixed noise. Good: above e_data, as noise is no data."),
    "sample_mmd": ("data", "MMD² of the chains to held-out rows, by which checkpoints/best goes unless nll is there."),
    "nll": ("data", "Negative log-likelihood of held-out rows, in nats per row, from a cheap bracket."),
    "nll_lower": ("data", "Lower (optimistic) bound of nll, in nats per row."),
    "nll_upper": ("data", "Upper (pessimistic) bound of nll, in nats per row; checkpoints/best goes by it."),
    "fisher_divergence": ("data", "½ mean ‖∇E/T − ∇(exact energy)‖² over the data, where their density is known."),
    "accuracy": (OTHER, "Fraction of rows that the objective classifies rightly."),
    "accuracy_held_out": ("data", "Fraction of held-out rows that are classified rightly."),
    "dv_bound_held_out": ("data", "The objective's Donsker-Varadhan bound on held-out rows."),
    "log_z": (OTHER, "The objective's own log Z, in nats."),
    "cross_entropy": (OTHER, "Cross-entropy of the labels, in nats."),
    "grad_norm": ("optimizer", "Norm of the loss's gradient before clipping."),
    "lr": ("optimizer", "Learning rate."),
    "steps_per_second": ("speed", "Training steps per second since the run was started or resumed."),
}
HISTOGRAMS = {
    "data": "Energies of the batch's data. Good: it lies over the histogram of the model.",
    "model": "Energies of the model's chains. Good: it lies over the histogram of the data.",
    "noise": "Energies of fixed noise. Good: far above those of the data.",
}
PICTURES = {
    "samples": "The model's chains at this training step, the first ones and unselected. Good: not to be told from the "
    "data.",
    "buffer": "States of the replay buffer, where the chains of the next steps start.",
}
# Categories of the custom layout, in order, and their charts: the scalars that share one.
LAYOUT = {
    "training": {
        "energies of both phases: data and model": ("e_data", "e_model"),
        "gap: e_model − e_data": ("gap",),
        "loss": ("loss",),
    },
    "chains": {"acceptance": ("acceptance",), "distance per step": ("chain_distance",), "outside": ("outside",)},
    "compared with held-out rows": {"nll and its bounds": ("nll", "nll_lower", "nll_upper"), "MMD²": ("sample_mmd",)},
}


def tag(name: str) -> str:
    """The tag of a scalar that metrics.jsonl has under `name`."""
    return f"{ABOUT.get(name, (OTHER, ''))[0]}/{name}"


def description(name: str) -> str:
    """What a scalar of training means."""
    return ABOUT.get(name, (OTHER, "A figure of the objective's own; its docstring says more."))[1]


def layout(known: set[str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """The custom layout as far as there is something to draw: categories, their charts, the tags of each."""
    charts = {
        title: {chart: tuple(map(tag, names)) for chart, names in rows.items() if known.intersection(names)}
        for title, rows in LAYOUT.items()
    }
    return {title: rows for title, rows in charts.items() if rows}
