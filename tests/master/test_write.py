"""The master holds every number once, in list order, beside its own verdicts, and appears whole or not at all."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from orchestrator.errors import StorageError
from orchestrator.files import csv_safe
from orchestrator.jobdir.chunk_files import write_chunk
from orchestrator.jobdir.layout import chunk_path
from orchestrator.master import (
    MasterChunk,
    MasterFile,
    MasterReport,
    MasterRequest,
    Overlay,
    RejectSheet,
    base_chunks,
    write_master,
)
from orchestrator.master.master_layout import BookLimits
from orchestrator.master.xlsx_sink import MAX_CELL_UNITS
from orchestrator.master.xml_text import legal, literal
from orchestrator.settings import OutputFormat

Chunk = Callable[..., MasterChunk]
BOTH = (OutputFormat.XLSX, OutputFormat.CSV)


def request(directory: Path, **changes: object) -> MasterRequest:
    defaults: dict[str, object] = {"platforms": ("instagram", "amazon"), "formats": BOTH, "rows": 0}
    return MasterRequest(directory, **(defaults | changes))  # type: ignore[arg-type]  # tests name fields freely


def written(asked: MasterRequest, chunks: Callable[[], Sequence[MasterChunk]], **others: Any) -> MasterReport:
    """Write the master of as many rows as the chunks have."""
    return write_master(dataclasses.replace(asked, rows=sum(chunk.rows for chunk in chunks())), chunks, **others)


def rows_of_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


def rows_of_xlsx(path: Path) -> list[list[object]]:
    book = openpyxl.load_workbook(path)
    rows: list[list[object]] = []
    for name in book.sheetnames:
        if name.startswith("Master"):
            rows += [list(row) for row in book[name].iter_rows(values_only=True, min_row=2 if rows else 1)]
    return rows


def test_both_formats_hold_the_same(chunk: Chunk, tmp_path: Path) -> None:
    """Numbers stand in list order, each beside its verdicts; a whole chunk may share one word."""
    chunks = [
        chunk(["+41798284651", "+12025550123"], ["yes", "no"], ["unanswered", "ban"]),
        chunk(["+4915112345678"], ["n/a"], "held"),
    ]
    report = written(request(tmp_path), lambda: chunks, partial=False)
    expected = [
        ["Number", "instagram", "amazon"],
        ["+41798284651", "yes", "unanswered"],
        ["+12025550123", "no", "ban"],
        ["+4915112345678", "n/a", "held"],
    ]
    assert rows_of_csv(tmp_path / "master.csv") == expected
    assert rows_of_xlsx(tmp_path / "master.xlsx") == expected
    assert report.counts == {
        "instagram": {"yes": 1, "no": 1, "n/a": 1},
        "amazon": {"ban": 1, "unanswered": 1, "held": 1},
    }
    assert report.pending == 0


def test_report_names_the_files(chunk: Chunk, tmp_path: Path) -> None:
    """The report has each file's name, hash and rows; the files are their owner's only."""
    chunks = [chunk(["+41798284651"], ["yes"], ["no"])]
    report = written(request(tmp_path), lambda: chunks, partial=False)
    for output, file in zip(BOTH, report.files, strict=True):
        path = tmp_path / f"master.{output}"
        assert file == MasterFile(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), 1)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_partial_and_final(chunk: Chunk, tmp_path: Path) -> None:
    """With pending cells the files are partial and an older final stays; a final removes the partial ones."""
    whole, waiting = chunk(["+41798284651"], ["yes"], ["no"]), chunk(["+12025550123"], ["no"], "pending")
    written(request(tmp_path), lambda: [whole], partial=False)
    report = written(request(tmp_path), lambda: [whole, waiting], partial=True)
    assert report.pending == 1
    assert [file.path for file in report.files] == ["master.partial.xlsx", "master.partial.csv"]
    assert len(rows_of_csv(tmp_path / "master.csv")) == 2
    assert len(rows_of_csv(tmp_path / "master.partial.csv")) == 3
    written(request(tmp_path, formats=(OutputFormat.CSV,)), lambda: [whole, whole], partial=False)
    assert sorted(path.name for path in tmp_path.glob("master.*")) == ["master.csv"]


def test_a_trial_behind_a_large_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A csv has a line for the header and for each number, and no other, however its blocks are cut."""
    monkeypatch.setattr(base_chunks, "ROWS_AT_ONCE", 3)
    numbers = np.arange(8) + 41_790_000_000
    (tmp_path / "chunks").mkdir()
    for chunk, rows in enumerate(([0, 2], [1, 3, 4, 5, 6, 7]), start=1):
        write_chunk(tmp_path, chunk, numbers[rows])
    chunks = [
        MasterChunk(chunk_path(tmp_path, 1), 2, ("held",), places=np.array([0, 2])),
        MasterChunk(chunk_path(tmp_path, 2), 6, ("pending",)),
    ]
    asked = request(tmp_path, platforms=("instagram",), formats=(OutputFormat.CSV,))
    assert written(asked, lambda: chunks, partial=True).pending == 6
    lines = (tmp_path / "master.partial.csv").read_bytes().splitlines()
    assert [line.partition(b",")[0] for line in lines[1:]] == [f"+{number}".encode() for number in numbers]


