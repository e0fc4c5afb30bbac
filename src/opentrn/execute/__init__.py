"""Values: the memories of a core and the executor of recorded instructions."""
