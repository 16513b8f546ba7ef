"""Every kind of result file gives the same table, whatever it is called and however it is spelled."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

import openpyxl
import pytest
from openpyxl.chart import BarChart

from orchestrator.errors import DamagedResultError
from orchestrator.results import ResultReport
from orchestrator.results.archive import Limits
from orchestrator.results.columns import Wanted
from orchestrator.results.tables import read_tables

Check = Callable[..., ResultReport]
Make = Callable[..., bytes]
Rows = list[list[object]]
Words = Callable[[], list[str]]


@pytest.fixture(params=["xlsx", "csv", "csv;", "csv tab", "zip of csv", "zip of xlsx", "zip of lists"])
def content(request: pytest.FixtureRequest, xlsx: Make, csv_text: Make, zipped: Make, rows: Rows) -> bytes:
    """Give the same rows in every form."""
    by_word = {word: "\n".join(str(n) for n, w in rows[1:] if w == word).encode() for word in ("yes", "no")}
    lists = {"a1/registered.txt": by_word["yes"], "a1/unregistered.txt": by_word["no"]}
    forms: dict[str, Callable[[], bytes]] = {
        "xlsx": lambda: xlsx(rows),
        "csv": lambda: csv_text(rows),
        "csv;": lambda: csv_text(rows, ";"),
        "csv tab": lambda: csv_text(rows, "\t"),
        "zip of csv": lambda: zipped({**lists, "a1/": b"", "a1/all.csv": csv_text(rows)}),
        "zip of xlsx": lambda: zipped({"readme.csv": b"\n", "result.xlsx": xlsx(rows)}),
        "zip of lists": lambda: zipped(lists),
    }
    return forms[request.param]()


def test_every_form_gives_the_same(content: bytes, check: Check, expected: list[str], verdicts: Words) -> None:
    """A file's kind is told by its content, and the verdicts do not depend on it."""
    report = check(content, success=400)
    assert verdicts() == expected
    assert report.doubled == 0


def test_exactly_one_table_is_read(check: Check, zipped: Make, csv_text: Make, xlsx: Make, rows: Rows) -> None:
    """Of several tables with the same rows one is read: all.csv first, then result.xlsx, then by name."""
    other = [rows[0], *([number, "ban"] for number, _ in rows[1:])]
    first = check(zipped({"0.csv": csv_text(other), "result.xlsx": xlsx(other), "t/ALL.csv": csv_text(rows)}))
    second = check(zipped({"0.csv": csv_text(other), "t/result.xlsx": xlsx(rows)}))
    third = check(zipped({"1.csv": csv_text(other), "0.csv": csv_text(rows), "__MACOSX/._0.csv": b"\0"}))
    assert [report.doubled for report in (first, second, third)] == [0, 0, 0]
    assert [set(report.counts) for report in (first, second, third)] == [{"yes", "no"}] * 3


def test_a_table_without_the_columns_is_passed_over(check: Check, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """A preferred table that lacks a column is not read; the next one is."""
    only_numbers = [row[:1] for row in rows]
    assert check(zipped({"all.csv": csv_text(only_numbers), "b.csv": csv_text(rows)})).rows == 400


def test_number_in_no_list_is_unanswered(check: Check, zipped: Make, numbers: list[str]) -> None:
    """With lists of yes and no, a number in neither is unanswered; blank lines do not count."""
    lists = {"registered.txt": f"{numbers[0]}\n\n{numbers[1]}\n".encode(), "unregistered.txt": numbers[2].encode()}
    report = check(zipped(lists))
    assert report.counts == {"unanswered": 397, "yes": 2, "no": 1}
    assert report.foreign == 0


def test_every_sheet_with_the_columns_is_read(
    check: Check, xlsx: Make, rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """A long result rolls over into further sheets; sheets of something else are passed over."""
    check(xlsx([["About"], ["made up"]], rows[:200], [rows[0], *rows[200:]], []), success=400)
    assert verdicts() == expected


def test_header_below_a_title(check: Check, xlsx: Make, rows: Rows) -> None:
    """Empty rows and empty columns before the table do not matter."""
    moved = [[], [], *([None, None, *row] for row in rows)]
    assert check(xlsx(moved), success=400).rows == 400


def test_short_csv_rows(check: Check, csv_text: Make, rows: Rows) -> None:
    """A csv row that ends early has empty cells."""
    assert check(csv_text([*rows[:-1], rows[-1][:1], []])).counts["unanswered"] == 1


def test_quoted_csv(check: Check, rows: Rows, expected: list[str], verdicts: Words) -> None:
    """Quotes, spaces and the apostrophe against formulas do not matter."""
    lines = [f'"\'{number}" ; " {word} "' for number, word in rows[1:]]
    check("\n".join(['"Mobile Number";"Instagram"', *lines]).encode())
    assert verdicts() == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"Number\n+41791234567\n",
        b"number,verdict\n+41791234567,yes\n",
        b"instagram,activated\nyes,yes\n",
        b"<html>404</html>",
        b'{"message": "expired"}',
        b"PK",
        b"PK\x05\x06" + bytes(18),
        b"PK\x03\x04" + bytes(100),
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        b"Number,instagram\n\xff\xfe\xff,yes\n",
        b"Number,instagram\n" + b"1" * 200_000 + b",yes\n",
        bytes(range(256)) * 8,
    ],
    ids=lambda content: repr(content[:18]),
)
def test_what_is_no_table_is_damaged(check: Check, content: bytes) -> None:
    """Anything that can't be read as a table of numbers and verdicts is damaged, never a crash."""
    with pytest.raises(DamagedResultError):
        check(content)