def test_a_format_that_is_not_wanted_any_more(chunk: Chunk, tmp_path: Path) -> None:
    """Its master would stay beside the new one, without what has come since; a partial master removes nothing."""
    chunks = [chunk(["+41798284651"], "pending", "pending")]
    written(request(tmp_path), lambda: chunks, partial=False)
    only_csv = request(tmp_path, formats=(OutputFormat.CSV,))
    written(only_csv, lambda: chunks, partial=True)
    assert (tmp_path / "master.xlsx").exists()
    written(only_csv, lambda: chunks, partial=False)
    assert sorted(path.name for path in tmp_path.glob("master*")) == ["master.csv"]


def test_a_count_that_is_not_what_is_written(chunk: Chunk, tmp_path: Path) -> None:
    """A master that lacks a row, or has one too many, is never shown."""
    chunks = [chunk(["+41798284651"], "pending", "pending")]
    with pytest.raises(AssertionError, match="a master of 1 rows was written for 2 numbers"):
        write_master(request(tmp_path, rows=2), lambda: chunks, partial=False)
    assert not list(tmp_path.glob("master*"))


@pytest.mark.parametrize("content", [b"", b'line,raw,reason\r\n1,"' + b"x" * 200_000 + b'",odd\r\n', b"\0\xff"])
def test_rejects_that_somebody_has_altered(chunk: Chunk, tmp_path: Path, content: bytes) -> None:
    """The sheet shows what can be read of them; the master does not hang on it."""
    (tmp_path / "rejected.csv").write_bytes(content)
    sheet = RejectSheet("Rejected", tmp_path / "rejected.csv", 1)
    asked = request(tmp_path, formats=(OutputFormat.XLSX,), rejects=(sheet,))
    written(asked, lambda: [chunk(["+41798284651"], "pending", "pending")], partial=False)
    assert "Rejected" in openpyxl.load_workbook(tmp_path / "master.xlsx").sheetnames


def test_same_input_same_bytes(chunk: Chunk, tmp_path: Path) -> None:
    """Two runs over the same verdicts give the same files, byte for byte."""
    chunks = [chunk(["+41798284651", "+12025550123"], ["yes", "no"], ["ban", "yes"])]
    first, second = (written(request(tmp_path / name), lambda: chunks, partial=False) for name in "ab")
    assert first == second


def test_sheets_roll_over(chunk: Chunk, tmp_path: Path) -> None:
    """After the rows that a sheet takes, the next sheet begins, inside of a chunk too."""
    numbers = [f"+4179{i:07d}" for i in range(25)]
    words = ["yes" if i % 2 else "no" for i in range(25)]
    chunks = [chunk(numbers[:13], words[:13], "held"), chunk(numbers[13:], words[13:], "held")]
    report = written(request(tmp_path, limits=BookLimits(sheet_rows=10)), lambda: chunks, partial=False)
    book = openpyxl.load_workbook(tmp_path / "master.xlsx")
    assert book.sheetnames == ["Master", "Master 2", "Master 3", "Summary"]
    assert [book[name].max_row for name in book.sheetnames[:3]] == [11, 11, 6]
    assert [book[name].auto_filter.ref for name in book.sheetnames[:3]] == ["A1:C11", "A1:C11", "A1:C6"]
    assert rows_of_csv(tmp_path / "master.csv")[1:] == [[n, w, "held"] for n, w in zip(numbers, words, strict=True)]
    assert {file.rows for file in report.files} == {25}
    rows = [row for row in rows_of_xlsx(tmp_path / "master.xlsx") if row[0] != "Number"]
    assert [row[0] for row in rows] == numbers


