"""The *File* row of the table of faults: every way a result file may be wrong or odd, and what the program does.

The README links this table.
"""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import openpyxl
import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.results import ResultReport

Table = list[list[object]]
Make = Callable[[Table], bytes]

REFUSED = "refused"
"""The file counts as damaged: it is fetched again a few times, then put aside, and its task has failed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: `make` gives the file; `does` is `REFUSED` with a reason, or what the verdicts become.

    `counts` None means that every verdict is as without the fault.
    """

    name: str
    make: Make
    reason: str = ""
    counts: dict[str, int] | None = None
    foreign: int = 0


def book(*sheets: Table) -> bytes:
    """Return a workbook with these sheets."""
    workbook = openpyxl.Workbook(write_only=True)
    for place, rows in enumerate(sheets):
        sheet = workbook.create_sheet(f"S{place}")
        for row in rows:
            sheet.append(row)
    packed = io.BytesIO()
    workbook.save(packed)
    return packed.getvalue()


def packed(members: dict[str, bytes]) -> bytes:
    """Return a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def text(rows: Table, delimiter: str = ",") -> bytes:
    """Return csv."""
    return "".join(delimiter.join("" if c is None else str(c) for c in row) + "\r\n" for row in rows).encode()


def sheet(rows: Table, change: Callable[[bytes], bytes], part: str = "xl/worksheets/sheet1.xml") -> bytes:
    """Return a workbook of which one part was changed."""
    with zipfile.ZipFile(io.BytesIO(book(rows))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = change(members[part])
    assert changed != members[part]
    return packed(members | {part: changed})


def zipped_as(name: str, *, mode: int = 0) -> Make:
    """Return a maker of zips with a second member of that name."""

    def make(rows: Table) -> bytes:
        file = io.BytesIO(packed({"all.csv": text(rows)}))
        with zipfile.ZipFile(file, "a") as archive:
            member = zipfile.ZipInfo("?" * len(name))
            member.external_attr = mode << 16
            archive.writestr(member, b"x")
        return file.getvalue().replace(b"?" * len(name), name.encode())

    return make


def entry(offset: int, value: bytes) -> Make:
    """Return a maker of zips with bytes of the directory's first entry exchanged."""

    def make(rows: Table) -> bytes:
        content = bytearray(packed({"all.csv": text(rows), "b.csv": b"x" * 50}))
        place = content.index(b"PK\x01\x02") + offset
        content[place : place + len(value)] = value
        return bytes(content)

    return make


def recell(change: Callable[[str, str], list[object]], header: list[object] | None = None) -> Callable[[Table], Table]:
    """Return a change of every row below the header."""

    def make(rows: Table) -> Table:
        return [header or rows[0], *(change(str(number), str(word)) for number, word in rows[1:])]

    return make


def words(yes: str, no: str) -> Make:
    """Return a maker of csv with other words for yes and no."""
    return lambda rows: text(recell(lambda number, word: [number, {"yes": yes, "no": no}.get(word, word)])(rows))


def overlapping(rows: Table) -> bytes:
    """Return a zip whose second member points at the data of the first."""
    content = packed({"all.csv": text(rows), "zll.csv": text(rows)}).replace(b"zll.csv", b"all.csv")
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)
    return content[: second + 42] + bytes(4) + content[second + 46 :].replace(b"all.csv", b"zll.csv", 1)


def formulas(rows: Table) -> bytes:
    """Return a workbook whose verdicts are formulas with the values that they had when it was saved."""
    return sheet(
        rows,
        lambda xml: re.sub(
            rb' t="inlineStr"><is><t>(yes|no)</t></is>', rb' t="str"><f>IF(A1="","no","\1")</f><v>\1</v>', xml
        ),
    )


def uncalculated(rows: Table) -> bytes:
    """Return a workbook whose verdicts are formulas that nobody calculated."""
    return sheet(rows, lambda xml: re.sub(rb' t="inlineStr"><is><t>(?:yes|no)</t></is>', rb"><f>1+1</f>", xml))


def beside(rows: Table, put: Callable[[zipfile.ZipFile], None]) -> bytes:
    """Return a zip of a table, of its last row in the file that is looked at last, and of what else is put into it."""
    file = io.BytesIO(packed({"all.csv": text(rows[:-1]), "the rest.txt": text([rows[0], rows[-1]])}))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        put(archive)
    return file.getvalue().replace(b"a?.csv", b"a\0.csv")


def wrong_checksum(archive: zipfile.ZipFile) -> None:
    archive.writestr("logo.png", b"x" * 50)
    archive.writestr("readme.csv", b"x" * 50)
    for name in ("logo.png", "readme.csv"):
        archive.getinfo(name).CRC ^= 1


def encrypted(archive: zipfile.ZipFile) -> None:
    archive.writestr("notes.txt", b"x" * 50)
    archive.getinfo("notes.txt").flag_bits |= 1


