"""Instructions of the Scalar Engine."""