def test_too_long_for_a_workbook(chunk: Chunk, tmp_path: Path) -> None:
    """Above the workbook's limit it holds the summary only, and says so; csv has all rows."""
    numbers = [f"+4179{i:07d}" for i in range(25)]
    chunks = [chunk(numbers, ["yes"] * 25, "held")]
    for limit, sheets in ((25, ["Master", "Summary"]), (24, ["Summary"])):
        report = written(request(tmp_path, limits=BookLimits(rows=limit)), lambda: chunks, partial=False)
        book = openpyxl.load_workbook(tmp_path / "master.xlsx")
        assert book.sheetnames == sheets
    assert [file.rows for file in report.files] == [0, 25]
    notes = [cell for row in book["Summary"].iter_rows(values_only=True) for cell in row if isinstance(cell, str)]
    assert any("25 numbers do not fit" in note for note in notes)
    assert report.counts["instagram"] == {"yes": 25}


def test_empty_list(tmp_path: Path) -> None:
    """A list without numbers gives headers."""
    report = written(request(tmp_path), list, partial=False)
    assert rows_of_csv(tmp_path / "master.csv") == [["Number", "instagram", "amazon"]]
    assert rows_of_xlsx(tmp_path / "master.xlsx") == [["Number", "instagram", "amazon"]]
    assert report.counts == {"instagram": {}, "amazon": {}}


def test_failure_leaves_the_old_master(chunk: Chunk, tmp_path: Path) -> None:
    """When a chunk can't be read, the old files stay and no other ones appear."""
    good = chunk(["+41798284651"], ["yes"], ["no"])
    written(request(tmp_path), lambda: [good], partial=False)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("master*")}
    missing = MasterChunk(tmp_path / "chunks" / "000009.txt", 1, ("held", "held"))
    with pytest.raises(StorageError, match=r"000009\.txt"):
        written(request(tmp_path), lambda: [good, missing], partial=False)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("master*")} == before


@pytest.mark.parametrize("formats", [*((output,) for output in OutputFormat), tuple(OutputFormat)])
def test_full_disk(chunk: Chunk, small_disk: Path, formats: tuple[OutputFormat, ...]) -> None:
    """A full disk is an error that says so; it leaves no files behind."""
    numbers = [f"+41{i * 7_919_777_777_777 % 10**13:013d}" for i in range(300_000)]  # too mixed to pack small
    chunks = [chunk(numbers, "held", "pending")]
    with pytest.raises(StorageError, match="No space left"):
        written(request(small_disk, formats=formats), lambda: chunks, partial=False)
    assert list(small_disk.iterdir()) == []


word = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda text: text == text.strip())


