"""What NKI 0.4 spelled otherwise than 0.5 (NKI 0.5.0 release notes): nothing by name.

`nl.tile_size.psum_fmax` and `total_available_sbuf_size` are deprecated in the documentation since 0.4.0; they work as
before, without a warning, because every public kernel tiles by them.
"""

from __future__ import annotations

from opentrn.nki.compat import Old

__all__ = ["TABLE"]

TABLE: tuple[Old, ...] = ()
