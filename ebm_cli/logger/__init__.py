"""Where scalars are sent: TensorBoard."""
