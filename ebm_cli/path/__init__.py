"""Paths of densities from one with exact draws to the model, the arithmetic of their schedules, and replica swaps.

Nothing in this package moves states: samplers and the estimators of log Z do that along these paths.
"""
