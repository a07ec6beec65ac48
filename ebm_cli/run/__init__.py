"""The basis of a run: its folder, the machine, the terminal, and which files may be trusted."""
