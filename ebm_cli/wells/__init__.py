"""Regions of low energy: minima and modes, their basins, and the mass of a region."""
