"""Kernels of the older dialect written in today's: what is mechanical is rewritten, the rest listed, and both are run.

`facts` watches a run of the old kernels, `grids` turns index expressions into slices, `calls` gives instructions their
destinations, `rewrite` edits the source, `prove` compares the two files.
"""

from __future__ import annotations

from opentrn.migrate.prove import Proof, migrate

__all__ = ["Proof", "migrate"]
