"""Every kind of result file gives the same table, whatever it is called and however it is spelled."""

from __future__ import annotations

import errno
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

import openpyxl
import pytest
from openpyxl.chart import BarChart

from orchestrator.errors import DamagedResultError
from orchestrator.results import ResultReport
from orchestrator.results.checked_zip import ResultLimits
from orchestrator.results.columns import Wanted
from orchestrator.results.result_tables import read_tables

Check = Callable[..., ResultReport]
Make = Callable[..., bytes]
Rows = list[list[object]]
Words = Callable[[], list[str]]


@pytest.fixture(
    params=[
        *(
            "xlsx",
            "csv",
            "csv;",
            "csv tab",
            "csv|",
            "csv sep=",
            "csv utf-16",
            "csv utf-16 without a mark",
            "csv utf-32",
            "csv gz",
            "xlsx gz",
            "gz gz",
        ),
        *("zip of csv", "zip of xlsx", "zip of gz", "zip of lists", "zip of halves", "zip of sheets"),
    ]
)
def content(request: pytest.FixtureRequest, xlsx: Make, csv_text: Make, zipped: Make, rows: Rows) -> bytes:
    """Give the same rows in every form."""
    by_word = {word: "\n".join(str(n) for n, w in rows[1:] if w == word).encode() for word in ("yes", "no")}
    lists = {"a1/registered.txt": by_word["yes"], "a1/unregistered.txt": by_word["no"]}
    forms: dict[str, Callable[[], bytes]] = {
        "xlsx": lambda: xlsx(rows),
        "csv": lambda: csv_text(rows),
        "csv;": lambda: csv_text(rows, ";"),
        "csv tab": lambda: csv_text(rows, "\t"),
        "csv|": lambda: csv_text(rows, "|"),
        "csv sep=": lambda: b"\xef\xbb\xbfsep=;\r\n" + csv_text(rows, ";")[3:],
        "csv utf-16": lambda: csv_text(rows).decode("utf-8-sig").encode("utf-16"),
        "csv utf-16 without a mark": lambda: csv_text(rows).decode("utf-8-sig").encode("utf-16-be"),
        "csv utf-32": lambda: csv_text(rows).decode("utf-8-sig").encode("utf-32"),
        "csv gz": lambda: gzip.compress(csv_text(rows)),
        "xlsx gz": lambda: gzip.compress(xlsx(rows)),
        "gz gz": lambda: gzip.compress(gzip.compress(csv_text(rows[:9])) + gzip.compress(csv_text(rows[9:])[3:])),
        "zip of gz": lambda: zipped({"all.csv.gz": gzip.compress(csv_text(rows)), "readme.txt": b"about it"}),
        "zip of halves": lambda: zipped({"1.csv": csv_text(rows[:200]), "2.xlsx": xlsx([rows[0], *rows[200:]])}),
        "zip of sheets": lambda: zipped({"t.xlsx": xlsx(rows[:90], [rows[0], *rows[90:]]), "p.png": b"\x89PNG\0\xff"}),
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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_a_list_in_any_encoding(check: Check, zipped: Make, csv_text: Make, rows: Rows, encoding: str) -> None:
    """It says what it says, and costs the tables beside it nothing."""
    numbers = [str(row[0]) for row in rows[1:]]
    note = "Sch\xfcler" if encoding == "latin-1" else ""
    text = "\r\n".join([note, *numbers[:2]]).encode(encoding)
    assert check(zipped({"registered.txt": text, "unregistered.txt": numbers[2].encode()})).counts == {
        "unanswered": 397,
        "yes": 2,
        "no": 1,
    }
    assert check(zipped({"all.csv": csv_text(rows[:-1]), "registered.txt": text})).counts["unanswered"] == 1


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
    return read_tables(file, ResultLimits(1 << 20), Wanted("instagram"))


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


def test_a_further_table_adds_what_is_missing(
    check: Check, zipped: Make, csv_text: Make, rows: Rows, verdicts: Words, expected: list[str]
) -> None:
    """The best table counts; others say what it leaves out, and where they contradict it that is counted."""
    header, *answers = rows
    other = [header, [answers[0][0], "ban"], *answers[1:]]
    report = check(zipped({"all.csv": csv_text(rows[:300]), "rest.csv": csv_text([*other, ["+12025550123", "yes"]])}))
    assert verdicts() == expected
    assert (report.rows, report.doubled, report.overruled, report.contradictions, report.foreign) == (400, 0, 1, 0, 1)


def test_nothing_is_read_in_vain(check: Check, zipped: Make, csv_text: Make, rows: Rows) -> None:
    """When every number has its row, no further file is read, be it broken; one that is read in vain costs nothing."""
    broken = {"result.xlsx": b"PK\x03\x04" + bytes(99)}
    assert check(zipped({"all.csv": csv_text(rows), **broken})).rows == 400
    assert check(zipped({"all.csv": csv_text(rows[:301]), **broken})).rows == 300
    with pytest.raises(DamagedResultError, match="cut short"):
        check(zipped(broken))


@pytest.mark.parametrize("last", ["the rest.csv", "the rest.txt", "registered.txt"])
def test_pictures_cost_nothing(check: Check, zipped: Make, csv_text: Make, rows: Rows, last: str) -> None:
    """However large the pictures beside the tables are, all tables are read."""
    pictures = {f"{place}.{kind}": bytes(19 << 20) for place, kind in enumerate(("png", "JPG", "pdf"))}
    rest = str(rows[-1][0]).encode() if last == "registered.txt" else csv_text([rows[0], rows[-1]])
    assert check(zipped({**pictures, "all.csv": csv_text(rows[:-1]), last: rest})).rows == 400


def test_a_cut_or_endless_gzip_is_damaged(check: Check, csv_text: Make, rows: Rows) -> None:
    """What gzip packed is whole, and no larger than the chunk can need."""
    with pytest.raises(DamagedResultError, match="cut short"):
        check(gzip.compress(csv_text(rows))[:-9])
    with pytest.raises(DamagedResultError, match="inflates to more"):
        check(gzip.compress(bytes(64 << 20)))
    deep = csv_text(rows)
    for _ in range(9):
        deep = gzip.compress(deep)
    with pytest.raises(DamagedResultError, match="no table"):
        check(deep)


@pytest.mark.parametrize(
    "line",
    ['{0},"{1}', '"{0},{1}', '{0},{1}"', '{0}"x,{1}', '"{0}",{1},"a\nb', '{0},{1},"', '"{0}" ,"{1}" ', '{0},{1},a"b"c'],
)
def test_a_stray_quote_swallows_no_row(
    check: Check, rows: Rows, verdicts: Words, expected: list[str], line: str
) -> None:
    """A quote that nobody closes, or that stands within a cell, costs its own line at most."""
    for places in ({7}, {7, 8}, {7, 90, 91}):
        lines = [(line if place in places else "{0},{1}").format(*row) for place, row in enumerate(rows)]
        check("\n".join(lines).encode())
        found = [word for place, word in enumerate(verdicts(), 1) if place not in places]
        assert found == [word for place, word in enumerate(expected, 1) if place not in places]


@pytest.mark.parametrize(
    ("first", "last"), [('{0},"{1}', '{0},{1}"'), ('"{0},{1}', '{0},{1}"'), ('{0},{1},"', 'x",{0},{1}')]
)
def test_two_quotes_swallow_no_rows(
    check: Check, rows: Rows, verdicts: Words, expected: list[str], first: str, last: str
) -> None:
    """Two quotes that nobody meant look like one cell of many lines; a row stands in it."""
    forms = {7: first, 20: last}
    lines = [forms.get(place, "{0},{1}").format(*row) for place, row in enumerate(rows)]
    check("\n".join(lines).encode())
    found = [word for place, word in enumerate(verdicts(), 1) if place not in forms]
    assert found == [word for place, word in enumerate(expected, 1) if place not in forms]


def test_cells_of_several_lines(check: Check, rows: Rows, verdicts: Words, expected: list[str]) -> None:
    """A quoted cell may hold line ends, and numbers of its own."""
    lines = [f'"a\n{place} x, 5",{number},{word}' for place, (number, word) in enumerate(rows)]
    report = check("\n".join(lines).encode())
    assert verdicts() == expected
    assert report.foreign == 0


@pytest.mark.parametrize("encoding", ["gb18030", "latin-1"])
def test_code_pages(check: Check, rows: Rows, verdicts: Words, expected: list[str], encoding: str) -> None:
    """A csv in a code page is read by the words that are known."""
    yes, no = {"gb18030": ("\u662f", "\u5426"), "latin-1": ("S\u00ed", "no")}[encoding]
    lines = [f"{number},{ {'yes': yes, 'no': no}.get(str(word), word) }" for number, word in rows]
    check("\r\n".join([*lines, ""]).encode(encoding))
    assert verdicts() == expected


WORDS = [f"{letter}{rest}" for letter in "abcdefghijklmnopqrstuvwxyz" for rest in ("", "ow", "rong")]


@pytest.mark.parametrize("shared", [True, False])
def test_words_that_begin_with_any_letter(check: Check, numbers: list[str], verdicts: Words, *, shared: bool) -> None:
    """No letter and no name of a tag in a text means anything to whoever looks for tags."""
    book = openpyxl.Workbook(write_only=not shared)
    sheet = book.create_sheet()
    words = [WORDS[place % len(WORDS)] for place in range(len(numbers))]
    for row in (("Number", "instagram"), *zip(numbers, words, strict=True)):
        sheet.append(row)
    packed = io.BytesIO()
    book.save(packed)
    check(packed.getvalue())
    assert verdicts() == words
