"""TensorBoard files of runs."""
