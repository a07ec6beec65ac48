"""Chains: the loop that moves them, burn-in, engines, units, their file, and the screening of broken chains."""
