"""One training run: its state, its log, its warnings, its ranking of checkpoints, and its rollback."""
