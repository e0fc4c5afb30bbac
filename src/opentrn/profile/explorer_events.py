"""Tables of Neuron Explorer with a row per event, sample, line or tensor. What each field holds: explorer_schema.csv."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from opentrn.profile.links import carriers
from opentrn.profile.tables import Column, Table, Text, names, text
from opentrn.profile.usage import clock_rate, hbm_traffic, nanoseconds, transfer_rate, union
from opentrn.timing.timeline import CAUSES, ENGINES, Dma, Series, Timeline

__all__ = ["end_times", "events", "opcodes"]

OPCODES = {
    "activation": "ACTIVATE",
    "dma_copy": "DMA_DIRECT2D",
    "nc_matmul": "MATMUL",
    "reciprocal": "RECIPROCAL",
    "tensor_copy": "COPY",
    "tensor_reduce": "TENSOR_REDUCE",
    "tensor_scalar": "TENSOR_SCALAR",
    "tensor_tensor": "TENSOR_TENSOR",
}
"""The profiler's names, where the public profiles of allenkchau/trainium-kernel-fusion or the schema page show them."""
ENGINE_NAMES = ("Tensor", "Vector", "Scalar", "GpSimd", "Sync")
EVENT_CAUSES = ("semaphore", "dma", "core")
"""Waits that end with an event or a semaphore."""
DENOMINATOR = 64
"""Largest n of a throttle's k / n; every share of a clock that a chip's table holds is simpler."""


def events(timeline: Timeline) -> dict[str, Table]:
    """All tables of this module, by name."""
    read, written = hbm_traffic(timeline.dma)
    return {
        "ActiveTime": _active_time(timeline),
        "DmaPacket": _packets(timeline),
        "DmaPacketAggregated": _transfers(timeline),
        "DmaUsage": _rates(timeline, timeline.dma.nbytes),
        "Flow": _flows(timeline),
        "HbmUsage": _rates(timeline, read + written),
        "Instruction": _instructions(timeline),
        "PsumUsage": _fullness(timeline, "psum"),
        "SbufUsage": _fullness(timeline, "sbuf"),
        "SemaphoreUpdate": _posts(timeline),
        **_frames(timeline),
        "TensorInfo": _tensors(timeline),
        "Throttle": _throttle(timeline),
        "Warning": {
            "message": _one("Simulated by opentrn: times are predictions of a model, not measurements."),
            "category": _one("Simulation"),
        },
    }


def _one(words: str) -> Text:
    return text(np.zeros(1), [words])


def end_times(timeline: Timeline) -> np.ndarray:
    """When each instruction finished: its result can be used, or, for a DMA trigger, its engine is free again."""
    end = timeline.done.copy()
    end[timeline.dma.instruction] = timeline.end[timeline.dma.instruction]
    return end


def opcodes(timeline: Timeline) -> list[str]:
    """The opcode of each of `timeline.operations`: the profiler's where it is public, else the nki.isa function."""
    return [OPCODES.get(operation.name, operation.name) for operation in timeline.operations]


def _span(first: np.ndarray, last: np.ndarray) -> Table:
    start, end = nanoseconds(first), nanoseconds(last)
    return {"start_ts": start, "end_ts": end, "duration_ns": end - start}


def _instructions(t: Timeline) -> Table:
    end = end_times(t)
    waits = np.isin(t.cause, [CAUSES.index(cause) for cause in EVENT_CAUSES])
    read, written = hbm_traffic(t.dma)

    def total(of: np.ndarray) -> np.ndarray:
        return np.bincount(t.dma.instruction, of, minlength=len(t)).astype(np.int64)

    return {
        **_span(t.start, end),
        "engine": text(t.engine, ENGINE_NAMES),
        "pcore_idx": t.core,
        "opcode": text(t.operation, opcodes(t)),
        "operands": text(t.operation, [operation.operands for operation in t.operations]),
        "compiler_opcode": text(t.operation, [operation.name for operation in t.operations]),
        "id": np.arange(len(t)),
        "pc": _count_within(t.core.astype(np.int64) * len(ENGINES) + t.engine),
        "evt_wait_time_ns": np.where(waits, nanoseconds(t.start) - nanoseconds(t.ready), 0),
        "stack_frame_ids": text(t.place, [f"[{number}]" for number in range(1, len(t.places) + 1)]),
        "nki_source_location": text(t.place, [f"{place.file}:{place.line}" for place in t.places]),
        **_triggered(t),
        "hbm_read_bytes": total(read),
        "hbm_write_bytes": total(written),
        "raw_flops": np.array([operation.flops for operation in t.operations], np.float64)[t.operation].astype(
            np.int64
        ),
    }


def _count_within(group: np.ndarray) -> np.ndarray:
    """How many rows before each row belong to its group."""
    order = np.argsort(group, kind="stable")
    in_order = group[order]
    made = np.empty(len(group), np.int64)
    made[order] = np.arange(len(group)) - np.searchsorted(in_order, in_order)
    return made


