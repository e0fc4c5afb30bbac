"""`write_columns`: every event of a timeline as tables of columns, for SQL, pandas or numpy; `read_columns` reads .npz.

===============  =======================================================================================================
table            one row per
===============  =======================================================================================================
`instructions`   executed instruction, as in `Timeline`: `id` is its row, `blocker` the id that it waited for (-1: none)
`dma`            DMA transfer; `instruction` and `tensor` (-1: none) are ids, `low` and `high` bytes of the HBM tensor
`semaphores`     wait that is left after pruning: ids of `producer` and `consumer`
`series`         step of a series: SBUF and PSUM bytes per partition in use, DMA bytes per ns; it holds until the next one
`clock`          span of the TensorE clock, "half" or "full"
`tensors`        tensor of the kernel
`run`            run (always one): chip, cores, times
===============  =======================================================================================================

Columns ending in `_ns` are nanoseconds from the start of the kernel on the device (float64).
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from opentrn.errors import FileError
from opentrn.profile.files import whole, whole_set
from opentrn.profile.tables import Column, Table, Text, arrow_column, arrow_parquet, names, text
from opentrn.profile.traffic import DIRECTIONS
from opentrn.profile.usage import transfer_rate
from opentrn.timing.timeline import CAUSES, ENGINES, Operation, Place, Timeline

__all__ = ["read_columns", "tables", "write_columns"]

FORM = "opentrn columns 1"
"""What `form` of an .npz says: its kind and version."""
SUFFIXES = (".npz", ".parquet")
MALFORMED = (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, OverflowError, zipfile.BadZipFile)
"""What numpy and zipfile raise for a damaged archive; below, zlib.error and struct.error too."""


def write_columns(path: str | os.PathLike[str], timeline: Timeline) -> list[Path]:
    """Write all tables of a timeline; the suffix of `path` chooses the format. Gives the files written.

    .npz: one file. The array ``instructions/start_ns`` is a column; of a text column ``instructions/name`` holds
    numbers and ``instructions/name/values`` the texts that they index (-1: none). .parquet: `path` itself holds the
    instructions, and each other table lies beside it as ``NAME.dma.parquet`` and so on (extra ``parquet``).

    Raises FileError for another suffix and for a path that cannot be written, InstallError without pyarrow.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise FileError(
            f"{target} has no suffix that says its format", got=repr(target.suffix), expected=" or ".join(SUFFIXES)
        )
    return _write_npz(target, timeline) if target.suffix == ".npz" else _write_parquet(target, timeline)


def read_columns(path: str | os.PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """The tables of an .npz that `write_columns` wrote: table -> column -> array (texts as objects of type str).

    Nothing is unpickled. Raises FileError for a file that cannot be read or is no such file.
    """
    try:
        with Path(path).open("rb") as file:
            return _decode(_arrays(file))
    except (*MALFORMED, zlib.error, struct.error) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"no columns can be read from {path}",
            got=f"{type(error).__name__}: {error}",
            expected="an .npz file that write_columns wrote",
        ) from error


def tables(timeline: Timeline) -> dict[str, Table]:
    """All tables of a timeline, by name."""
    return {
        "instructions": _instructions(timeline),
        "dma": _dma(timeline),
        "semaphores": {"producer": timeline.semaphores.producer, "consumer": timeline.semaphores.consumer},
        "series": _series(timeline),
        "clock": _clock(timeline),
        "tensors": _tensors(timeline),
        "run": _run(timeline),
    }


def _instructions(t: Timeline) -> Table:
    def by_operation(of: Callable[[Operation], str]) -> Text:
        return text(t.operation, [of(operation) for operation in t.operations])

    def number(of: Callable[[Operation], float]) -> np.ndarray:
        return np.array([of(operation) for operation in t.operations], np.float64)[t.operation]

    def by_place(of: Callable[[Place], str]) -> Text:
        return text(t.place, [of(place) for place in t.places])

    return {
        "id": np.arange(len(t)),
        "core": t.core,
        "engine": text(t.engine, ENGINES),
        "name": by_operation(lambda operation: operation.name),
        "operands": by_operation(lambda operation: operation.operands),
        "file": by_place(lambda place: place.file),
        "line": np.array([place.line for place in t.places], np.int32)[t.place],
        "function": by_place(lambda place: place.function),
        "ready_ns": t.ready,
        "start_ns": t.start,
        "end_ns": t.end,
        "done_ns": t.done,
        "wait_ns": t.wait,
        "cause": text(t.cause, CAUSES),
        "blocker": t.blocker,
        "flops": number(lambda operation: operation.flops),
        "elements": number(lambda operation: operation.elements).astype(np.int64),
        "alone_busy_ns": number(lambda operation: operation.busy_ns),
        "alone_latency_ns": number(lambda operation: operation.latency_ns),
        "tiers": by_operation(lambda operation: "+".join(operation.tiers)),
    }


