"""Mixing: the one verdict on a set of chains."""
