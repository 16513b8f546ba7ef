"""The master as a Parquet file: numbers are strings, verdicts are dictionary-encoded, made for analysis.

Importing this module needs pyarrow, and raises `UsageError` without.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final, Self

import numpy as np

from orchestrator.errors import UsageError
from orchestrator.jobdir.digits import count_digits
from orchestrator.jobdir.extra_files import CellKind
from orchestrator.master.row_text import Piece, assemble

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ImportError:
    raise UsageError(
        "master.parquet needs pyarrow: pip install 'numbercheck-orchestrator[parquet]', "
        "or leave parquet out of [output] formats"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.master.base_chunks import CodedColumn, ResolvedChunk
    from orchestrator.master.master_layout import MasterLayout
    from orchestrator.master.tally import Tally

BANNER_KEY: Final = "numbercheck.banner"
FACT_KEY: Final = "numbercheck.{}"
ROWS_PER_GROUP: Final = 1 << 17
"""Rows of one row group at most; smaller chunks are gathered."""


class ParquetSink:
    """Writes row groups of some 100,000 rows; the banner and the facts stand in the file's metadata.

    Columns, in order: `Number` (string, with its plus sign), the platforms (dictionary of strings), each before its
    extra columns (whole numbers, doubles, or a dictionary of strings; null for an empty cell), what is kept from the
    list (strings).
    """

    def __init__(self, file: IO[bytes], layout: MasterLayout) -> None:
        self.rows = 0
        self._kinds = layout.kinds
        number, *others = layout.header
        types = [*map(_type, layout.kinds), *[pa.string()] * len(layout.columns)]
        fields = [(number, pa.string()), *zip(others, types, strict=True)]
        metadata = {BANNER_KEY: layout.banner} if layout.banner else {}
        metadata |= {FACT_KEY.format(name): value for name, value in layout.facts}
        self._schema = pa.schema(fields, metadata=metadata or None)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd", use_dictionary=others)
        self._waiting: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, block: ResolvedChunk, kept: Sequence[Sequence[str]]) -> None:
        """Append the rows, gathering small blocks."""
        for first in range(0, len(block.numbers), ROWS_PER_GROUP):
            last = first + ROWS_PER_GROUP
            part = block.cut(first, last)
            if sum(map(len, self._waiting)) + len(part.numbers) > ROWS_PER_GROUP:
                self._write_group()
            cells = [_array(column, kind) for column, kind in zip(part.in_order, self._kinds, strict=True)]
            texts = [pa.array(column, pa.string()) for column in zip(*kept[first:last], strict=True)]
            # The numbers as text, without making an object of each: behind its digits stands the next one's sign.
            sign = Piece([b"+"], np.zeros(len(part.numbers), np.uint8))
            digits = assemble(part.numbers, [sign])
            ends = np.concatenate(([0], np.cumsum(count_digits(part.numbers) + 1))).astype(np.int32)
            signed = np.concatenate((np.frombuffer(b"+", np.uint8), digits[:-1]))
            numbers = pa.StringArray.from_buffers(len(part.numbers), *map(pa.py_buffer, (ends, signed)))
            self._waiting.append(pa.Table.from_arrays([numbers, *cells, *texts], schema=self._schema))
        self.rows += len(block.numbers)

    def finish(self, tally: Tally) -> None:  # noqa: ARG002 - every sink is told
        """Write what is left, and the directory of row groups."""
        self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting).unify_dictionaries(), ROWS_PER_GROUP)
            self._waiting.clear()


def _type(kind: CellKind | None) -> Any:
    if kind in (CellKind.WHOLE, CellKind.DECIMAL):
        return pa.int64() if kind is CellKind.WHOLE else pa.float64()
    # Of verdicts there are few different ones; a column of texts may have another one in each row.
    return pa.dictionary(pa.int16() if kind is None else pa.int32(), pa.string())


def _array(column: CodedColumn, kind: CellKind | None) -> Any:
    if kind in (CellKind.WHOLE, CellKind.DECIMAL):
        read = int if kind is CellKind.WHOLE else float
        return pa.array([read(word) if word else None for word in column.words], _type(kind)).take(
            pa.array(column.codes)
        )
    # Empty cells are null by their codes: pyarrow joins no dictionaries with a null in them.
    empty = None if kind is None else np.array([not word for word in column.words])[column.codes]
    codes = pa.array(column.codes.astype(np.int32), mask=empty).cast(_type(kind).index_type)
    return pa.DictionaryArray.from_arrays(codes, pa.array(column.words, pa.string()))
