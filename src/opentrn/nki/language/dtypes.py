"""`nki.language.dtypes`: the data types under their older address."""

from __future__ import annotations

from opentrn.nki.language.types import *  # noqa: F403
from opentrn.nki.language.types import __all__  # noqa: F401
