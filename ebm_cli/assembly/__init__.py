"""Assembly: plain values into objects, all parts of a run checked together, and a trained run opened again."""