def _triggered(t: Timeline) -> Table:
    """First and last byte of what each DMA trigger started; nothing for other instructions."""
    first, last = np.full(len(t), np.inf), np.full(len(t), -np.inf)
    np.minimum.at(first, t.dma.instruction, t.dma.first)
    np.maximum.at(last, t.dma.instruction, t.dma.last)
    none = np.isinf(first)
    first[none], last[none] = 0, 0
    start = nanoseconds(first)
    columns = {
        "dma_trigger_start_ts": start,
        "dma_trigger_end_ts": nanoseconds(last),
        "dma_wait_time_ns": start - nanoseconds(t.end),
    }
    return {name: np.ma.masked_array(column, none) for name, column in columns.items()}


def _transfers(t: Timeline) -> Table:
    trigger = t.dma.instruction
    return {
        **_moves(t),
        "trigger": nanoseconds(t.start[trigger]),
        "completion": nanoseconds(t.end[trigger]),
    }


def _packets(t: Timeline) -> Table:
    rows = len(t.dma.instruction)
    return {**_moves(t), "packet_idx": np.zeros(rows, np.int32), "packet_aggregation_id": np.arange(rows)}


def _moves(t: Timeline) -> Table:
    dma, rows = t.dma, len(t.dma.instruction)
    length = dma.last - dma.first
    moving = length > 0
    throughput = np.divide(dma.nbytes * 1e9, length, out=np.zeros(rows), where=moving)
    return {
        **_span(dma.first, dma.last),
        "pcore_idx": t.core[dma.instruction],
        "id": np.arange(rows),
        "read_bytes": dma.nbytes,
        "write_bytes": dma.nbytes,
        "transfer_bytes": dma.nbytes,
        "throughput": np.ma.masked_array(throughput, ~moving),
        "queue_type": text(np.zeros(rows), ["unknown"]),
        "variable": names(dma.tensor, [tensor.name for tensor in t.tensors]),
        "queue_name": text(dma.queue, t.queues),
        "queue_idx": dma.queue,
    }


def _flows(t: Timeline) -> Table:
    """Semaphore edges first, then one row per transfer from its trigger."""
    edges, dma, end = t.semaphores, t.dma, end_times(t)
    carrier = carriers(t)
    direct, rows = carrier < 0, len(dma.instruction)
    released = end[edges.producer]
    released[~direct] = dma.last[carrier[~direct]]
    table, none = ["instruction", "dma_block"], np.zeros(rows, np.int64)
    return {
        "in_id": np.concatenate((np.where(direct, edges.producer, carrier), dma.instruction)),
        "out_id": np.concatenate((edges.consumer, np.arange(rows))),
        "in_table": text(np.concatenate((~direct, none)), table),
        "out_table": text(np.concatenate((np.zeros(len(direct)), none + 1)), table),
        "gap_time": np.concatenate(
            (
                nanoseconds(t.start[edges.consumer]) - nanoseconds(released),
                nanoseconds(dma.first) - nanoseconds(t.end[dma.instruction]),
            )
        ),
    }


def _posts(t: Timeline) -> Table:
    """One per instruction or transfer that is waited for. Each engine and each queue has a semaphore that counts up."""
    carrier = carriers(t)
    by_engine, by_queue = (
        np.flatnonzero(np.bincount(rows)) for rows in (t.semaphores.producer[carrier < 0], carrier[carrier >= 0])
    )
    semaphores = [*ENGINES, *t.queues]
    time = np.concatenate((t.done[by_engine], t.dma.last[by_queue]))
    name = np.concatenate((t.engine[by_engine].astype(np.int64), t.dma.queue[by_queue].astype(np.int64) + len(ENGINES)))
    source = np.concatenate((t.engine[by_engine].astype(np.int64), np.full(len(by_queue), -1)))
    core = np.concatenate((t.core[by_engine], t.core[t.dma.instruction[by_queue]])).astype(np.int64)
    order = np.argsort(time, kind="stable")
    name, core = name[order], core[order]
    return {
        "timestamp": nanoseconds(time[order]),
        "id": text(name, semaphores),
        "value": _count_within(core * len(semaphores) + name) + 1,
        "update_source": text(source[order], ENGINE_NAMES),
        "update_operation_type": text(np.zeros(len(order)), ["sem_inc"]),
        "update_trigger_timing": text(np.zeros(len(order)), ["complete"]),
        "pcore_idx": core,
    }


def _active_time(t: Timeline) -> Table:
    start, end, made = nanoseconds(t.start), nanoseconds(end_times(t)), []
    for core in range(t.cores):
        for engine in range(len(ENGINES)):
            rows = np.flatnonzero((t.core == core) & (t.engine == engine))
            made.append((core, engine, *union(start[rows], end[rows])))
    counts = [len(first) for _, _, first, _ in made]
    first, last = (np.concatenate([part[n] for part in made]) for n in (2, 3))
    return {
        "start_ts": first,
        "end_ts": last,
        "engine": text(np.repeat([engine for _, engine, _, _ in made], counts), ENGINES),
        "pcore_idx": np.repeat([core for core, _, _, _ in made], counts),
        "duration_ns": last - first,
    }


