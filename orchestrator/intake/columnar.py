"""Reads parquet files, in batches of rows. A row's line is its number, from 1.

The library is large, and few need it: it is an extra, and is imported only here, in a worker. What a hostile file does
to memory it shall do to a worker process.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.intake.inputs import input_errors, is_damage
from orchestrator.intake.table import Row, table_blocks, text_of_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.intake.blocks import CellBlock
    from orchestrator.intake.layout import TableOptions

BATCH_ROWS = 4096
BUFFER_BYTES = 1 << 20


def read_parquet(path: str, options: TableOptions, block_bytes: int) -> Iterator[CellBlock]:
    """Yield the cells of the column of numbers, and of kept ones; raises `UsageError`."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - see above
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"{options.source}: reading parquet needs a library: pip install 'numbercheck-orchestrator[parquet]', "
            "or save it as .csv"
        ) from error
    with input_errors(path), _damage(options.source, pa.ArrowException):
        pa.set_memory_pool(pa.system_memory_pool())  # the others set more aside than a worker may have
        with parquet.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:
            yield from table_blocks(_rows(file), options, block_bytes)


@contextmanager
def _damage(source: str, damaged: type[Exception]) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except (damaged, ValueError, KeyError, OSError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise
        kind = type(error).__name__
        raise UsageError(f"{source}: this can't be read as a parquet file ({kind}); write it anew") from error


def _rows(file: Any) -> Iterator[Row]:
    """Yield the header, as line 0, and the rows that are not blank; columns of nested types are left out."""
    schema = file.schema_arrow
    places = [place for place, field in enumerate(schema) if not field.type.num_fields]
    yield 0, [schema.field(place).name or f"Column {place + 1}" for place in places]
    line = 0
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        columns = [list(map(_text, batch.column(place).to_pylist())) for place in places]
        for row in zip(*columns, strict=True):
            line += 1
            if any(map(str.strip, row)):
                yield line, row


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else text_of_value(value)
