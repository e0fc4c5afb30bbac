"""What the results add up to: errors per family, and whether versions of one kernel come out in the right order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opentrn.validation.predict import Result

__all__ = ["FamilyError", "Ranking", "families", "rankings", "spearman"]

SAME = 0.01
"""Published times closer than this are one rank: repeated runs differ by 0.4 % on average, and 5 % of a 19-us kernel."""


@dataclass(frozen=True)
class FamilyError:
    """Absolute errors of the rows of one family that could be predicted, as fractions: of the machine as it is, and held out."""

    family: str
    kind: str
    rows: int
    mean: float
    worst: float
    worst_row: str
    held_out_mean: float
    held_out_worst: float


@dataclass(frozen=True)
class Ranking:
    """Spearman's rank correlation between predicted and measured times of versions of one kernel."""

    versions: str
    rows: int
    correlation: float
    held_out: float


def _known(results: Sequence[Result]) -> list[Result]:
    return [each for each in results if each.predicted_us is not None]


def families(results: Sequence[Result]) -> list[FamilyError]:
    """One entry per family, in the order of the rows."""
    return [_family(name, [r for r in _known(results) if r.row.family == name]) for name in _names(results)]


def _names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(each.row.family for each in _known(results)))


def _family(name: str, results: list[Result]) -> FamilyError:
    errors = np.array([abs(each.error or 0.0) for each in results])
    apart = np.array([abs(each.held_out_error or 0.0) for each in results])
    worst = results[int(errors.argmax())].row
    sizes = float(errors.mean()), float(errors.max()), worst.id, float(apart.mean()), float(apart.max())
    return FamilyError(name, worst.kind, len(results), *sizes)


def rankings(results: Sequence[Result]) -> list[Ranking]:
    """One entry for each set of three and more versions."""
    found = []
    for name in dict.fromkeys(each.row.versions for each in _known(results) if each.row.versions):
        rows = [each for each in _known(results) if each.row.versions == name]
        if len(rows) >= 3:
            measured, predicted = [r.row.measured_us for r in rows], [r.predicted_us or 0.0 for r in rows]
            apart = [r.held_out_us or 0.0 for r in rows]
            found.append(Ranking(name, len(rows), spearman(measured, predicted), spearman(measured, apart)))
    return found


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Correlation of the ranks; values within `SAME` of the one before them share its rank. 1 where a side has one rank."""
    ranks = [_ranks(np.asarray(side, float)) for side in (left, right)]
    if any(np.ptp(each) == 0 for each in ranks):
        return float(np.ptp(ranks[0]) == np.ptp(ranks[1]))
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    group = np.concatenate([[0], np.cumsum(np.diff(ordered) > SAME * ordered[:-1])])
    positions = np.arange(len(values), dtype=float)
    means = np.array([positions[group == g].mean() for g in range(group[-1] + 1)])
    ranks = np.empty(len(values))
    ranks[order] = means[group]
    return ranks
