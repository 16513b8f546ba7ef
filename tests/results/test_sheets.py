"""Two readers that share no code: what one of them can't read, the other one does."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence

import openpyxl
import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.results import sheets
from orchestrator.results.checked_zip import CheckedZip, ResultLimits
from orchestrator.results.columns import Wanted
from tests.fuzz.readers import Hand

LIMITS = ResultLimits.for_rows(10)
ROWS = [["Number", "instagram"], ["+41798284651", "wrong"], ["+41798284652", "R&D"]]
SAID = [(41798284651, "wrong"), (41798284652, "R&D")]

Pairs = list[tuple[int, object]]
Parts = Mapping[str, bytes]


def archive(content: bytes) -> CheckedZip:
    return CheckedZip(io.BytesIO(content), LIMITS)


def read(content: bytes) -> Pairs | None:
    tables = sheets.read_workbook(archive(content), LIMITS, Wanted("instagram"))
    if not tables:
        return None
    (table,) = tables
    return [pair for part in table for pair in zip(part.numbers.tolist(), part.verdicts, strict=True)]


class Plain(Hand):
    """A workbook whose parts are called as a test says."""

    def __init__(self, named: tuple[str, str, str], *, strict: bool = False) -> None:
        super().__init__(random.Random(0))  # noqa: S311 - the same workbook again
        self.named, self.strict, self.text, self.references = named, strict, "s", True

    def names(self) -> tuple[str, str, str]:
        return self.named


def respelled(content: bytes, alter: Callable[[str], str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(alter(name), old.read(name))
    return packed.getvalue()


USUAL = ("xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml")
OTHER = ("xl/workbook22.xml", "xl/worksheets/w.xml", "xl/strings9.xml")


@pytest.mark.parametrize("alter", [str, str.upper, str.lower])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("named", [USUAL, OTHER])
def test_names_and_forms(named: tuple[str, str, str], alter: Callable[[str], str], *, strict: bool) -> None:
    """Parts may have any name that their relations say, in any case, in both forms of the standard."""
    assert read(respelled(Plain(named, strict=strict).book(ROWS), alter)) == SAID


def stumbling(error: BaseException) -> Callable[[Parts, int], Iterator[Sequence[Sequence[object]]]]:
    def reader(_parts: Parts, _rows: int) -> Iterator[Sequence[Sequence[object]]]:
        yield ROWS
        raise error

    return reader


@pytest.mark.parametrize("error", [ValueError(), KeyError(), type("PanicException", (BaseException,), {})()])
@pytest.mark.parametrize("reader", ["by_calamine", "by_openpyxl"])
def test_one_that_stumbles(reader: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one of them raises, at whichever sheet, the other reads the whole, and no row stands twice."""
    monkeypatch.setattr(sheets, reader, stumbling(error))
    assert read(Plain(USUAL).book(ROWS)) == SAID


def test_both_stumble(monkeypatch: pytest.MonkeyPatch) -> None:
    """What neither can read is damaged, and the message is that of the first."""
    for reader, error in (("by_calamine", ValueError()), ("by_openpyxl", KeyError())):
        monkeypatch.setattr(sheets, reader, stumbling(error))
    with pytest.raises(DamagedResultError, match="ValueError"):
        read(Plain(USUAL).book(ROWS))


def test_no_table_in_it() -> None:
    """A workbook without the columns is not damaged: it has none."""
    assert read(Plain(USUAL).book([["a", "b"], ["c", "d"]])) is None


def parts_of(*rows: Sequence[object]) -> dict[str, bytes]:
    book = openpyxl.Workbook()
    for row in rows:
        book["Sheet"].append(list(row))
    packed = io.BytesIO()
    book.save(packed)
    opened = archive(packed.getvalue())
    return {name: opened.read(name) for name in opened.names}


def test_rows_that_are_made_up() -> None:
    """The second reader gives every row up to the last one; that ends where a chunk can need no more."""
    parts = parts_of(*ROWS)
    parts[USUAL[1]] = parts[USUAL[1]].replace(b'<row r="3"', b'<row r="999999999999"')
    with pytest.raises(DamagedResultError, match="far outside"):
        list(map(list, sheets.by_openpyxl(parts, LIMITS.rows)))


def test_errors_are_empty() -> None:
    """A cell that holds an error says nothing, to both readers."""
    parts = parts_of(*ROWS, ["+41798284653", "#N/A"])
    for reader in (sheets.by_calamine, sheets.by_openpyxl):
        (found,) = [[list(row) for row in sheet] for sheet in reader(parts, LIMITS.rows)]
        assert found == [*ROWS, ["+41798284653", ""]]
