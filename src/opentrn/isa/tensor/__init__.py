"""Instructions of the Tensor Engine."""