@given(
    data=st.data(),
    words=st.lists(word, min_size=1, max_size=6, unique=True),
    sizes=st.lists(st.integers(1, 9), max_size=5),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_come_back(
    chunk: Chunk, tmp_path: Path, data: st.DataObject, words: list[str], sizes: list[int]
) -> None:
    """Whatever the words and the chunks, every format has the rows, csv with formulas defused, and the counts fit."""
    words = [text for text in words if text != "unanswered"] or ["yes"]
    rows: list[list[str]] = []
    chunks = []
    for size in sizes:
        numbers = [f"+4179{len(rows) + i:07d}" for i in range(size)]
        columns = [data.draw(st.lists(st.sampled_from(words), min_size=size, max_size=size)) for _ in "ab"]
        chunks.append(chunk(numbers, *columns))
        rows += [list(row) for row in zip(numbers, *columns, strict=True)]
    report = written(request(tmp_path, formats=tuple(OutputFormat)), lambda: chunks, partial=False)
    read = rows_of_csv(tmp_path / "master.csv")[1:]
    assert [[cell.removeprefix("'") for cell in row] for row in read] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert all(csv_safe(cell) == cell for row in read for cell in row)
    for place, platform in enumerate(("instagram", "amazon"), start=1):
        assert report.counts[platform] == {w: n for w in words if (n := sum(row[place] == w for row in rows))}
    assert rows_of_xlsx(tmp_path / "master.xlsx")[1:] == [[literal(legal(cell)) for cell in row] for row in rows]
    table = pq.read_table(tmp_path / "master.parquet").to_pydict()
    assert [list(row) for row in zip(*table.values(), strict=True)] == rows


def test_kept_columns(chunk: Chunk, tmp_path: Path) -> None:
    """What an input had beside its numbers stands behind the verdicts in every format, never as a formula."""
    made = chunk(["+41798284651", "+12025550123", "+4915112345678"], ["yes", "no", "yes"], "held")
    cells = [['Ana, "A"', "=1+1"], ["", "<b>&\u0001\r\n"], [" x ", "+41"]]
    path = made.path.with_suffix(".columns.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(cells)
    chunks = [dataclasses.replace(made, columns=path), chunk(["+4915112345679"], ["no"], "held")]
    names = ("name", "amazon")
    written(request(tmp_path, formats=tuple(OutputFormat), columns=names), lambda: chunks, partial=False)
    header = ["Number", "instagram", "amazon", "name", "amazon (list)"]
    verdicts = [["+41798284651", "yes", "held"], ["+12025550123", "no", "held"], ["+4915112345678", "yes", "held"]]
    last = ["+4915112345679", "no", "held", "", ""]
    rows = [[*verdict, *kept] for verdict, kept in zip(verdicts, cells, strict=True)]
    table = pq.read_table(tmp_path / "master.parquet")
    assert [table.column_names, *map(list, zip(*table.to_pydict().values(), strict=True))] == [header, *rows, last]
    rows[0][4] = "'=1+1"
    assert rows_of_csv(tmp_path / "master.csv") == [header, *rows, last]
    rows[0][4], rows[1][4] = "=1+1", "<b>&\ufffd\r\n"
    empty_is_none = [[cell or None for cell in row] for row in (*rows, last)]
    assert rows_of_xlsx(tmp_path / "master.xlsx") == [header, *empty_is_none]
    sheet = openpyxl.load_workbook(tmp_path / "master.xlsx")["Master"]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    assert sheet["E2"].number_format == "@"
    assert sheet.auto_filter.ref == "A1:E5"


def test_cells_longer_than_a_spreadsheet_takes(chunk: Chunk, tmp_path: Path) -> None:
    """A workbook with a longer cell would be called broken: there it is cut, in csv it is whole."""
    made = chunk(["+41798284651"], ["yes"], "held")
    path = made.path.with_suffix(".columns.csv")
    text = "\U0001f600" * 20_000
    path.write_text(f"{text}\r\n", encoding="utf-8", newline="")
    chunks = [dataclasses.replace(made, columns=path)]
    written(request(tmp_path, columns=("name",)), lambda: chunks, partial=False)
    assert rows_of_csv(tmp_path / "master.csv")[1][3] == text
    assert rows_of_xlsx(tmp_path / "master.xlsx")[1][3] == "\U0001f600" * (MAX_CELL_UNITS // 2)


def test_later_generations(chunk: Chunk, overlay: Callable[..., Overlay], tmp_path: Path) -> None:
    """The cells of a retry stand in the rows that it asked about, in every format and count; a verdict stays."""
    numbers = [f"+4179{i:07d}" for i in range(6)]
    chunks = [chunk(numbers[:4], "held", ["yes"] * 4), chunk(numbers[4:], "failed", "held")]
    overlays = [overlay("instagram", 2, [1, 5], numbers, ["yes", "ban"]), overlay("instagram", 3, [5], numbers, "held")]
    report = written(request(tmp_path), lambda: chunks, partial=False, overlays=lambda: overlays)
    assert [row[1] for row in rows_of_csv(tmp_path / "master.csv")[1:]] == [
        "held",
        "yes",
        "held",
        "held",
        "failed",
        "ban",
    ]
    assert rows_of_xlsx(tmp_path / "master.xlsx") == rows_of_csv(tmp_path / "master.csv")
    assert report.counts["instagram"] == {"yes": 1, "ban": 1, "failed": 1, "held": 3}


PEAK = """
import sys
from itertools import repeat
from pathlib import Path
from orchestrator.master import MasterChunk, MasterRequest, Overlay, write_master
from orchestrator.master.xml_text import legal
from orchestrator.master.xlsx_sink import MAX_CELL_UNITS
from orchestrator.settings import OutputFormat
folder, number, kept, rows, times = *map(Path, sys.argv[1:4]), *map(int, sys.argv[4:])
verdicts = folder / "verdicts" / "p0" / "000001.bin"
request = MasterRequest(folder / "out", ("a", "b"), tuple(OutputFormat), rows * times, columns=("name",))
chunk = MasterChunk(number, rows, (verdicts, "held"), columns=kept)
write_master(request, lambda: repeat(chunk, times), False)
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_memory_does_not_grow_with_the_list(chunk: Chunk, tmp_path: Path) -> None:
    """A list five times as long takes no more memory, in all formats together: measured in a process of its own."""
    rows = 20_000
    one = chunk([f"+4179{i:07d}" for i in range(rows)], ["yes", "no"] * (rows // 2), "held")
    kept = one.path.with_suffix(".columns.csv")
    kept.write_text("".join(f"name {i}\r\n" for i in range(rows)), newline="")

    def peak_bytes(times: int) -> int:
        command = [sys.executable, "-c", PEAK, *map(str, (tmp_path, one.path, kept, rows, times))]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024  # noqa: S603

    short, long = 8, 40  # an interpreter's own ups and downs are some megabytes
    assert (
        peak_bytes(long) - peak_bytes(short) < (long - short) * one.path.stat().st_size
    )  # less than the numbers alone
