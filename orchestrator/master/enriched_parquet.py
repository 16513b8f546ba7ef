"""Columns of text that are added to a parquet file. Importing this module needs pyarrow."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa
from pyarrow import parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence


class ParquetCopy:
    """Writes the batches of another file with further columns behind theirs; an empty text is a null.

    A context manager: leaving it completes the file.
    """

    def __init__(self, file: IO[bytes], schema: Any, names: Sequence[str]) -> None:
        self._schema = pa.schema([*schema, *(pa.field(name, pa.string()) for name in names)], schema.metadata)
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, batch: Any, texts: Sequence[Sequence[str]]) -> None:
        """Append a batch, and the texts of the added columns."""
        added = [pa.array([text or None for text in column], pa.string()) for column in texts]
        self._writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, *added], schema=self._schema))
