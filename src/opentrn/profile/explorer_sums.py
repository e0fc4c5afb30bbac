"""Tables of Neuron Explorer with sums over a run. What each field holds: explorer_schema.csv.

The formulas of `Summary` were checked on the public profiles of allenkchau/trainium-kernel-fusion: its clock cycles,
arithmetic ratios and utilisations follow from its times, bytes and flops in just this way.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from opentrn.errors import MachineError
from opentrn.machine.chip import Chip
from opentrn.profile.amounts import covered
from opentrn.profile.explorer_events import end_times, opcodes
from opentrn.profile.explorer_schema import SCHEMA_VERSION
from opentrn.profile.tables import Column, Table, text
from opentrn.profile.traffic import hbm_bytes
from opentrn.profile.usage import nanoseconds, union
from opentrn.timing.timeline import ENGINES, Timeline

__all__ = ["sums_of"]

SECONDS = 1e-9
"""A nanosecond in seconds, and a hertz in gigahertz."""


def sums_of(timeline: Timeline) -> dict[str, Table]:
    """All tables of this module, by name."""
    return {
        "Metadata": _row(_metadata(timeline)),
        "OpcodeSummary": _opcode_summary(timeline),
        "Summary": _row(_summary(timeline)),
    }


def _row(facts: dict[str, Any]) -> Table:
    """A table of one row; a fact that is None is left out, so that the field becomes null."""
    return {name: _cell(value) for name, value in facts.items() if value is not None}


def _cell(value: Any) -> Column:
    return text(np.zeros(1), [value]) if isinstance(value, str) else np.array([value])


def _known(read: Callable[[], float]) -> float | None:
    """A number of the chip, or None where no public source gives it."""
    try:
        return read()
    except MachineError:
        return None


def _metadata(t: Timeline) -> dict[str, Any]:
    chip, last = t.chip, nanoseconds(np.array([t.total_ns]))[0]
    engines, cost = chip.engines, chip.cost
    return {
        "profile_schema_version": SCHEMA_VERSION,
        "num_physical_cores": t.cores,
        "vnc_enabled": t.cores > 1,
        "first_hw_timestamp": 0,
        "last_hw_timestamp": last,
        "first_ts": _date(0),
        "last_ts": _date(int(last)),
        "dma_ddr_bandwidth": _known(lambda: engines.dma.engines * cost.dma.peak_bytes_per_ns_per_engine / SECONDS),
        "num_dma_engines_per_neuroncore": _known(lambda: engines.dma.engines),
        "hbm_ddr_bandwidth": _known(lambda: cost.hbm.bytes_per_ns_stack / SECONDS),
        "tensor_engine_num_rows": _known(lambda: engines.tensor.rows),
        "tensor_engine_num_cols": _known(lambda: engines.tensor.columns),
        "vector_engine_num_channels": _known(lambda: engines.vector.lanes),
        "scalar_engine_num_channels": _known(lambda: engines.scalar.lanes),
        "neuroncore_clock_freq": _known(lambda: engines.base_clock_hz * SECONDS),
        "is_simulation": True,
        **{
            f"{name}_engine_clock_freq": _known(lambda name=name: engines[name].clock_hz * SECONDS)
            for name in ("tensor", "vector", "scalar", "gpsimd")
        },
    }


def _date(nanosecond: int) -> str:
    """As the schema page writes it: 1970-01-01 00:00:00+00:00."""
    return str(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanosecond // 1000))


def _opcode_summary(t: Timeline) -> Table:
    start, end, names = nanoseconds(t.start), nanoseconds(end_times(t)), opcodes(t)
    known = sorted(set(names))
    code = np.array([known.index(name) for name in names], np.int64)[t.operation]
    pair = t.engine.astype(np.int64) * max(len(known), 1) + code
    found = np.flatnonzero(np.bincount(pair))
    groups = [np.flatnonzero(pair == each) for each in found]
    active = [_active(start[rows], end[rows]) for rows in groups]
    return {
        "engine": text(found // max(len(known), 1), ENGINES),
        "opcode": text(found % max(len(known), 1), known),
        "instruction_count": np.array([len(rows) for rows in groups], np.int64),
        "instruction_time_ns": np.array([(end[rows] - start[rows]).sum() for rows in groups], np.int64),
        "active_time_ns": np.array(active, np.int64),
        "active_time_percent": np.array(active, np.float64) / t.total_ns,
    }


def _active(start: np.ndarray, end: np.ndarray) -> int:
    first, last = union(start, end)
    return int((last - first).sum())


def _peak_flops(chip: Chip) -> float:
    """Floating-point operations per second of one TensorE in BF16; multiply and add count two."""
    tensor = chip.engines.tensor
    return 2 * tensor.rows * tensor.columns * tensor.clock_hz


def _summary(t: Timeline) -> dict[str, Any]:
    total, end = t.total_ns * SECONDS, end_times(t)
    active = covered(np.concatenate((t.start, t.dma.first)), np.concatenate((end, t.dma.last))) * SECONDS
    activate = _has_opcode(t, "ACTIVATE")
    return {
        "total_time": total,
        "neuroncore_cycle_count": _cycles(t.chip, total),
        "matmul_instruction_count": int(_has_opcode(t, "MATMUL").sum()),
        "activate_instruction_count": int(activate.sum()),
        "activate_instruction_time": (end - t.start)[activate].sum() * SECONDS,
        "total_exec_time": _extent(t, end) * SECONDS,
        "total_active_time": active,
        "total_active_time_percent": active / total,
        **_engine_sums(t, end),
        **_dma_sums(t),
        **_compute_sums(t),
    }


def _has_opcode(t: Timeline, opcode: str) -> np.ndarray:
    """Which instructions have it: bool, one per row."""
    return np.array([each == opcode for each in opcodes(t)], bool)[t.operation]


def _cycles(chip: Chip, seconds: float) -> float | None:
    """Cycles of the core's base clock."""
    return _known(lambda: round(seconds * chip.engines.base_clock_hz))


