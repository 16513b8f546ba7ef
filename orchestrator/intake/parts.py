"""From inputs to files of rows: the parent draws parts out of the inputs, workers make rows of them.

A part is a block of text, or a whole workbook. All inputs give one sequence of parts, so that many small files keep
the workers as busy as a large one does. A further kind of file is a further branch in `draw_parts`, and in
`store_part` if it is to be read by a worker.
"""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import BLOCK_BYTES, Block
from orchestrator.intake.inputs import Input, Kind, fingerprint_file, input_errors
from orchestrator.intake.normalise import NumberRules, StoredRows, store_block
from orchestrator.intake.streams import HashedStream
from orchestrator.intake.table import TableOptions, read_csv
from orchestrator.intake.text import read_text
from orchestrator.intake.workbook import read_workbook

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from orchestrator.intake.plan import InputFile
    from orchestrator.settings import JobSettings


@dataclass(frozen=True, slots=True)
class Source:
    """Where the list comes from. `stdin` stands for "-"; None means the standard input of this process."""

    job: JobSettings
    inputs: Sequence[Input]
    stdin: BinaryIO | None = None
    block_bytes: int = BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class WorkbookPart:
    """A workbook, to be read by the worker."""

    path: str
    options: TableOptions
    block_bytes: int


Part = Block | WorkbookPart


def draw_parts(source: Source, fingerprints: list[InputFile], stopped: threading.Event) -> Iterator[tuple[Input, Part]]:
    """Yield the parts of all inputs, in list order, and add what was read to `fingerprints`.

    Raises `UsageError`. Once `stopped` is set, drawing raises `InterruptedError`, or something that comes of it.
    """
    for found in source.inputs:
        options = TableOptions(found.source, source.job.column, source.job.sheet)
        if found.kind is Kind.WORKBOOK:
            fingerprints.append(fingerprint_file(found.path))
            yield found, WorkbookPart(found.path, options, source.block_bytes)
            continue
        with input_errors(found.path), _opened(found, source.stdin) as stream:
            hashed = HashedStream(found.path, stream, stopped)
            buffered = io.BufferedReader(hashed, BLOCK_BYTES)
            for block in _blocks(found.kind, buffered, options, source.block_bytes):
                yield found, block
            fingerprints.append(hashed.fingerprint())


def store_part(part: Part, rules: NumberRules, stem: Path) -> list[StoredRows]:
    """Normalise a part into files of rows, named `stem` with a number: a piece.

    Raises `UsageError` for a workbook that can't be read, `StorageError`.
    """
    if not isinstance(part, WorkbookPart):
        return [store_block(part, rules, stem)]
    try:
        blocks = read_workbook(part.path, part.options, part.block_bytes)
        return [store_block(block, rules, stem.with_name(f"{stem.name}-{i}")) for i, block in enumerate(blocks)]
    except MemoryError:
        message = f"{part.options.source}: reading this workbook takes too much memory; save its sheet as .csv"
        raise UsageError(message) from None


def _blocks(kind: Kind, stream: BinaryIO, options: TableOptions, block_bytes: int) -> Iterator[Block]:
    if kind is Kind.CSV:
        return read_csv(stream, options, block_bytes)
    return read_text(stream, block_bytes)


@contextmanager
def _opened(found: Input, stdin: BinaryIO | None) -> Iterator[io.BufferedIOBase]:
    if found.is_standard_input:
        yield _buffered(sys.stdin.buffer if stdin is None else stdin)  # not ours to close
    else:
        with Path(found.path).open("rb") as file:
            yield file


def _buffered(stream: BinaryIO) -> io.BufferedIOBase:
    if not isinstance(stream, io.BufferedIOBase):
        raise TypeError("standard input must be a buffered binary stream")
    return stream
