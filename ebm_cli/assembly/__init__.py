"""Assembly: build objects from plain values, check all parts of a run together, and open a trained run."""
