from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import UsageError
from orchestrator.intake.blocks import CellBlock, LineBlock, read_rows
from orchestrator.intake.numbers.decide import NumberRules
from orchestrator.intake.parts import DrawnInput, FilePart, ListPart, Source, draw_parts, store_part
from orchestrator.intake.sources.csv_rows import TableBlock
from orchestrator.intake.sources.find import FileKind, find_inputs, fingerprint
from orchestrator.intake.sources.table_layout import TableOptions

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.records import InputFile
    from orchestrator.settings import JobSettings

    from .conftest import MakeJob, Write, WriteWorkbook

RULES = NumberRules(None, frozenset())


def draw(job: JobSettings, stdin: bytes = b"") -> tuple[list[tuple[str, ListPart]], list[InputFile]]:
    inputs: list[DrawnInput] = []
    source = Source(job, find_inputs(job), io.BytesIO(stdin), 20)
    drawn = draw_parts(source, inputs, threading.Event(), job.directory)
    return [(found.source, part) for found, part in drawn], [one.file for one in inputs]


def parsed(part: ListPart) -> ListPart:
    return part.parsed() if isinstance(part, TableBlock) else part


def test_parts_of_all_kinds(make_job: MakeJob, write: Write, write_workbook: WriteWorkbook) -> None:
    """All inputs give one sequence of parts, and are hashed as they are read."""
    write("a.txt", "+1\n" * 8)
    write("b.csv", "office,phone\n1,+2\n")
    book = write_workbook("c.xlsx", One=[["phone"]])
    job = make_job("a.txt", "-", "c.xlsx", "b.csv", sheet="One", column="office")
    parts, fingerprints = draw(job, b"+3\n")
    assert [(source, parsed(part)) for source, part in parts[:-1]] == [
        ("a.txt", LineBlock(1, b"+1\n" * 6)),
        ("a.txt", LineBlock(7, b"+1\n" * 2)),
        ("standard input", LineBlock(1, b"+3\n")),
        ("c.xlsx", FilePart(FileKind.WORKBOOK, str(book), TableOptions("c.xlsx", "office", "One"), 20)),
    ]
    last = parsed(parts[-1][1])
    assert isinstance(last, CellBlock)
    assert list(last.cells()) == [(2, "1")]
    assert [one for one in fingerprints if one.path != "-"] == list(fingerprint(job))
    assert [one.size_bytes for one in fingerprints if one.path == "-"] == [3]


def test_stopped(make_job: MakeJob, write: Write) -> None:
    """Once nobody wants parts, drawing ends with an error."""
    write("a.txt", "+1\n")
    job = make_job("a.txt")
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(UsageError, match="reading was stopped"):
        list(draw_parts(Source(job, find_inputs(job)), [], stopped, job.directory))


def test_standard_input_of_the_process(make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stream of the caller's, "-" is the standard input of the process."""
    job = make_job("-")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"+1\n")))
    parts = draw_parts(Source(job, find_inputs(job)), [], threading.Event(), job.directory)
    assert [part for _, part in parts] == [LineBlock(1, b"+1\n")]


def test_unbuffered_standard_input(make_job: MakeJob, write: Write) -> None:
    """A stream that is no buffered one is an error of the program."""
    job = make_job("-")
    with write("a.txt", "").open("rb", buffering=0) as raw, pytest.raises(TypeError):
        list(draw_parts(Source(job, find_inputs(job), raw), [], threading.Event(), job.directory))


def test_stored_parts(write_workbook: WriteWorkbook, tmp_path: Path) -> None:
    """A block becomes one file of rows, a workbook as many as it has blocks."""
    book = write_workbook("c.xlsx", One=[["phone"], ["+41798284651"], ["x"]])
    (stored,) = store_part(LineBlock(1, b"+41798284651\n"), RULES, tmp_path / "000001")
    assert (stored.path, stored.rows) == (tmp_path / "000001", 1)
    several = store_part(FilePart(FileKind.WORKBOOK, str(book), TableOptions("c.xlsx"), 1), RULES, tmp_path / "000002")
    assert [one.path.name for one in several] == ["000002-0", "000002-1"]
    assert [read_rows(one.path).lines.tolist() for one in several] == [[2], [3]]


def test_workbook_that_takes_too_much_memory(
    write_workbook: WriteWorkbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Running out of memory over a workbook is an error that names it."""

    def hoard(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("openpyxl.reader.excel.ExcelReader.read_worksheets", hoard)
    part = FilePart(FileKind.WORKBOOK, str(write_workbook("c.xlsx", One=[])), TableOptions("c.xlsx"), 1)
    with pytest.raises(UsageError, match=r"c\.xlsx: reading this file takes too much memory"):
        store_part(part, RULES, tmp_path / "000001")
