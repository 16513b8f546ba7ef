"""Reads parquet files, in batches of rows. A row's line is its number, from 1.

The library is large, and few need it: it is an extra, and is imported only here, in a worker. What a hostile file does
to memory it shall do to a worker process.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import Declared
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.sources.find import damage_errors, input_errors
from orchestrator.intake.sources.number_column import shown
from orchestrator.intake.sources.table_rows import FaultyCell, table_blocks, text_of_value
from orchestrator.records import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.intake.blocks import CellBlock
    from orchestrator.intake.sources.table_layout import Row, TableOptions

BATCH_ROWS = 4096
BUFFER_BYTES = 1 << 20

_EXACT = {"halffloat": 1 << 11, "float": 1 << 24}
"""Up to where such floats have every whole number; above, one of them is what several telephone numbers became."""


def read_parquet(path: str, options: TableOptions, block_bytes: int) -> Iterator[CellBlock | Declared]:
    """Yield the cells of the column of numbers, and of kept ones; raises `UsageError`."""
    with opened_parquet(path, options.source) as file:
        yield from table_blocks(_rows(file, options.source), replace(options, header_row=None), block_bytes)
        nested = [field.name for field in file.schema_arrow if field.type.num_fields]
        unread = (Unread(f"columns {shown(nested)}", 0, "they hold lists or records"),) if nested else ()
        yield Declared(unread=unread)


@contextmanager
def opened_parquet(path: str, source: str) -> Iterator[Any]:
    """Have a `ParquetFile`; raises `UsageError`, also for what turns out to be damaged while it is read."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - see above
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{source}: reading parquet needs a library: pip install 'numbercheck-orchestrator[parquet]', "
            "or save it as .csv"
        ) from error
    damaged = (pa.ArrowException, ValueError, KeyError)
    says = f"{source}: this can't be read as a parquet file"
    with input_errors(path), damage_errors(damaged, says, "; write it anew"):
        pa.set_memory_pool(pa.system_memory_pool())  # the others set more aside than a worker may have
        with parquet.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
            yield file


def _rows(file: Any, source: str) -> Iterator[Row]:
    """Yield the header, as line 0, and the rows that are not blank; columns of nested types are left out.

    Raises `UsageError` when no column is left.
    """
    places, headers = plain_columns(file, source)
    yield 0, headers
    line = 0
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        columns = [texts_of(batch.column(place)) for place in places]
        for row in zip(*columns, strict=True):
            line += 1
            if any(map(str.strip, row)):
                yield line, row
    if line != file.metadata.num_rows:
        raise UsageError(
            f"{source}: the file declares {file.metadata.num_rows:,} rows, and {line:,} could be read; write it anew"
        )


def plain_columns(file: Any, source: str) -> tuple[list[int], list[str]]:
    """Return which columns have plain values, and their headers; raises `UsageError` when none has."""
    schema = file.schema_arrow
    places = [place for place, field in enumerate(schema) if not field.type.num_fields]
    if not places:
        raise UsageError(f"{source}: no column has plain values; write it with the numbers in a column of their own")
    return places, [schema.field(place).name.strip() or f"Column {place + 1}" for place in places]


def texts_of(column: Any) -> list[str]:
    """Return a column's cells; where one is a time that Python does not know, all are as the library writes them."""
    try:
        # Python's times have no nanoseconds: pyarrow refuses them, or gives those of pandas where that is installed.
        if getattr(column.type, "unit", "") == "ns":
            raise ValueError
        texts = column.to_pylist()
        exact = _EXACT.get(str(getattr(column.type, "value_type", column.type)))
        if exact is not None:
            return [_rounded(one) if one is not None and abs(one) > exact else _text(one) for one in texts]
        return list(map(_text, texts))
    except (OverflowError, ValueError):  # years without end, too; what is damaged raises it again
        texts = column.cast("string").to_pylist()
        return ["" if text is None else FaultyCell.of(text, Reason.DATE) for text in texts]


def _rounded(value: float) -> str:
    return FaultyCell.of(f"{value:.0f}", Reason.ROUNDED)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else text_of_value(value)