def test_cut_and_altered_files_are_damaged(
    check: Check, xlsx: Make, rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """A workbook cut anywhere, or with a flipped byte, is damaged or gives the very same verdicts."""
    whole = xlsx(rows)
    cut = [whole[:size] for size in range(0, len(whole), 397)]
    flipped = [whole[:i] + bytes([whole[i] ^ 0x5A]) + whole[i + 1 :] for i in range(3, len(whole), 97)]
    for content in (*cut, *flipped):
        try:
            check(content, success=400)
        except DamagedResultError:
            continue
        assert verdicts() == expected


def test_wrong_checksum_is_damaged(check: Check, zipped: Make, csv_text: Make, xlsx: Make, rows: Rows) -> None:
    """A member whose bytes do not have the declared CRC makes the file damaged, also in a workbook."""
    for content in (zipped({"all.csv": csv_text(rows)}, zipfile.ZIP_STORED), xlsx(rows)):
        place = zipfile.ZipFile(io.BytesIO(content)).infolist()[0].CRC.to_bytes(4, "little")
        with pytest.raises(DamagedResultError):
            check(content.replace(place, b"\x01\x02\x03\x04"))


@pytest.mark.parametrize(
    "xml",
    [
        "<sheetData><row><c t='s'><v>7</v></c></row></sheetData>",
        "<sheetData><row><c r='1'/></row></sheetData>",
        "<sheetD",
    ],
)
def test_broken_sheet_is_damaged(check: Check, sheet_xlsx: Callable[[str], bytes], xml: str) -> None:
    """A zip that is whole around XML that is not makes the file damaged."""
    with pytest.raises(DamagedResultError):
        check(sheet_xlsx(xml))


def test_cells_without_references(
    check: Check, sheet_xlsx: Callable[[str], bytes], rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """Cell references are optional in a workbook."""
    cells = ("".join(f"<c t='str'><v>{cell}</v></c>" for cell in row) for row in rows)
    check(sheet_xlsx(f"<sheetData>{''.join(f'<row>{row}</row>' for row in cells)}</sheetData>"))
    assert verdicts() == expected


def test_wrong_dimension_is_not_believed(check: Check, sheet_xlsx: Callable[[str], bytes], rows: Rows) -> None:
    """A declared range that is too small or far too large changes nothing."""
    cells = ("".join(f"<c t='str'><v>{cell}</v></c>" for cell in row) for row in rows)
    data = f"<sheetData>{''.join(f'<row>{row}</row>' for row in cells)}</sheetData>"
    for reference in ("A1:B5", "A1:XFD1048576"):
        assert check(sheet_xlsx(f'<dimension ref="{reference}"/>{data}')).rows == 400


class FailingDisk(io.BytesIO):
    """A file on a disk that fails."""

    code = errno.EIO

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail."""
        raise OSError(self.code, "Input/output error")


def pairs(file: BinaryIO) -> Iterator[object]:
    return read_tables(file, Limits(1 << 20), Wanted("instagram"))


def test_a_failing_disk_is_not_a_damaged_result(csv_text: Make, rows: Rows) -> None:
    """An error of our own disk stays one: fetching the file again would not help."""
    with pytest.raises(OSError, match="Input/output"):
        list(pairs(FailingDisk(csv_text(rows))))


class Panicking(io.BytesIO):
    """A file whose reading ends as the Rust parser's own failures do: with an exception beside `Exception`."""

    def read(self, _size: int | None = -1, /) -> bytes:
        """Fail."""
        raise type("PanicException", (BaseException,), {})("index out of bounds")


def test_a_panic_of_the_parser_is_a_damaged_result() -> None:
    """A failure inside of the Rust parser does not take the process's work with it."""
    with pytest.raises(DamagedResultError, match="parser"):
        list(pairs(Panicking(b"Number,instagram\n")))


def test_being_stopped_is_not_a_damaged_result() -> None:
    """What stops the process passes."""

    class Stopped(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(pairs(Stopped(b"Number,instagram\n")))


def test_other_zips_inside_are_passed_over(check: Check, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """A zip in the zip that is no workbook is not opened further."""
    assert check(zipped({"result.xlsx": zipped({"all.csv": b"?"}), "x.csv": csv_text(rows)})).rows == 400


def test_chart_sheets_are_passed_over(check: Check, rows: Rows) -> None:
    """A sheet that holds a chart has no rows."""
    book = openpyxl.Workbook()
    book.create_chartsheet("Chart", 0).add_chart(BarChart())
    for row in rows:
        book["Sheet"].append(row)
    packed = io.BytesIO()
    book.save(packed)
    assert check(packed.getvalue()).rows == 400


def test_a_position_outside_of_the_file_is_damage(csv_text: Make, rows: Rows) -> None:
    """What the system says about an impossible position in a file is the file's fault, not the disk's."""

    class Nowhere(FailingDisk):
        code = errno.EINVAL

    with pytest.raises(DamagedResultError, match="outside of the file"):
        list(pairs(Nowhere(csv_text(rows))))
