"""What became of each input, against counts that do not come from what read it."""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from orchestrator.errors import UsageError
from orchestrator.intake import parts, read_list
from orchestrator.intake.list_reading import Planned, rebuild
from orchestrator.intake.numbers.reasons import Reason
from orchestrator.intake.plan import ChunkLimits
from orchestrator.intake.sources import parquet_rows, xlsx_rows
from orchestrator.intake.sources.table_layout import TableOptions
from orchestrator.records import InputAccount, Unread
from orchestrator.workbooks import declared_sheets, filled_rows, packed
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from .conftest import MakeJob, Write, WriteWorkbook

N = [f"+417982846{i:02d}" for i in range(20)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    async with Workers(1) as pool:
        yield pool


async def accounts(workers: Workers, make_job: MakeJob, *inputs: str, **changes: object) -> tuple[InputAccount, ...]:
    read = await read_list(make_job(*inputs, **changes), lambda _: ChunkLimits(100, 1, 1000), workers)
    counts = read.counts
    for name in ("read", "accepted", "duplicates", "rejected"):
        assert sum(getattr(one, name) for one in counts.inputs) == getattr(counts, name)
    return counts.inputs


@pytest.mark.asyncio(loop_scope="module")
async def test_inputs_sheets_and_members(
    workers: Workers, make_job: MakeJob, write: Write, write_workbook: WriteWorkbook
) -> None:
    """Each input has its counts; so has each sheet, with rows and reason where it was not read, and a zip's member."""
    write("a.txt", f"{N[0]}\n\n{N[1]}\nhello\n")
    write("empty.txt", "")
    book = write_workbook("b.xlsx", Now=[["phone"], [N[0]], [N[2]], [" "]], Notes=[["x"], ["y"]], Empty=[])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("list.txt", f"{N[2]}\n{N[3]}\n")
    write("c.zip", packed.getvalue())
    notes = (Unread("sheet 'Notes'", 2, "another was read: [job] sheet says which"),)
    assert book.exists()
    assert await accounts(workers, make_job, "a.txt", "empty.txt", "b.xlsx", "c.zip", sheet="Now") == (
        InputAccount("a.txt", 3, 2, 0, 1),
        InputAccount("empty.txt"),
        InputAccount(
            "b.xlsx", 2, 1, 1, 0, notes,
            parts=(InputAccount("Now", 2, 1, 1, 0), InputAccount("Notes", unread=notes), InputAccount("Empty")),
            columns=("phone",), guessed=True,
        ),
        InputAccount("c.zip", 2, 1, 1, 0, parts=(InputAccount("list.txt", 2, 1, 1, 0),)),
    )  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_a_second_column_of_numbers(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """One that nobody named, under a header that tells nothing, is said to be unread; customers' are not."""
    rows = [
        f"Person {row},{10_000_000 + row},{number},0{row}41 668 18 {row}0,2026-01-0{row}"
        for row, number in enumerate(N[:3], 1)
    ]
    write("a.csv", "\n".join(["name,customer,phone,second,since", *rows]))
    (found,) = await accounts(workers, make_job, "a.csv")
    (unread,) = found.unread
    assert (unread.what, found.guessed) == ('column "second"', True)
    (found,) = await accounts(workers, make_job, "a.csv", column=("phone",))
    assert found.unread == ()


@pytest.mark.asyncio(loop_scope="module")
async def test_numbers_in_other_columns(workers: Workers, make_job: MakeJob, write_workbook: WriteWorkbook) -> None:
    """A row without a number in its column, and with one elsewhere, is rejected with it, or said to be unread."""
    rows = [["name", "phone", "mobile", "fax"], ["a", N[0]], ["b", N[1], None, N[2]], ["c", "x", "", N[3]], ["d", "x"]]
    write_workbook("b.xlsx", S=rows)
    (found,) = await accounts(workers, make_job, "b.xlsx", column=("phone", "mobile"))
    (unread,) = found.unread
    assert (found.read, found.accepted, found.rejected) == (4, 2, 2)
    assert unread.what == "1 number in other columns"
    assert found.parts[0].unread == (unread,)
    _, *rejected = csv.reader((make_job("b.xlsx").directory / "rejected.csv").read_text().splitlines())
    assert rejected == [["4", N[3], Reason.ELSEWHERE, "b.xlsx"], ["5", "x", Reason.NOT_A_NUMBER, "b.xlsx"]]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("broken", [("a.txt", "read_text"), ("a.csv", "read_csv"), ("a.tsv", "read_csv")])
@pytest.mark.parametrize("times", [0, 2])
async def test_a_reader_that_loses_lines_or_finds_too_many(
    workers: Workers,
    make_job: MakeJob,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    broken: tuple[str, str],
    encoding: str,
    times: int,
) -> None:
    """Lines are counted beside the reader of text: what it loses, or gives twice, ends the reading, in any encoding."""
    name, reader = broken
    rows = ["phone\tname", *(f"{number}\tZo\u00eb" for number in N)] if name != "a.txt" else N
    text = "\r\n".join(rows)
    write(name, text.encode(encoding))
    (account,) = await accounts(workers, make_job, name)
    assert account.read == len(N)
    read = getattr(parts, reader)

    def spoilt(stream: object, *arguments: object, **options: object) -> Iterator[object]:
        for place, block in enumerate(read(stream, *arguments, **options)):
            yield from [block] * (times if place == 1 else 1)

    def in_small_blocks(stream: object, *arguments: object, **options: object) -> Iterator[object]:
        return spoilt(stream, *arguments[:-1], 64, **options)

    monkeypatch.setattr(parts, reader, in_small_blocks)
    with pytest.raises(
        UsageError, match=r"it has 2\d lines, 2\d of them with something in them, and \d+ could be read"
    ):
        await accounts(workers, make_job, name)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", ["header.csv", "header.xlsx", "header.parquet"])
async def test_content_without_a_row(
    workers: Workers, make_job: MakeJob, write: Write, write_workbook: WriteWorkbook, tmp_path: Path, name: str
) -> None:
    """An input with something in it, of which no row could be read, is named, although others have rows."""
    import pyarrow as pa  # noqa: PLC0415 - large
    from pyarrow import parquet  # noqa: PLC0415

    write("a.txt", f"{N[0]}\n")
    write("header.csv", "phone\n")
    write_workbook("header.xlsx", Sheet=[["phone"]])
    parquet.write_table(pa.table({"phone": pa.array([], pa.string())}), tmp_path / "header.parquet")
    with pytest.raises(UsageError, match=f"^{name}: there is something in it, and no row could be read"):
        await accounts(workers, make_job, "a.txt", name)


@pytest.mark.asyncio(loop_scope="module")
async def test_content_without_a_row_in_a_begun_job(workers: Workers, make_job: MakeJob, write: Write) -> None:
    """A job that began beside such an input, when that was no error, has its lost chunk files built all the same."""
    write("a.txt", f"{N[0]}\n")
    write("header.csv", "phone\n")
    job = make_job("a.txt")
    read = await read_list(job, lambda _: ChunkLimits(100, 1, 1000), workers)
    lost = job.directory / "chunks" / "000001.txt"
    lost.unlink()
    await rebuild(make_job("a.txt", "header.csv"), workers, Planned(read.chunks))
    assert lost.read_text() == f"{N[0]}\n"


def test_fewer_rows_than_the_workbook_declares(write_workbook: WriteWorkbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader of cells that loses rows is found out by the count in the sheet's XML."""
    path = write_workbook("a.xlsx", Sheet=[["phone"], *([number] for number in N)])
    rows = xlsx_rows._Parser.parse
    monkeypatch.setattr(xlsx_rows._Parser, "parse", lambda parser: list(rows(parser))[:5])
    with pytest.raises(UsageError, match=r"a\.xlsx: the sheet 'Sheet' declares 21 rows .* and 5 could be read"):
        list(xlsx_rows.read_workbook(str(path), TableOptions("a.xlsx"), 1 << 20))


def test_fewer_rows_than_the_parquet_file_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that loses rows is found out by the file's own count."""
    import pyarrow as pa  # noqa: PLC0415 - large
    from pyarrow import parquet  # noqa: PLC0415

    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"phone": N}), path)
    monkeypatch.setattr(parquet_rows, "texts_of", lambda column: [str(value) for value in column.to_pylist()][:7])
    with pytest.raises(UsageError, match=r"a\.parquet: the file declares 20 rows, and 7 could be read"):
        list(parquet_rows.read_parquet(str(path), TableOptions("a.parquet"), 1 << 20))


