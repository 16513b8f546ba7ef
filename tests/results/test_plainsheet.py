"""The three ways to understand a row agree with each other, and with what the rows refer to."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from orchestrator.results.columns import Wanted
from orchestrator.results.frames import NotPlainError
from orchestrator.results.plainsheet import Book, read_sheet

HEADER = b'<row r="1"><c r="A1" t="str"><v>Number</v></c><c r="B1" t="str"><v>instagram</v></c></row>'
BARE_HEADER = b'<row><c t="str"><v>Number</v></c><c t="str"><v>instagram</v></c></row>'
STRINGS = [b"yes", b"no", *(b"+41791%06d" % n for n in range(100)), b"total"]
Shape = Callable[[int, int], bytes]


def read(rows: Iterable[bytes], *, header: bytes = HEADER, book: Book | None = None) -> list[tuple[int, object]]:
    sheet = b"<worksheet><sheetData>" + header + b"".join(rows) + b"</sheetData></worksheet>"
    batches = read_sheet(sheet, book or Book(STRINGS, dateless=True, max_row=5000), Wanted("instagram"))
    return sorted(
        row for batch in batches for row in zip(batch.numbers.tolist(), map(str, batch.verdicts), strict=True)
    )


def cells(number: bytes, verdict: bytes, more: bytes = b"") -> Shape:
    """Return a maker of rows; `%d` in a cell is the place of the number."""
    return lambda row, place: (
        b'<row r="%d"><c r="A%d"%s</c><c r="B%d"%s</c>%s</row>'
        % (row, row, number.replace(b"%d", b"%d" % place), row, verdict, more.replace(b"%R", b"%d" % row))
    )


SHAPES = {
    "text": cells(b' t="str"><v>+4179100%d</v>', b' t="str"><v>no</v>'),
    "number": cells(b"><v>4179100%d</v>", b"><v>0</v>"),
    "shared": cells(b' t="s"><v>%d</v>', b' t="s"><v>1</v>'),
    "more": cells(b' t="str"><v>4179100%d</v>', b' t="str"><v>no</v>', b'<c r="C%R" t="s"><v>0</v></c>'),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_few_and_many(shape: str) -> None:
    """Few rows, which no matrix takes, give what they give among many."""
    make = SHAPES[shape]
    rows = [make(row + 2, row % 80 + 10) for row in range(400)]
    few = [pair for start in range(0, 400, 20) for pair in read(rows[start : start + 20])]
    assert read(rows) == sorted(few)
    assert len(few) == 400
    assert all(number > 41_791_000_000 or shape in {"number", "text", "more"} for number, _ in few)


@pytest.mark.parametrize("count", [5, 200])
@pytest.mark.parametrize(
    ("row", "book"),
    [
        (cells(b' t="s"><v>999</v>', b' t="s"><v>1</v>'), Book(STRINGS, dateless=True, max_row=5000)),
        (cells(b' t="s"><v>%d</v>', b' t="s"><v>999</v>'), Book(STRINGS, dateless=True, max_row=5000)),
        (SHAPES["number"], Book(STRINGS, dateless=False, max_row=5000)),
        (cells(b' t="str"><v>4179100%d</v>', b"><v>1</v>"), Book(STRINGS, dateless=False, max_row=5000)),
        (SHAPES["text"], Book(STRINGS, dateless=True, max_row=5)),
        (
            cells(b' t="str"><v>4179100%d</v>', b' t="str"><v>no</v>', b'<c r="C%R" t="s"><v>999</v></c>'),
            Book(STRINGS, dateless=True, max_row=5000),
        ),
    ],
)
def test_what_rows_refer_to(row: Shape, book: Book, count: int) -> None:
    """A string that is not there, a date, too many rows: in few rows as in many, the sheet is not for this reader."""
    with pytest.raises(NotPlainError):
        read([row(n + 2, n % 80 + 10) for n in range(count)], book=book)


@pytest.mark.parametrize("count", [5, 200])
def test_rows_with_and_without_numbers(count: int) -> None:
    """Either all rows carry their numbers, or none does."""
    numbered = [SHAPES["text"](n + 2, n % 80 + 10) for n in range(count)]
    bare = [
        b'<row><c t="str"><v>+4179100%d</v></c><c t="str"><v>no</v></c></row>' % (n % 80 + 10) for n in range(count)
    ]
    assert len(read(numbered)) == len(read(bare, header=BARE_HEADER)) == count
    for rows, header in ((numbered, BARE_HEADER), (bare, HEADER), ([*numbered, *bare], HEADER)):
        with pytest.raises(NotPlainError):
            read(rows, header=header)


@pytest.mark.parametrize("count", [5, 200])
def test_rows_out_of_order(count: int) -> None:
    """A row that stands out of order, or twice, makes the sheet one for the library."""
    rows = [SHAPES["text"](n + 2, n % 80 + 10) for n in range(count)]
    for wrong in ([*rows, rows[0]], rows[::-1], [*rows[:2], rows[1], *rows[2:]]):
        with pytest.raises(NotPlainError):
            read(wrong)


@pytest.mark.parametrize("where", [0, 1, 100, 200])
def test_anything_between_rows(where: int) -> None:
    """What stands between rows is never passed over."""
    rows = [SHAPES["text"](n + 2, n % 80 + 10) for n in range(200)]
    for other in (b"x", b" ", b"<c/>", b"</row>", b"<row>", b"<row", b"wow", b"<x/>"):
        with pytest.raises(NotPlainError):
            read([*rows[:where], other, *rows[where:]])


def test_rows_of_every_kind_in_one_sheet() -> None:
    """Alike rows, matched rows and odd rows give one table."""
    rows = [list(SHAPES.values())[n * 7 % 4](n + 2, n % 80 + 10) for n in range(300)]
    rows += [b'<row r="%d"><c r="B%d" t="str"><v>odd</v></c></row>' % (n, n) for n in range(400, 410)]
    rows += [b'<row r="500"/>', SHAPES["text"](501, 99)]
    said = read(rows)
    assert len(said) == 312
    assert sum(verdict == "odd" for _, verdict in said) == 10


def test_every_row_another_length() -> None:
    """Rows of which no two have one length are matched all the same, over several blocks too."""
    make = cells(b' t="str"><v>4179100%d</v>', b' t="str"><v>no</v>')
    rows = [make(n + 2, n % 80 + 10).replace(b"no", b"n" + b"o" * n) for n in range(1500)]
    assert len(read(rows)) == 1500