def _extent(t: Timeline, end: np.ndarray) -> float:
    starts, ends = np.concatenate((t.start, t.dma.first)), np.concatenate((end, t.dma.last))
    return float(ends.max() - starts.min()) if len(starts) else 0.0


def _engine_sums(t: Timeline, end: np.ndarray) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for engine, name in enumerate(ENGINES):
        rows = np.flatnonzero(t.engine == engine)
        active = covered(t.start[rows], end[rows])
        made |= {
            f"{name}_engine_instruction_time": (end[rows] - t.start[rows]).sum() * SECONDS,
            f"{name}_engine_active_time": active * SECONDS,
            f"{name}_engine_active_time_percent": active / t.total_ns,
            f"{name}_engine_instruction_count": len(rows),
        }
    return made


def _dma_sums(t: Timeline) -> dict[str, Any]:
    dma, count = t.dma, len(t.dma.instruction)
    active, spent = covered(dma.first, dma.last) * SECONDS, (dma.last - dma.first).sum() * SECONDS
    read, written = hbm_bytes(dma)
    rate = (read + written) / t.total_ns
    return {
        "dma_active_cycles": _cycles(t.chip, active),
        "dma_active_time": active,
        "dma_active_time_percent": active / (t.total_ns * SECONDS),
        "dma_transfer_average_bytes": dma.nbytes.sum() / count if count else None,
        "dma_packet_time": spent,
        "dma_transfer_time": spent,
        "dma_transfer_count": count,
        "dma_transfer_total_bytes": dma.nbytes.sum(),
        "dma_queue_count": len(np.unique(dma.queue)),
        "hbm_read_bytes": read,
        "hbm_write_bytes": written,
        "mbu_estimated_percent": _known(lambda: rate / t.chip.cost.hbm.bytes_per_ns_stack),
    }


def _compute_sums(t: Timeline) -> dict[str, Any]:
    flops = float(np.array([operation.flops for operation in t.operations])[t.operation].sum()) if len(t) else 0.0
    rate = flops / (t.total_ns * SECONDS)
    return {
        "hardware_flops": int(flops),
        "hfu_estimated_percent": _known(lambda: rate / (t.cores * _peak_flops(t.chip))),
        "peak_flops_bandwidth_ratio": _known(
            lambda: _peak_flops(t.chip) * SECONDS / t.chip.cost.hbm.bytes_per_ns_stack
        ),
    }
