"""Mixing: one verdict on a set of chains."""
