"""`nki._neuron_dtypes`: AWS's `neuron_dtypes` module, where nki-library's test adapter looks for it."""

from __future__ import annotations

from opentrn._neuron_dtypes import *  # noqa: F403
from opentrn._neuron_dtypes import __all__  # noqa: F401