def of_one_name(archive: zipfile.ZipFile) -> None:
    archive.writestr("readme.txt", b"x")
    archive.writestr("README.txt", b"y")


def link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("latest.csv")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, b"all.csv")


def pictures(count: int, size: int) -> Callable[[zipfile.ZipFile], None]:
    """Return what puts pictures into a zip, which deflate does not make smaller."""
    content = random.Random(1).randbytes(size)  # noqa: S311 - the same bytes again

    def put(archive: zipfile.ZipFile) -> None:
        for place in range(count):
            archive.writestr(f"avatars/{place}.png", content, zipfile.ZIP_STORED)

    return put


BESIDE: dict[str, Callable[[zipfile.ZipFile], None]] = {
    "wrong CRCs": wrong_checksum,
    "an odd method": lambda archive: archive.writestr("notes.txt", b"x" * 50, zipfile.ZIP_BZIP2),
    "hundreds of times its size": lambda archive: archive.writestr("log.txt", bytes(5_000_000)),
    "an encrypted file": encrypted,
    "two of one name": of_one_name,
    "a link": link,
    "a name with NUL": lambda archive: archive.writestr("a?.csv", b"x"),
    "as many pictures as members are looked at in any zip": pictures(1_000, 10),
}


def far_beside(rows: Table) -> bytes:
    """Return a workbook whose second sheet has one cell in the last row that there is."""
    with zipfile.ZipFile(io.BytesIO(book(rows, [["Info"]]))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    info = "xl/worksheets/sheet2.xml"
    return packed(members | {info: members[info].replace(b'"1"', b'"1048576"').replace(b'"A1"', b'"A1048576"')})


FAULTS = [
    # Size and structure of a zip
    Fault(
        "inflates to more than the chunk can need",
        lambda _: packed({"all.csv": random.Random(1).randbytes(17 << 20)}),  # noqa: S311 - the same bytes again
        "declares more",
    ),
    Fault("inflates to hundreds of times its size", lambda _: packed({"all.csv": bytes(9 << 20)}), "200 times"),
    Fault("inflates to more than it declares", entry(24, struct.pack("<L", 10)), "not the length and the checksum"),
    Fault("thousands of members", lambda _: packed({f"{i}.csv": b"" for i in range(5001)}), "5,001 members"),
    Fault("overlapping entries", overlapping, "overlap"),
    Fault("wrong CRC", entry(16, b"\1\2\3\4"), "the checksum"),
    Fault("encrypted", entry(8, b"\1\0"), "encrypted"),
    Fault("packed by an odd method", entry(10, b"\x0c\0"), "method 12"),
    Fault("cut short", lambda rows: book(rows)[:-30], "cut short"),
    Fault("something behind its end", lambda rows: book(rows) + b"?", "behind its end"),
    Fault("something before its start", lambda rows: b"PK\0\0" + book(rows), "not where it declares"),
    # Names
    Fault("absolute name", zipped_as("/etc/all.csv")),
    Fault("name with a drive", zipped_as("C:all.csv")),
    Fault("name with ..", zipped_as("../all.csv")),
    Fault("name with a backslash", zipped_as("a\\b.csv")),
    Fault("name with NUL", lambda rows: packed({"a?.csv": text(rows)}).replace(b"a?.csv", b"a\0.csv"), "unsafe name"),
    Fault("doubled name", zipped_as("ALL.csv"), "two members of one name"),
    Fault("symbolic link", entry(38, struct.pack("<L", 0o120777 << 16)), "a link or a device"),
    # Workbooks
    Fault(
        "DOCTYPE",
        lambda rows: sheet(rows, lambda xml: b'<!DOCTYPE x [<!ENTITY a "b">]>' + xml),
        "DOCTYPE",
    ),
    Fault(
        "DOCTYPE in another part",
        lambda rows: sheet(rows, lambda xml: b"<!DOCTYPE x>" + xml, "xl/theme/theme1.xml"),
        "DOCTYPE",
    ),
    Fault(
        "cell far outside",
        lambda rows: sheet(
            rows, lambda xml: xml.replace(b"</sheetData>", b'<row><c r="XFD1048576"/></row></sheetData>')
        ),
        "far outside",
    ),
    Fault(
        "row far outside",
        lambda rows: sheet(rows, lambda xml: re.sub(rb'(<row r="|<c r="[AB])%d"' % len(rows), rb'\g<1>9401"', xml)),
        "far outside",
    ),
    Fault(
        "dimension too small",
        lambda rows: sheet(rows, lambda xml: xml.replace(b"<sheetD", b'<dimension ref="A1:B5"/><sheetD')),
    ),
    Fault(
        "dimension far too large",
        lambda rows: sheet(rows, lambda xml: xml.replace(b"<sheetD", b'<dimension ref="A1:XFD1048576"/><sheetD')),
    ),
    Fault("formula cells with values", formulas),
    Fault("formula cells without values", uncalculated, counts={"unanswered": 400}),
    Fault("several sheets, one table", lambda rows: book([["About"], ["made up"]], rows)),
    Fault("several sheets, each with a part", lambda rows: book(rows[:200], [rows[0], *rows[200:]])),
    Fault("several sheets, one of them empty", lambda rows: book([], rows, [])),
    Fault("empty sheet", lambda _: book([]), "no table with a column"),
    Fault("only a header", lambda rows: book(rows[:1]), "no number of the chunk"),
    Fault("xls of before 2007, or encrypted xlsx", lambda _: b"\xd0\xcf\x11\xe0" + bytes(999), "encrypted workbook"),
    # Columns and cells
    Fault("missing verdict column", lambda rows: text([row[:1] for row in rows]), "no table with a column"),
    Fault("missing number column", lambda rows: book([row[1:] for row in rows]), "no table with a column"),
    Fault("yes and no in Spanish", words("S\u00ed", "No")),
    Fault("yes and no in Turkish", words("evet", "hay\u0131r")),
    Fault("yes and no as truth", words("TRUE", "FALSE")),
    Fault("yes and no as digits", words("1", "0")),
    Fault("other words stay what they are", words("ban", "N/A"), counts={"ban": 134, "n/a": 266}),
    Fault("words of ours are marked", words("failed", "no"), counts={"vendor:failed": 134, "no": 266}),
    Fault(
        "numbers in the place of verdicts",
        lambda rows: text(recell(lambda number, _: [number, number[1:]])(rows)),
        "a verdict is a telephone number",
    ),
    Fault("numbers as whole cells", lambda rows: book(recell(lambda number, word: [int(number), word])(rows))),
    Fault("numbers as floats", lambda rows: book(recell(lambda number, word: [float(number), word])(rows))),
    Fault("numbers as floats in text", lambda rows: text(recell(lambda number, word: [f"{number}.0", word])(rows))),
    Fault(
        "numbers rounded to a float's notation",
        lambda rows: text(recell(lambda number, word: [f"{float(number):.4E}", word])(rows)),
        "no number of the chunk",
    ),
    Fault("lost plus", lambda rows: text(recell(lambda number, word: [number[1:], word])(rows))),
    Fault("00 for plus", lambda rows: text(recell(lambda number, word: [f"00{number[1:]}", word])(rows))),
    Fault("other order", lambda rows: book([rows[0], *reversed(rows[1:])])),
    Fault("other column order", lambda rows: book([row[::-1] for row in rows])),
    Fault("semicolons", lambda rows: text(rows, ";")),
    Fault("missing rows", lambda rows: text(rows[:-100]), counts={"unanswered": 100, "no": 200, "yes": 100}),
    Fault("foreign rows", lambda rows: text([*rows, ["+12025550123", "yes"], ["total", "400"]]), foreign=2),
    Fault(
        "mostly foreign rows",
        lambda rows: text([*rows[:2], ["+12025550123", "yes"], ["+12025550124", "yes"]]),
        "mostly foreign",
    ),
    Fault("doubled rows that agree", lambda rows: text([*rows, *rows[1:]])),
    Fault(
        "doubled rows that contradict each other",
        lambda rows: text([*rows, [rows[1][0], "no"]]),
        counts={"unanswered": 1, "no": 266, "yes": 133},
    ),
    # No result at all
    Fault("empty file", lambda _: b"", "no table with a column"),
    Fault("a page that says sorry", lambda _: b"<html><body>expired</body></html>", "no table with a column"),
    Fault("no text", lambda rows: text(rows).replace(b"yes", b"\xff\xfe"), counts={"\u00ff\u00fe": 134, "no": 266}),
    Fault(
        "a million words",
        lambda rows: text(recell(lambda number, _: [number, f"w{number[-9:]}"])(rows)),
        "different words",
    ),
    # Beside the verdicts
    *(Fault(f"{name} beside the table", partial(beside, put=put)) for name, put in BESIDE.items()),
    Fault("several sheets, a cell of one far outside", far_beside),
    Fault(
        "a million words in another table",
        lambda rows: packed(
            {
                "all.csv": text(rows[:-1]),
                "detail.csv": text([rows[0], *([rows[1 + i % (len(rows) - 1)][0], f"w{i}"] for i in range(400))]),
                "result.csv": text([rows[0], rows[-1]]),
            }
        ),
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(
    fault: Fault,
    rows: Table,
    expected: list[str],
    check: Callable[..., ResultReport],
    verdicts: Callable[[], list[str]],
    tmp_path: Path,
) -> None:
    """Each fault is refused with its reason and leaves no verdicts, or changes just the verdicts that it must."""
    content = fault.make(rows)
    if fault.reason:
        with pytest.raises(DamagedResultError, match=fault.reason):
            check(content)
        assert not (tmp_path / "verdicts.bin").exists()
        return
    report = check(content)
    assert report.foreign == fault.foreign
    if fault.counts is None:
        assert verdicts() == expected
    else:
        assert report.counts == fault.counts


def test_every_name_stands_once() -> None:
    """The table's names tell its rows apart."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
