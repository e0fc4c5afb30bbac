"""`torch_xla.core`: see `torch_xla`."""
