"""`write_explorer`: the Parquet tables of AWS's Neuron Explorer, so that queries written for real profiles read ours.

Tables, fields, types and units are those of the public page "Profile Parquet Schema Reference"
(tools/neuron-explorer/profile-schema-reference.rst of aws-neuron-sdk, schema version 7.4.0); explorer_schema.csv lists
them, with what opentrn writes into each. These fields are not known to a simulation and are null:

- DmaPacket: engine_idx, crc.
- DmaPacketAggregated: block_id, op, source, dest, semaphore_id, modular_flow_function, read_sbuf_partitions,
  read_num_sbuf_partitions, read_shape, read_offset, read_steps, write_sbuf_partitions, write_num_sbuf_partitions,
  write_shape, write_offset, write_steps, is_transpose_mode, transpose_element_size, transpose_shape,
  transpose_from_shape, transpose_to_shape, transpose_unroll_factor.
- Flow: dependency_type.
- Instruction: timeline_track, compiler_operands, compiler_pc, penguin_id, raw_penguin_id, bir_id, raw_bir_id,
  bir_instruction_name, kernel_instruction_name, crc_in, crc_out, hlo_attrs, hlo_name, raw_hlo_id, raw_framework_id,
  layer, bir_debug_info_source_location, instruction_chain, sbuf_read_bytes, sbuf_write_bytes, spill_save_bytes,
  spill_reload_bytes, psum_read_bytes, psum_write_bytes, psum_read_sbuf_write_bytes, input_queue_bytes,
  output_queue_bytes, weight_queue_bytes, performance_mode, tensor_instruction_type, tensor_elements, adjusted_flops,
  tensor_elements_transpose, flops_transpose, adjusted_flops_transpose, scalar_activation_fn.
- Metadata: ntff_version, gpsimd_engine_num_channels, ticks_per_nanosec, instance_type, runtime_version,
  collectives_version, driver_version, explorer_version, compiler_version, neuroncore_idx, neuron_device_idx,
  ultraserver_id, ultraserver_type, ultraserver_size, ultraserver_instance_index, s3_bucket_path, profile_name,
  explorer_build_time.
- PsumUsage: bank_0_util_percent, bank_1_util_percent, bank_2_util_percent, bank_3_util_percent, bank_4_util_percent,
  bank_5_util_percent, bank_6_util_percent, bank_7_util_percent.
- SbufUsage: partition_0_util_percent, partition_32_util_percent, partition_64_util_percent,
  partition_96_util_percent.
- SchemaFields: field_example, field_minimum, field_maximum.
- SemaphoreUpdate: double_set_or_clear, update_mode.
- Summary: model_flops, transpose_flops, adjusted_hardware_flops, adjusted_transpose_flops, mm_arithmetic_intensity,
  trace_count, event_count, total_row_count, static_dma_active_time, dynamic_dma_active_time_percent,
  static_dma_active_time_percent, inputs_and_weights_size_bytes, inputs_outputs_weights_size_bytes, weight_size_bytes,
  static_dma_packet_count, static_dma_size, dynamic_dma_packet_percent, static_dma_packet_percent,
  dynamic_dma_size_percent, static_dma_size_percent, mbu_min_read_util_percent, sbuf_write_bytes, sbuf_read_bytes,
  spill_save_bytes, spill_reload_bytes, psum_write_bytes, psum_read_bytes, psum_read_sbuf_write_count,
  psum_read_sbuf_write_bytes, input_queue_bytes, output_queue_bytes, weight_queue_bytes,
  software_dynamic_dma_active_time, software_dynamic_dma_active_time_percent, software_dynamic_dma_packet_count,
  software_dynamic_dma_size, software_dynamic_dma_packet_percent, software_dynamic_dma_size_percent,
  hardware_dynamic_dma_active_time, hardware_dynamic_dma_active_time_percent, hardware_dynamic_dma_packet_count,
  hardware_dynamic_dma_size, hardware_dynamic_dma_packet_percent, hardware_dynamic_dma_size_percent,
  mfu_estimated_percent, mfu_max_achievable_estimated_percent, mfu_hlo_estimated_percent,
  mfu_hlo_max_achievable_estimated_percent, mfu_inst_estimated_percent, mfu_inst_max_achievable_estimated_percent,
  cc_op_time, cc_op_active_time, cc_op_active_time_percent, cc_op_count, cc_cores_instruction_time,
  cc_cores_instruction_active_time, cc_cores_instruction_active_time_percent, cc_cores_instruction_count.
- TensorInfo: type, format, node.

Choices where the page leaves room: fields called percent are fractions (0 to 1), as in the public profiles of
allenkchau/trainium-kernel-fusion; `Instruction.engine` is spelled as in how-to-analyze-profile-output.rst ("Tensor"),
every other engine as on the schema page ("tensor"); times count from the start of the kernel. Every table is written,
an empty one too.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from opentrn.profile.explorer_events import events
from opentrn.profile.explorer_schema import Field, schema
from opentrn.profile.explorer_sums import sums_of
from opentrn.profile.files import whole_folder
from opentrn.profile.tables import Column, Table, Text, arrow_column, arrow_parquet, rows_of, text
from opentrn.timing.timeline import Timeline

__all__ = ["write_explorer"]

BATCH = 1 << 18
"""Rows that are written at a time: texts are spelled out in memory only for these."""


def write_explorer(directory: str | os.PathLike[str], timeline: Timeline) -> list[Path]:
    """Write every table as ``directory/TABLE.parquet``, all or none. Gives the files written.

    A directory that holds nothing but .parquet files is replaced. Raises FileError for one that holds other files or
    cannot be written, InstallError without pyarrow (extra ``parquet``).
    """
    arrow, parquet = arrow_parquet()
    made = {**events(timeline), **sums_of(timeline), "SchemaFields": _schema_fields()}
    with whole_folder(directory, ".parquet") as folder:
        for name in schema():
            _write_table(folder / f"{name}.parquet", name, made.pop(name), (arrow, parquet))
    return [Path(directory) / f"{name}.parquet" for name in schema()]


def _write_table(path: Path, name: str, table: Table, libraries: tuple[ModuleType, ModuleType]) -> None:
    arrow, parquet = libraries
    fields, rows = schema()[name][1], rows_of(table)
    arrays = [_array(table.get(field.name), rows, arrow) for field in fields]
    names, types = [field.name for field in fields], [_arrow_type(field, arrow) for field in fields]
    whole, exact = arrow.table(arrays, names), arrow.schema(list(zip(names, types, strict=True)))
    with parquet.ParquetWriter(path, exact) as writer:
        for low in range(0, max(rows, 1), BATCH):
            writer.write_table(whole.slice(low, BATCH).cast(exact))


def _array(column: Column | None, rows: int, arrow: Any) -> Any:
    return arrow.nulls(rows) if column is None else arrow_column(column, arrow)


def _arrow_type(field: Field, arrow: Any) -> Any:
    """OpenAPI's types as Arrow's: ``number (float)`` is of 32 bits."""
    types = {
        ("string", ""): arrow.string(),
        ("boolean", ""): arrow.bool_(),
        ("integer", "int32"): arrow.int32(),
        ("integer", "int64"): arrow.int64(),
        ("number", "float"): arrow.float32(),
    }
    return types[field.type, field.format]


def _schema_fields() -> Table:
    pairs = [(table, about, field) for table, (about, fields) in schema().items() for field in fields]

    def words(values: list[str]) -> Text:
        return text(np.array([n if value else -1 for n, value in enumerate(values)], np.int32), values)

    fields = [field for _, _, field in pairs]
    return {
        "table_name": words([table for table, _, _ in pairs]),
        "table_description": words([about for _, about, _ in pairs]),
        "field_name": words([field.name for field in fields]),
        "field_description": words([field.meaning or "null: not known to a simulation" for field in fields]),
        "field_type": words([field.type for field in fields]),
        "field_required": np.array([field.required for field in fields]),
        "field_format": words([field.format for field in fields]),
        "field_unit": words([field.unit for field in fields]),
        "field_enum_values": words([",".join(field.values) for field in fields]),
    }
