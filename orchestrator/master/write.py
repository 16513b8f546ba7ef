"""The master in all its formats, in one pass over the chunks.

While cells are pending the files are called `master.partial.*`, and a final master that already lies there stays: it
is whole and true for the platforms it shows (pending cells come back when a platform is added), and it is replaced
when the new one is whole too. Writing a final master removes the partial ones.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final, assert_never

from orchestrator.files import (
    disk_errors,
    lies_at,
    make_private_directory,
    replacing,
    sha256_so_far,
    sync_directory,
)
from orchestrator.jobdir.layout import master_path
from orchestrator.master.base_chunks import gathered
from orchestrator.master.kept_cells import KeptCells
from orchestrator.master.master_layout import BookLimits, MasterLayout, check_width, sheet_rows, with_checked
from orchestrator.master.resolved import no_overlays, resolved
from orchestrator.master.sinks import CsvSink, Sink
from orchestrator.master.tally import Tally, calling_code_label
from orchestrator.master.word_lists import WordLists
from orchestrator.settings import CsvStyle, OutputFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orchestrator.jobdir.extra_files import CellKind
    from orchestrator.master.reject_sheets import RejectSheet
    from orchestrator.master.resolved import Chunks, Overlays, Waiting

PENDING: Final = "pending"


@dataclass(frozen=True, slots=True)
class MasterRequest:
    """What to write where.

    `platforms` in the order of the columns; `banner` stands on top of the Summary sheet when not empty; `facts` are
    rows of that sheet, such as ("Numbers read", "10"). `columns` are the names of the columns that are kept from the
    inputs. `limits` are the workbook's. `rows` is how many numbers there are. `extras` are for each platform its extra
    columns and what they hold, nothing when nobody wants any. `checked` says that chunks and overlays tell when they
    were, which is one more column of each platform. `waiting` are the platforms whose cells hang on those of others.
    `rejects` are the sheets of what is not in the master, and `lists` the verdicts of which bare lists are wanted.
    """

    directory: Path
    platforms: tuple[str, ...]
    formats: tuple[OutputFormat, ...]
    rows: int
    banner: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    extras: tuple[Mapping[str, CellKind], ...] = ()
    rejects: tuple[RejectSheet, ...] = ()
    lists: tuple[str, ...] = ()
    checked: bool = False
    waiting: tuple[Waiting, ...] = ()
    csv: CsvStyle = CsvStyle.PLAIN
    limits: BookLimits = BookLimits()  # noqa: RUF009 - frozen, so one for all is safe


@dataclass(frozen=True, slots=True)
class MasterFile:
    """A written file: its name in the job's directory, its hash, its rows (0 when it holds the summary only)."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class MasterReport:
    """What was written; `counts` is platform → verdict → rows, `pending` the cells still to come.

    `by_calling_code` is the same for calling codes, as readers see them, over all platforms; most cells first.
    """

    files: tuple[MasterFile, ...]
    counts: dict[str, dict[str, int]]
    pending: int
    by_calling_code: dict[str, dict[str, int]] = field(default_factory=dict)


def write_master(
    request: MasterRequest,
    chunks: Chunks,
    partial: bool,  # noqa: FBT001 - a piece's arguments have no names
    overlays: Overlays = no_overlays,
) -> MasterReport:
    """Write the master in every format asked for; memory does not grow with the list.

    `chunks` is called once, and once more where columns are kept; `overlays` are the cells of later
    generations. Raises `UsageError` for more columns than a sheet takes, and `StorageError`; then
    the files of an earlier run are untouched.
    """
    extras = with_checked(request.extras, len(request.platforms)) if request.checked else request.extras
    check_width(request.platforms, request.columns, request.formats, [tuple(its) for its in extras])
    make_private_directory(request.directory)
    tally = Tally(request.platforms)
    with ExitStack() as stack:
        targets = [master_path(request.directory, output, partial=partial) for output in request.formats]
        files = [stack.enter_context(replacing(target)) for target in targets]
        sheets = sheet_rows(request.rows, request.limits)
        layout = MasterLayout(
            platforms=request.platforms,
            rows=request.rows,
            sheet_rows=sheets,
            banner=request.banner,
            facts=request.facts,
            columns=request.columns,
            extras=extras,
            csv=request.csv,
            rejects=tuple(sheet for sheet in request.rejects if sheet.rows and lies_at(sheet.path)),
        )
        # Only of a whole master: whoever takes such a list goes by what is in it.
        lists = WordLists(request.directory, request.platforms, () if partial else request.lists)
        stack.enter_context(lists)
        outputs = zip(files, request.formats, strict=True)
        sinks = [stack.enter_context(sink_of(file, output, layout)) for file, output in outputs]
        kept = KeptCells(chunks() if request.columns else (), len(request.columns))
        blocks = resolved(request.platforms, chunks(), overlays, tuple(map(len, request.extras)), request.waiting)
        for block in gathered(blocks):
            tally.add(block)
            lists.write(block)
            cells = kept.take(len(block.numbers))
            for sink in sinks:
                sink.write(block, cells)
        kept.must_be_over()
        if tally.rows != request.rows:
            raise AssertionError(f"a master of {tally.rows} rows was written for {request.rows} numbers")
        for sink in sinks:
            sink.finish(tally)
        written = tuple(
            MasterFile(target.name, sha256_so_far(file), sink.rows)
            for target, file, sink in zip(targets, files, sinks, strict=True)
        )
    if not partial:
        with disk_errors(request.directory):
            for output in OutputFormat:
                master_path(request.directory, output, partial=True).unlink(missing_ok=True)
                if output not in request.formats:  # it would stay beside this one, older, and look as good
                    master_path(request.directory, output, partial=False).unlink(missing_ok=True)
            lists.remove_others()
            sync_directory(request.directory)
    pending = sum(counts.get(PENDING, 0) for counts in tally.counts.values())
    by_code = {calling_code_label(code): counts for code, counts in tally.by_calling_code.items()}
    return MasterReport(written, tally.counts, pending, by_code)


def sink_of(
    file: IO[bytes],
    output: OutputFormat,
    layout: MasterLayout,
    parts: Callable[[MasterLayout, Tally], dict[str, bytes]] | None = None,
) -> Sink:
    """Return the writer of a format; each loads its libraries when it is asked for, and not before.

    `parts` makes all of a workbook but the rows, where it is not a master.
    """
    match output:
        case OutputFormat.CSV:
            return CsvSink(file, layout)
        case OutputFormat.XLSX:
            from orchestrator.master.xlsx_sink import XlsxSink  # noqa: PLC0415

            return XlsxSink(file, layout) if parts is None else XlsxSink(file, layout, parts)
        case OutputFormat.PARQUET:
            from orchestrator.master.parquet_sink import ParquetSink  # noqa: PLC0415

            return ParquetSink(file, layout)
        case _:
            assert_never(output)
