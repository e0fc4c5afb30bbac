"""Tables of columns: what the column formats share. A text column keeps each distinct text once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from opentrn.errors import InstallError

__all__ = ["Column", "Table", "Text", "arrow_column", "arrow_parquet", "names", "rows_of", "text"]


@dataclass(frozen=True, eq=False)
class Text:
    """A column of texts: row r holds `values[codes[r]]`, or nothing where the code is -1."""

    codes: np.ndarray  # int32
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def decoded(self) -> np.ndarray:
        """The texts themselves (object array; None where there is none). Equal texts are one object."""
        return np.array([*self.values, None], object)[self.codes]


Column = np.ndarray | Text
Table = dict[str, Column]


def text(codes: np.ndarray, values: Sequence[str]) -> Text:
    """A text column from any integer codes into `values`."""
    return Text(codes.astype(np.int32), tuple(values))


def names(codes: np.ndarray, values: Sequence[str]) -> Text:
    """`text`, where an empty value is the name of something that has none: nothing."""
    nameless = np.array([not value for value in (*values, "")])
    return text(np.where(nameless[codes], -1, codes), values)


def rows_of(table: Table) -> int:
    """How many rows a table has."""
    return len(next(iter(table.values())))


def arrow_parquet() -> tuple[ModuleType, ModuleType]:
    """pyarrow and pyarrow.parquet. Raises InstallError, with what to install, where they are not."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InstallError(
            "Parquet files need pyarrow, which is not installed",
            got=str(error),
            hint="pip install 'opentrn[parquet]' (or name a .npz file, which needs nothing)",
        ) from error
    return pyarrow, parquet


def arrow_column(column: Column, arrow: Any) -> Any:
    """A column as an Arrow array: texts as a dictionary array, with nulls for -1 and for masked entries."""
    if isinstance(column, np.ma.MaskedArray):
        return arrow.array(column.data, mask=np.ma.getmaskarray(column))
    if not isinstance(column, Text):
        return arrow.array(column)
    codes = arrow.array(column.codes, mask=column.codes < 0)
    return arrow.DictionaryArray.from_arrays(codes, arrow.array(column.values, arrow.string()))
