"""The four verbs: train, sample, evaluate and diagnose. None imports another."""