def _dma(t: Timeline) -> Table:
    dma = t.dma
    return {
        "instruction": dma.instruction,
        "core": t.core[dma.instruction],
        "queue": text(dma.queue, t.queues),
        "first_ns": dma.first,
        "last_ns": dma.last,
        "nbytes": dma.nbytes,
        "descriptors": dma.descriptors,
        "engines": dma.engines,
        "direction": text(dma.direction, DIRECTIONS),
        "tensor": dma.tensor,
        "tensor_name": names(dma.tensor, [tensor.name for tensor in t.tensors]),
        "low": dma.low,
        "high": dma.high,
    }


def _series(t: Timeline) -> Table:
    parts = [(core, f"{memory}_bytes_per_partition", series) for (core, memory), series in t.occupancy.items()]
    for core in range(t.cores):
        mine = t.core[t.dma.instruction] == core
        rate = transfer_rate(t.dma.first[mine], t.dma.last[mine], t.dma.nbytes[mine])
        parts.append((core, "dma_bytes_per_ns", rate))
    kinds, lengths = sorted({name for _, name, _ in parts}), [len(series.time) for _, _, series in parts]
    return {
        "core": np.repeat(np.array([core for core, _, _ in parts], np.uint8), lengths),
        "series": text(np.repeat([kinds.index(name) for _, name, _ in parts], lengths), kinds),
        "time_ns": np.concatenate([series.time for _, _, series in parts]),
        "value": np.concatenate([series.value for _, _, series in parts]),
    }


def _clock(t: Timeline) -> Table:
    labels = [label for spans in t.clock for label in spans.label]
    known = sorted(set(labels))
    nothing = np.zeros(0)
    return {
        "core": np.repeat(np.arange(len(t.clock), dtype=np.uint8), [len(spans.label) for spans in t.clock]),
        "start_ns": np.concatenate([nothing, *(spans.start for spans in t.clock)]),
        "end_ns": np.concatenate([nothing, *(spans.end for spans in t.clock)]),
        "label": text(np.array([known.index(label) for label in labels], np.int32), known),
    }


def _tensors(t: Timeline) -> Table:
    def words(of: Callable[[Any], str]) -> Text:
        return text(np.arange(len(t.tensors)), [of(tensor) for tensor in t.tensors])

    return {
        "id": np.arange(len(t.tensors)),
        "core": np.array([tensor.core for tensor in t.tensors], np.uint8),
        "name": names(np.arange(len(t.tensors)), [tensor.name for tensor in t.tensors]),
        "shape": words(lambda tensor: "x".join(map(str, tensor.shape))),
        "dtype": words(lambda tensor: tensor.dtype.name),
        "buffer": words(lambda tensor: tensor.buffer.value),
        "nbytes": np.array([tensor.nbytes for tensor in t.tensors], np.int64),
    }


def _run(t: Timeline) -> Table:
    times = {name: np.array([getattr(t, name)], np.float64) for name in ("total_ns", "prologue_ns", "epilogue_ns")}
    return {"chip": text(np.zeros(1), [t.chip.name]), "cores": np.array([t.cores], np.int64), **times}


def _write_npz(target: Path, timeline: Timeline) -> list[Path]:
    arrays: dict[str, np.ndarray] = {"form": np.array(FORM)}
    for table, columns in tables(timeline).items():
        for name, column in columns.items():
            arrays |= _npz_column(f"{table}/{name}", column)
    with whole(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return [target]


def _npz_column(key: str, column: Column) -> dict[str, np.ndarray]:
    if not isinstance(column, Text):
        return {key: column}
    return {key: column.codes, f"{key}/values": np.array(column.values, np.str_)}


def _write_parquet(target: Path, timeline: Timeline) -> list[Path]:
    arrow, parquet = arrow_parquet()
    made = tables(timeline)
    paths = [target if name == "instructions" else target.with_suffix(f".{name}.parquet") for name in made]
    with whole_set(paths) as temporaries:
        for temporary, table in zip(temporaries, made.values(), strict=True):
            arrays = {name: arrow_column(column, arrow) for name, column in table.items()}
            parquet.write_table(arrow.table(arrays), temporary)
    return paths


def _arrays(file: IO[bytes]) -> dict[str, np.ndarray]:
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with loaded:
        if (form := str(loaded.get("form", "missing"))) != FORM:
            raise ValueError(f"form is {form}, not {FORM!r}")
        return {key: loaded[key] for key in loaded.files if key != "form"}


def _decode(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    made: dict[str, dict[str, np.ndarray]] = {}
    for key, column in arrays.items():
        table, _, name = key.partition("/")
        if name.endswith("/values"):
            continue
        if f"{key}/values" in arrays:
            column = _texts(key, column, arrays[f"{key}/values"])
        made.setdefault(table, {})[name] = column
    for table, columns in made.items():
        if len({column.shape for column in columns.values()}) > 1 or next(iter(columns.values())).ndim != 1:
            raise ValueError(f"the columns of {table} are not equally long")
    return made


def _texts(key: str, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    if codes.dtype.kind != "i" or values.dtype.kind != "U" or values.ndim != 1:
        raise ValueError(f"{key} is no column of texts")
    if len(codes) and not -1 <= codes.min() <= codes.max() < len(values):
        raise ValueError(f"{key} has a number without a text")
    return Text(codes, tuple(values.tolist())).decoded()