def test_declared_sheets_and_rows(write_workbook: WriteWorkbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets, and rows with something in them, are counted in the workbook's own parts, however those are cut."""
    rows = [["phone"], [], [N[0], None], [None, "x"], [None, None], [0]]
    path = write_workbook("a.xlsx", One=rows, Two=[])
    for size in (1, 7, 100, 1 << 20):
        monkeypatch.setattr("orchestrator.workbooks._BLOCK_BYTES", size)
        with zipfile.ZipFile(path) as archive:
            found = declared_sheets(archive)
            assert Counter({one.title: filled_rows(archive, one.part) for one in found}) == {"One": 4, "Two": 0}


def test_rows_that_are_none(write_workbook: WriteWorkbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What looks like a row in a comment, or in a text that is written as it is, is none; values around it count."""
    path = write_workbook("a.xlsx", One=[["phone"], [N[0]]])
    row = b'<row r="9"><c><v>1</v></c></row>'
    others = b"<!-- %b -->" % row, b"<?x %b?>" % row, b"<!-- > %b - - >" % row + b"x" * 5_000 + b"-->"
    text = b'<row r="3"><c r="A3" t="inlineStr"><is><t><![CDATA[a%b]]></t></is></c></row>' % row
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (part,) = (name for name in parts if "worksheets/sheet" in name)
    end = parts[part].index(b"</sheetData>")
    parts[part] = b"".join((parts[part][:end], *others, text, *others, parts[part][end:], *others))
    path.write_bytes(packed(parts).getvalue())
    for size in (1, 2, 3, 7, 100, 1 << 20):
        for long in (100, 16 << 20):
            monkeypatch.setattr("orchestrator.workbooks._BLOCK_BYTES", size)
            monkeypatch.setattr("orchestrator.workbooks._LONG_ROW_BYTES", long)
            with zipfile.ZipFile(path) as archive:
                assert filled_rows(archive, part) == 3
    assert list(xlsx_rows.read_workbook(str(path), TableOptions("a.xlsx"), 1 << 20))
