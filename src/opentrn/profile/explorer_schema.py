"""The public schema of Neuron Explorer's Parquet tables, from explorer_schema.csv.

Names, types, units and values are facts of the page "Profile Parquet Schema Reference"
(tools/neuron-explorer/profile-schema-reference.rst of aws-neuron-sdk, at its commit 81ce03ae); the column `meaning` is
ours and says what opentrn writes.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["SCHEMA_VERSION", "Field", "schema"]

SCHEMA_VERSION = "7.4.0"


@dataclass(frozen=True)
class Field:
    """One field of the public schema. `meaning` is what opentrn writes; '' when it is not known to a simulation."""

    name: str
    type: str
    format: str
    unit: str
    required: bool
    values: tuple[str, ...]
    meaning: str


@cache
def schema() -> dict[str, tuple[str, tuple[Field, ...]]]:
    """Table -> (what opentrn writes into it, its fields in the order of the public page)."""
    file = resources.files("opentrn.profile").joinpath("explorer_schema.csv")
    made: dict[str, tuple[str, list[Field]]] = {}
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        table, name, required = row.pop("table"), row.pop("field"), row.pop("required") == "yes"
        values, meaning = row.pop("values"), row.pop("meaning")
        if not name:
            made[table] = (meaning, [])
            continue
        allowed = tuple(values.split("|")) if values else ()
        made[table][1].append(Field(name, required=required, values=allowed, meaning=meaning, **row))
    return {table: (about, tuple(fields)) for table, (about, fields) in made.items()}
