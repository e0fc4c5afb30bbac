"""Instructions whose first engine is the Vector Engine."""
