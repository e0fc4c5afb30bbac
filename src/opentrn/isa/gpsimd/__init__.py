"""Instructions of the GpSimd Engine."""
