"""Train any set of PyTorch networks that learn together from one YAML file."""
