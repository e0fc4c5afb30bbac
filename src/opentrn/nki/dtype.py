"""`nki.dtype`: the data types, as an annotation (``nki.dtype``) and by name (``nki.dtype.bfloat16``)."""

from __future__ import annotations

from opentrn.nki.language.types import *  # noqa: F403
from opentrn.nki.language.types import __all__  # noqa: F401
