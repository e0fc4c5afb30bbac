"""When: the recorded program on engines, queues and semaphores. `simulate` gives a `Timeline`."""
