"""Validation: every published measurement that public material lets us repeat, timed again on our machine.

`rows.csv` holds the measurements with their sources, `skipped.csv` those that cannot be repeated and why, `kernels/` the
kernels written after the published schedules, `explanations.csv` what is understood of the misses.
"""

from __future__ import annotations

__all__: list[str] = []
