"""From inputs to files of rows: the parent draws parts out of the inputs, workers make rows of them.

A part is a block of text or of a csv file, as bytes, or a whole workbook or parquet file. All inputs give one sequence
of parts, so that many small files keep the workers as busy as a large one does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, assert_never

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import BLOCK_BYTES, CellBlock, Declared, LineBlock
from orchestrator.intake.sources.csv_rows import TableBlock, is_table, read_csv
from orchestrator.intake.sources.decode import as_utf8
from orchestrator.intake.sources.find import FileKind, Input, input_errors
from orchestrator.intake.sources.line_count import CountedText
from orchestrator.intake.sources.plain_text import read_text
from orchestrator.intake.sources.table_layout import Keep, TableOptions
from orchestrator.intake.sources.unpack import unpacked
from orchestrator.intake.stored_rows import StoredRows, store_block
from orchestrator.pieces import PieceFiles, on_files

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from orchestrator.intake.numbers.decide import NumberRules
    from orchestrator.intake.sources.line_count import LineCount
    from orchestrator.records import InputFile
    from orchestrator.settings import JobSettings


SHOWN_INPUTS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """Where the list comes from. `stdin` stands for "-"; None means the standard input of this process.

    `every` takes all columns of numbers of its tables, and not one.
    """

    job: JobSettings
    inputs: Sequence[Input]
    stdin: BinaryIO | None = None
    block_bytes: int = BLOCK_BYTES
    keep: Keep = False
    every: bool = False

    @property
    def named(self) -> str:
        """What messages call the list: its first inputs."""
        names = [found.source for found in self.inputs]
        return ", ".join(names[:SHOWN_INPUTS]) + f" and {len(names) - SHOWN_INPUTS} more" * (len(names) > SHOWN_INPUTS)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A workbook or a parquet file, to be read by the worker."""

    kind: FileKind
    path: str
    options: TableOptions
    block_bytes: int


ListPart = LineBlock | CellBlock | TableBlock | FilePart


@dataclass(frozen=True, slots=True)
class DrawnInput:
    """An input of which all parts were drawn. `has_content` is None where that is for a worker to tell.

    `counted` has the lines of one of text, by a count of its bytes; `skipped` of them stand in front of its rows.
    """

    file: InputFile
    has_content: bool | None
    member: str = ""
    counted: LineCount | None = None
    skipped: int = 0


def draw_parts(
    source: Source, drawn: list[DrawnInput], stopped: threading.Event, folder: Path
) -> Iterator[tuple[Input, ListPart]]:
    """Yield the parts of all inputs, in list order, and add to `drawn` what each of them was.

    What has to be unpacked to be read is unpacked into `folder`. Raises `UsageError`, `StorageError`. Once `stopped` is
    set, drawing raises `InterruptedError`, or something that comes of it.
    """
    for number, found in enumerate(source.inputs):
        options = TableOptions(
            found.source, source.job.column, source.job.sheet, source.keep, source.job.header_row, source.every
        )
        with input_errors(found.path), unpacked(found, source.stdin, stopped, folder / f"copy{number:06d}") as content:
            if content.stream is None:
                yield found, FilePart(content.kind, content.path, options, source.block_bytes)
                drawn.append(DrawnInput(content.fingerprint(), None, content.member))
                continue
            text = CountedText(content.stream)
            stream = as_utf8(text.buffered())
            parts: Iterator[LineBlock | CellBlock | TableBlock]
            if content.kind is FileKind.TEXT and not is_table(stream.head, options.column):
                parts = read_text(stream.buffered(), source.block_bytes)
            else:
                delimiter = "\t" if content.kind is FileKind.TSV else None
                parts = read_csv(stream, options, source.block_bytes, delimiter=delimiter)
            skipped = None
            for part in parts:
                if skipped is None:
                    skipped = (part.lines[0] if isinstance(part, CellBlock) else part.first_line) - 1
                yield found, part
            has_content = bool(stream.head.strip())
            counted = text.counted()  # before the fingerprint, which reads to the end below it
            drawn.append(DrawnInput(content.fingerprint(), has_content, content.member, counted, skipped or 0))


def size_of(part: ListPart) -> int:
    """Return about how many bytes of the list a part has; 0 for a file that is still to be read."""
    match part:
        case LineBlock() | TableBlock():
            return len(part.data)
        case CellBlock():
            return sum(map(len, part.texts))
        case FilePart():
            return 0
        case _:
            assert_never(part)


def _part_files(part: ListPart, rules: NumberRules, stem: Path, folder: Path | None = None) -> PieceFiles:
    inputs = [Path(part.path)] if isinstance(part, FilePart) else []
    tables = [] if folder is None else [folder]
    lists = [excluded.path for excluded in rules.exclude]
    return PieceFiles((*inputs, *tables, *lists), (stem.with_name(f"{stem.name}*"),))


@on_files(_part_files)
def store_part(part: ListPart, rules: NumberRules, stem: Path, folder: Path | None = None) -> list[StoredRows]:
    """Normalise a part into files of rows, named `stem` with a number: a piece.

    `folder` has the tables that make it fast, see `lookup_tables`; small lists do without.
    Raises `UsageError` for a file that can't be read, `StorageError`.
    """
    tables = None
    if folder is not None:
        from orchestrator.intake.numbers.lookup.lookup_tables import load_tables  # noqa: PLC0415 - small lists need none of it

        tables = load_tables(rules.default_region, folder)
    match part:
        case LineBlock() | CellBlock():
            return [store_block(part, rules, stem, tables)]
        case TableBlock():
            return [store_block(part.parsed(), rules, stem, tables)]
        case FilePart():
            stored: list[StoredRows] = []
            declared = None
            try:
                for block in _reader(part.kind)(part.path, part.options, part.block_bytes):
                    if isinstance(block, Declared):
                        declared = block
                    else:
                        stored.append(store_block(block, rules, stem.with_name(f"{stem.name}-{len(stored)}"), tables))
            except MemoryError:
                message = f"{part.options.source}: reading this file takes too much memory; save it as .csv"
                raise UsageError(message) from None
            *others, last = stored or [store_block(CellBlock([], []), rules, stem)]
            return [*others, replace(last, declared=declared)]
        case _:
            assert_never(part)


def _reader(kind: FileKind) -> Callable[[str, TableOptions, int], Iterator[CellBlock | Declared]]:
    """Return what reads files of this kind; its libraries are large, and lists of text need none of them."""
    if kind is FileKind.WORKBOOK:
        from orchestrator.intake.sources.xlsx_rows import read_workbook  # noqa: PLC0415 - see above

        return read_workbook
    from orchestrator.intake.sources.parquet_rows import read_parquet  # noqa: PLC0415

    return read_parquet
