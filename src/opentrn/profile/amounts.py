"""Sums over the rows of a timeline, and the units in which reports speak."""

from __future__ import annotations

import numpy as np

from opentrn.timing.timeline import Timeline

__all__ = ["US", "covered", "overlap", "sums", "worst"]

US = 1e-3
"""Microseconds in a nanosecond."""


def sums(group: np.ndarray, amount: np.ndarray, groups: int) -> np.ndarray:
    """The sum of `amount` for each of `groups` groups, float64."""
    return np.bincount(group, amount, minlength=groups)


def covered(first: np.ndarray, last: np.ndarray) -> float:
    """The length of the union of intervals, which may overlap and come in any order."""
    order = np.argsort(first, kind="stable")
    first, last = first[order], last[order]
    reached = np.maximum.accumulate(last)
    before = np.concatenate(([-np.inf], reached[:-1]))
    return float(np.maximum(last - np.maximum(first, before), 0).sum()) if len(first) else 0.0


def overlap(start: np.ndarray, end: np.ndarray, first: np.ndarray, last: np.ndarray) -> float:
    """How much of the intervals start..end (sorted, disjoint) lies in the intervals first..last (disjoint)."""
    if not len(start) or not len(first):
        return 0.0
    edges = np.column_stack((start, end)).ravel()
    total = np.column_stack((np.zeros(len(start)), end - start)).ravel().cumsum()
    return float((np.interp(last, edges, total) - np.interp(first, edges, total)).sum())


def worst(timeline: Timeline, amount: np.ndarray) -> int:
    """The index of the place with the largest sum of `amount` (one number per row of the timeline)."""
    return int(sums(timeline.place, amount, len(timeline.places)).argmax())
