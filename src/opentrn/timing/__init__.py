"""When: the recorded program on engines, queues and semaphores. `simulate` gives a `Timeline`."""

from opentrn.timing.simulate import simulate

__all__ = ["simulate"]