def _stacked(series: list[tuple[int, Series]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(core, time, value) of the series of several cores, one after another."""
    core = np.repeat(np.array([c for c, _ in series], np.int64), [len(each.time) for _, each in series])
    nothing = [np.zeros(0)]
    return (
        core,
        np.concatenate([*nothing, *(each.time for _, each in series)]),
        np.concatenate([*nothing, *(each.value for _, each in series)]),
    )


def _rates(t: Timeline, nbytes: np.ndarray) -> Table:
    dma, per_core, sums = t.dma, [], [np.zeros(0)]
    for core in range(t.cores):
        mine = (t.core[dma.instruction] == core) & (nbytes > 0)
        rate = transfer_rate(dma.first[mine], dma.last[mine], nbytes[mine])
        per_core.append((core, rate))
        sums.append(np.cumsum(np.append(0.0, rate.value[:-1] * np.diff(rate.time))[: len(rate.time)]))
    core, time, value = _stacked(per_core)
    return {
        "timestamp": nanoseconds(time),
        "current_throughput": value * 1e9,
        "total_transfer_bytes": np.rint(np.concatenate(sums)).astype(np.int64),
        "pcore_idx": core,
    }


def _fullness(t: Timeline, memory: str) -> Table:
    core, time, value = _stacked([(core, series) for (core, name), series in t.occupancy.items() if name == memory])
    capacity = t.chip.memory[f"{memory}_bytes_per_partition"]
    return {"timestamp": nanoseconds(time), "avg_util_percent": value / capacity, "pcore_idx": core}


def _throttle(t: Timeline) -> Table:
    full = t.chip.engines.tensor.clock_hz
    rows = []
    for core, spans in enumerate(t.clock):
        for start, end, rate in zip(spans.start, spans.end, clock_rate(t.chip, spans).value, strict=True):
            if rate < full:
                rows.append((core, start, end, Fraction(rate / full).limit_denominator(DENOMINATOR)))
    start, end = (nanoseconds(np.array([row[n] for row in rows], np.float64)) for n in (1, 2))
    return {
        "duration": end - start,
        "k": np.array([share.numerator for *_, share in rows], np.int32),
        "n": np.array([share.denominator for *_, share in rows], np.int32),
        "timestamp": start,
        "type": text(np.zeros(len(rows)), ["unknown"]),
        "pcore_idx": np.array([row[0] for row in rows], np.int64),
    }


def _frames(t: Timeline) -> dict[str, Table]:
    files = list(dict.fromkeys(place.file for place in t.places))
    functions = list(dict.fromkeys(place.function for place in t.places))
    ids, count = _ids(len(t.places)), len(t.places)
    return {
        "StackFrame": {
            "id": ids,
            "file_location_id": np.arange(1, count + 1),
            "parent_frame_id": text(np.zeros(count), ["0"]),
        },
        "StackFrameFileLocation": {
            "id": ids,
            "file_name_id": np.array([files.index(place.file) + 1 for place in t.places], np.int64),
            "function_name_id": np.array([functions.index(place.function) + 1 for place in t.places], np.int64),
            "line_number": np.array([place.line for place in t.places], np.int64),
        },
        "StackFrameFileName": {"id": _ids(len(files)), "name": text(np.arange(len(files)), files)},
        "StackFrameFunctionName": {"id": _ids(len(functions)), "name": text(np.arange(len(functions)), functions)},
    }


def _ids(count: int) -> Text:
    return text(np.arange(count), [str(number) for number in range(1, count + 1)])


def _tensors(t: Timeline) -> Table:
    in_hbm = [n for n, tensor in enumerate(t.tensors) if not tensor.buffer.on_chip]
    found = [t.tensors[n] for n in in_hbm]
    loads = _loads(t.dma)
    rows, size = t.dma.tensor[loads], np.array([tensor.nbytes for tensor in found], np.int64)
    count, loaded = (
        np.bincount(rows, weights, minlength=len(t.tensors))[in_hbm] for weights in (None, t.dma.nbytes[loads])
    )
    every = np.arange(len(found))
    return {
        "variable_name": names(every, [tensor.name for tensor in found]),
        "shape": text(every, [" ".join(map(str, tensor.shape)) for tensor in found]),
        "size": size,
        "pcore_idx": np.array([tensor.core for tensor in found], np.int64),
        "load_to_sbuf_avg_size_bytes": _over(np.rint(loaded / np.maximum(count, 1)).astype(np.int64), count),
        "load_to_sbuf_total_size_bytes": loaded.astype(np.int64),
        "load_to_sbuf_dma_count": count,
        "load_to_sbuf_repeat_factor": _over(loaded / np.maximum(size, 1), size),
    }


def _loads(dma: Dma) -> np.ndarray:
    return np.flatnonzero((dma.direction == 0) & (dma.tensor >= 0))


def _over(quotient: np.ndarray, divisor: np.ndarray) -> Column:
    """A quotient that is nothing where its divisor is 0."""
    return np.ma.masked_array(quotient, divisor == 0)
