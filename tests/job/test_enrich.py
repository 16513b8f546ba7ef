"""A table comes back with every row in its place: compared with a dictionary and `csv`, which share no code with it."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import json
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import openpyxl
import pytest

from orchestrator.errors import ExitCode, UsageError
from orchestrator.job.enrich import enrich_file, enriched_stems
from orchestrator.job.enriched_table import EnrichReport
from orchestrator.report.printed import summary_text
from tests.job.conftest import Case

SINCE = dt.datetime(2024, 5, 1, 12)  # noqa: DTZ001 - cells know of no time zones
REGION = 'job.default_region="CH"'
REJECTS = (("abc", "not a number"), ("+41 79", "too short"), ("2024-05-01", "a date"))


@pytest.fixture
async def done(case: Case) -> Case:
    """Give a job of 40 numbers that has ended."""
    case.numbers(40)
    assert await case.run() == ExitCode.DONE
    return case


async def enriched(case: Case, path: Path, target: Path, *overrides: str) -> EnrichReport:
    case.overrides = list(overrides)
    stderr = io.StringIO()
    try:
        return await enrich_file(case.settings(), case.world(stderr), path, target)
    finally:
        case.said = stderr.getvalue()


def records_of(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter))


def verdicts(case: Case) -> dict[str, str]:
    with (case.directory / "master.csv").open(newline="") as file:
        return {row["Number"]: row["instagram"] for row in csv.DictReader(file)}


@dataclass
class Oracle:
    """What a table should have beside its rows: looked up in a dictionary, number by number."""

    verdicts: dict[str, str]
    first_rows: dict[str, int] = field(default_factory=dict)

    def cells(self, row: int, numbers: list[tuple[str, str]]) -> list[str]:
        """Return number, verdict and note; a cell's numbers come with the reason where there is none."""
        found, words, notes = [], [], []
        for number, reason in numbers:
            found.append(number)
            words.append(self.verdicts.get(number, ""))
            if number in self.first_rows:
                notes.append(f"duplicate of row {self.first_rows[number]}")
            elif number in self.verdicts:
                self.first_rows[number] = row
                notes.append("")
            else:
                notes.append("not in the job" if number else reason)
        return [joined(found), joined(words), joined(notes)]


def joined(values: list[str]) -> str:
    return "; ".join(values) if any(values) else ""


def cell(dice: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """Return a cell as people write it, and what it should give."""
    digits = f"4179{dice.randrange(60):07d}"
    number = f"+{digits}"
    other = f"+4179{dice.randrange(60):07d}"
    return dice.choice(
        [
            (number, [(number, "")]),
            (f"+41 79 {digits[4:7]} {digits[7:9]} {digits[9:]}", [(number, "")]),
            (f"0041-{digits[2:]}", [(number, "")]),
            (f"{number}; {other}", [(number, ""), (other, "")]),
            (f"{number} / {other}", [(number, ""), (other, "")]),
            ("", []),
            *((text, [("", reason)]) for text, reason in REJECTS),
        ]
    )


def table(dice: random.Random, rows: int) -> tuple[list[list[str]], list[list[list[tuple[str, str]]]]]:
    """Return rows with two columns of numbers, blank ones among them, and what each of these cells should give."""
    records: list[list[str]] = []
    wanted: list[list[list[tuple[str, str]]]] = []
    for row in range(rows):
        cells = [cell(dice), cell(dice)]
        if not cells[0][1] and not cells[1][1]:
            cells[0] = "", [("", "empty cell")]
        name = dice.choice([f"N {row}", "Müller, Ann", 'the "x"', "a;b", "two\nlines", "=1+1", "_x0041_", "007", ""])
        if dice.random() < 0.1:
            records.append([])
            wanted.append([])
            continue
        if not any([name, cells[0][0], cells[1][0]]):
            name = "somebody"
        records.append([name, cells[0][0], cells[1][0], *(["more"] if dice.random() < 0.2 else [])])
        wanted.append([numbers for _, numbers in cells])
    return records, wanted


@pytest.mark.parametrize("seed", range(12))
async def test_csv_files_of_every_kind(done: Case, seed: int) -> None:
    """Delimiters, quotes, encodings, line ends, titles, ragged and blank rows: all stays, with its cells beside it."""
    dice = random.Random(seed)  # noqa: S311 - a table for a test
    delimiter, encoding = dice.choice(",;\t|"), dice.choice(["utf-8", "utf-8-sig", "latin-1", "utf-16"])
    end, quotes_all = dice.choice(["\n", "\r\n"]), dice.random() < 0.5
    records, wanted = table(dice, dice.choice([5, 60, 400]))
    titles = [["Export of 2024"], []] if seed % 2 else []
    head = [*titles, ["Näme", "Mobile", "Home"]]
    text = io.StringIO(newline="")
    csv.writer(
        text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL
    ).writerows([*head, *records])
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_bytes(text.getvalue().encode(encoding))
    before = source.read_bytes()

    report = await enriched(done, source, target, 'job.column=["Mobile", "Home"]', REGION)

    assert source.read_bytes() == before
    kept = encoding if encoding == "latin-1" else "utf-8-sig"
    content = target.read_bytes()
    assert content.startswith(codecs.BOM_UTF8) == (encoding in {"utf-8-sig", "utf-16"})
    found = list(csv.reader(io.StringIO(content.decode(kept), newline=""), delimiter=delimiter))
    width = max(len(record) for record in (head[-1], *records))
    names = [f"{column}.{name}" for column in ("Mobile", "Home") for name in ("number", "instagram", "note")]
    assert found[: len(titles)] == titles
    assert found[len(titles)] == [*head[-1], *[""] * (width - 3), *names]
    oracle = Oracle(verdicts(done))
    rows = found[len(head) :]
    assert len(rows) == len(records)
    for row, (record, numbers, there) in enumerate(zip(records, wanted, rows, strict=True), len(head) + 1):
        if not record:
            assert there == []
            continue
        added = [value for cells in numbers for value in oracle.cells(row, cells)]
        assert there == [*record, *[""] * (width - len(record)), *added], row
    assert report.rows == sum(map(bool, records))


async def test_a_table_in_a_code_page(done: Case) -> None:
    """Its column is named in its own letters, and its bytes, those of the header among them, come back."""
    header = "\u6c0f\u540d,\u96fb\u8a71\u756a\u53f7".encode("cp932")
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_bytes(header + b"\nx,+41790000001\n")

    await enriched(done, source, target, 'job.column="\u96fb\u8a71\u756a\u53f7"', REGION)

    first, row = target.read_bytes().splitlines()
    assert first.startswith(header + b"," + header.partition(b",")[2] + b".number,")
    assert row.startswith(b"x,+41790000001,+41790000001,")


@pytest.mark.parametrize("ascii_rows", [0, 1, 5_000])
@pytest.mark.parametrize("end", ["\n", "\r"])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig"])
@pytest.mark.parametrize("column", ["Mobile", "T\u00e9l\u00e9phone"])
async def test_what_is_added_is_in_the_encoding_of_the_table(
    done: Case, ascii_rows: int, end: str, encoding: str, column: str
) -> None:
    """Wherever letters tell it first: in the header, in the first row, or far down in a table of plain ones."""
    (done.folder / "Z\u00fcrich.csv").write_text("Phone\n+41791112233\n")
    rows = [f"{column};x", *["+41791112233;y"] * ascii_rows, "+41791112233;M\u00fcller", "+41791112233;z"]
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_bytes(end.join(rows).encode(encoding))

    overrides = 'job.exclude=["Z\u00fcrich.csv"]', f'job.column="{column}"'
    report = await enriched(done, source, target, *overrides)

    content = target.read_bytes().decode(encoding)
    head, *below = csv.reader(io.StringIO(content, newline=""), delimiter=";")
    assert head == [column, "x", *(f"{column}.{name}" for name in ("number", "instagram", "note"))]
    assert [row[1] for row in below] == [*["y"] * ascii_rows, "M\u00fcller", "z"]
    assert {row[4] for row in below} == {"excluded by Z\u00fcrich.csv"}
    assert report.rows == ascii_rows + 2


@pytest.mark.parametrize(("own", "said"), [(b"M\xfcller", b"\xfc?.csv"), (b"Mueller", "\u00fc\u6771.csv".encode())])
async def test_what_the_encoding_of_a_table_lacks(done: Case, own: bytes, said: bytes) -> None:
    """A question mark stands for it in Windows-1252. A table of nothing but ASCII gets UTF-8."""
    (done.folder / "\u00fc\u6771.csv").write_text("Phone\n+41791112233\n")
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_bytes(b"Mobile,x\n+41791112233," + own)

    await enriched(done, source, target, 'job.exclude=["\u00fc\u6771.csv"]')

    assert target.read_bytes().endswith(own + b",+41791112233,,excluded by " + said)


async def test_a_late_row_that_is_wide_and_tells_the_encoding(done: Case) -> None:
    """Both are known when the table is begun anew; a bad byte further down makes no other encoding of it."""
    plain = b"+41791112233,y\n" * 5_000
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_bytes(b"Mobile,x\n" + plain + b"+41791112233,M\xfcller,,M\xc3\xbcller\n")
    (done.folder / "Z\u00fcrich.csv").write_text("Phone\n+41791112233\n")

    await enriched(done, source, target, 'job.exclude=["Z\u00fcrich.csv"]')

    first, *_, last = target.read_bytes().splitlines()
    assert first == b"Mobile,x,,,Mobile.number,Mobile.instagram,Mobile.note"
    assert last == b"+41791112233,M\xfcller,,M\xc3\xbcller,+41791112233,,excluded by Z\xfcrich.csv"


async def test_a_list_of_lines_comes_back_as_csv(done: Case) -> None:
    """The line is the one column; rows count below the header."""
    (done.folder / "more.txt").write_text('+41790000001\n\nabc, "d"\n+41790000001\n+41790009999\n')
    target = done.folder / "back.csv"

    await enriched(done, done.folder / "more.txt", target)

    word = verdicts(done)["+41790000001"]
    assert records_of(target) == [
        ["line", "line.number", "line.instagram", "line.note"],
        ["+41790000001", "+41790000001", word, ""],
        [],
        ['abc, "d"', "", "", "not a number"],
        ["+41790000001", "+41790000001", word, "duplicate of row 2"],
        ["+41790009999", "+41790009999", "", "not in the job"],
    ]


async def test_what_is_pending_says_so(case: Case) -> None:
    """Before anything was asked every number of the job is pending."""
    from orchestrator.job.run import RunOptions  # noqa: PLC0415

    case.overrides = ["sandbox.pace=0.001"]
    await case.run(RunOptions(submit_only=True))
    target = case.folder / "back.csv"
    await enriched(case, case.folder / "numbers.txt", target)
    _, *rows = records_of(target)
    assert {tuple(row[2:]) for row in rows} == {("pending", "pending")}


async def test_a_workbook_keeps_all_that_it_has(done: Case) -> None:
    """Formats, formulas, merged cells, filters, hidden sheets, and a format of an empty cell where cells are added."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Our people"])
    sheet.merge_cells("A1:C1")
    sheet.append(["Name", "Mobile", "Home"])
    sheet["B2"].font = openpyxl.styles.Font(bold=True)
    sheet["C2"].font = openpyxl.styles.Font(bold=True)
    sheet.append(["=1+1", 41790000001, "+41790000002 or +41790000003"])
    sheet.append(["_x005F_x0041_ & <b>", "+41790000001", None])
    sheet["F4"].fill = openpyxl.styles.PatternFill("solid", start_color="FF0000")
    sheet["A9"], sheet["B9"] = "late", "abc"
    sheet.merge_cells("C9:F9")  # what is added there would be hidden
    sheet.auto_filter.ref = "A2:C9"
    sheet.freeze_panes = "A3"
    sheet.column_dimensions["A"].width = 33
    hidden = book.create_sheet("Hidden")
    hidden.sheet_state = "hidden"
    hidden["A1"] = "secret"
    source, target = done.folder / "crm.xlsx", done.folder / "back.xlsx"
    book.save(source)

    await enriched(done, source, target, 'job.column=["Mobile", "Home"]', 'job.sheet="Sheet"', REGION)

    back = openpyxl.load_workbook(target)
    there = back["Sheet"]
    known = verdicts(done)
    rows = {row[0].row: [one.value for one in row] for row in there.iter_rows()}
    assert rows[1] == ["Our people", *[None] * 8]
    assert rows[2][3:] == [f"{c}.{n}" for c in ("Mobile", "Home") for n in ("number", "instagram", "note")]
    one, two, three = (known[f"+4179000000{n}"] for n in (1, 2, 3))
    assert rows[3] == [
        "=1+1", 41790000001, "+41790000002 or +41790000003",
        "+41790000001", one, None, "+41790000002; +41790000003", f"{two}; {three}", None,
    ]  # fmt: skip
    assert rows[4] == [
        "_x005F_x0041_ & <b>",
        "+41790000001",
        None,
        "+41790000001",
        one,
        "duplicate of row 3",
        *[None] * 3,
    ]
    assert rows[9] == ["late", "abc", None, None, None, "not a number", *[None] * 3]
    assert there["D2"].font.b
    assert there["D3"].alignment.indent == 1  # figures may stand on the right of the column before
    assert (
        there.column_dimensions["G"].width > there.column_dimensions["D"].width
    )  # several numbers are in a cell of it
    assert there.auto_filter.ref == "A2:C9"
    assert there.freeze_panes == "A3"
    assert there.column_dimensions["A"].width == 33
    assert [str(one) for one in there.merged_cells.ranges] == ["A1:C1"]
    assert there.dimensions == "A1:I9"
    assert back["Hidden"].sheet_state == "hidden"
    assert back["Hidden"]["A1"].value == "secret"


def with_sheet(path: Path, change: Callable[[str], bytes]) -> None:
    """Write the XML of a workbook's first sheet anew."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = change(parts[name].decode())
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)


async def test_a_sheet_that_nothing_can_be_added_to(done: Case) -> None:
    """In another encoding, which nobody writes and the reader takes: it comes back plain, with typed cells."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["Our people"])
    sheet.append(["Name", "Mobile", "Since", "Paid", "Share", "=1"])
    sheet.append(["Ann & <Bob>", 41790000001, SINCE, True, 12.5, None])
    sheet["E3"].number_format = "0.0%"
    sheet["A7"], sheet["B7"] = "_x005F_x0041_", "abc"
    book.create_sheet("Other")["A1"] = "stays"
    source, target = done.folder / "crm.xlsx", done.folder / "back.xlsx"
    book.save(source)
    with_sheet(source, lambda text: ("<?xml version='1.0' encoding='UTF-16'?>" + text).encode("utf-16"))

    report = await enriched(done, source, target, 'job.sheet="Sheet"', REGION)

    assert report.is_plain
    back = openpyxl.load_workbook(target)
    rows = {row[0].row: [one.value for one in row] for row in back["Sheet"].iter_rows()}
    word = verdicts(done)["+41790000001"]
    assert rows[1][0] == "Our people"
    assert rows[2][6:] == ["Mobile.number", "Mobile.instagram", "Mobile.note"]
    own = ["Ann & <Bob>", 41790000001, SINCE, True, 12.5, None]
    assert rows[3] == [*own, "+41790000001", word, None]
    assert rows[7] == ["_x005F_x0041_", "abc", *[None] * 6, "not a number"]
    assert back["Sheet"]["E3"].number_format == "0.0%"
    assert back["Other"]["A1"].value == "stays"


async def test_a_workbook_without_a_header(done: Case) -> None:
    """Its one column gets a name like that of a list of lines, and what is added too."""
    book = openpyxl.Workbook()
    for number in (41790000001, "+41790000002", "+41790000001"):
        book.worksheets[0].append([number])
    source, target = done.folder / "crm.xlsx", done.folder / "back.xlsx"
    book.save(source)

    report = await enriched(done, source, target, REGION)

    known = verdicts(done)
    one, two = known["+41790000001"], known["+41790000002"]
    assert (report.rows, report.is_plain) == (3, True)
    assert [list(row) for row in openpyxl.load_workbook(target).worksheets[0].iter_rows(values_only=True)] == [
        ["line", "line.number", "line.instagram", "line.note"],
        [41790000001, "+41790000001", one, None],
        ["+41790000002", "+41790000002", two, None],
        ["+41790000001", "+41790000001", one, "duplicate of row 2"],
    ]


async def test_torn_rows_of_a_csv_file(done: Case) -> None:
    """Short and long rows, stray quotes, a second header: each stays, and says of its numbers what a list does."""
    lines = [
        *("Name,Mobile,Note,Home", "Ann,+41790000001", "Bob,+41790000002,a,+41790000003,+41790000004"),
        *("Cy, Dee,+41790000005,x", "Name,Mobile,Note,Home", 'Eve,"+41790000006,b,', 'Fay,+41790000007,"c,'),
        *('Gil,+41790000008,d",', "Hal,,,+41790000009", "Ivy,+41790000010,,,", ",,,"),
    ]  # fmt: skip
    source, target = done.folder / "crm.csv", done.folder / "back.csv"
    source.write_text("\n".join(lines))

    report = await enriched(done, source, target, 'job.column=["Mobile", "Home"]', REGION)

    # Whoever opens the table sees a stray quote as a sign, and does not see it swallow what stands behind it.
    names, *rows = csv.reader(target.read_text().splitlines(), strict=True)
    own = [row.split(",") for row in lines[1:]]
    assert [row[: len(cells)] for row, cells in zip(rows, own, strict=True)] == own
    assert report.rows == len(rows) - 1
    first = names.index("Mobile.number")
    moved = "a row with more or fewer cells than the first one"
    assert {len(row) for row in rows[:-1]} == {len(names)}
    found = [row[first:] for row in rows]
    assert names[:5] == ["Name", "Mobile", "Note", "Home", ""]
    assert first == 5
    numbers = [[cell for cell in row if cell.startswith("+")] for row in found]
    wanted = [
        ["+41790000001"],
        [],
        [],
        [],
        ["+41790000006"],
        ["+41790000007"],
        ["+41790000008"],
        ["+41790000009"],
        ["+41790000010"],
        [],
    ]
    assert numbers == wanted
    assert moved in rows[1]
    assert "no number in its column, and seven digits or more in another one" in rows[2]
    assert "not a number" in rows[3]


async def test_a_parquet_file_gets_columns(done: Case) -> None:
    """Its own columns keep their types, nested ones too."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    own = {"phone": ["+41790000001", None, "+41790000001", "x"], "n": [1, 2, 3, 4], "l": [[1], [], None, [2, 3]]}
    source, target = done.folder / "crm.parquet", done.folder / "back.parquet"
    pq.write_table(pa.table(own), source)

    await enriched(done, source, target)

    back = pq.read_table(target)
    word = verdicts(done)["+41790000001"]
    assert {name: back[name].to_pylist() for name in own} == own
    assert back["n"].type == pa.int64()
    assert back["phone.number"].to_pylist() == ["+41790000001", None, "+41790000001", None]
    assert back["phone.instagram"].to_pylist() == [word, None, word, None]
    assert back["phone.note"].to_pylist() == [None, "empty cell", "duplicate of row 2", "not a number"]


@pytest.mark.parametrize("name", ["numbers.txt", "out/master.csv", "out/summary.json", "out", "nowhere/back.csv"])
async def test_what_is_never_written_over(done: Case, name: str) -> None:
    """Not an input, not what the job keeps, and no directory is made."""
    (done.folder / "crm.csv").write_text("Mobile\n+41790000001\n")
    before = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    with pytest.raises(UsageError):
        await enriched(done, done.folder / "crm.csv", done.folder / name)
    assert {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()} | {
        done.folder / "config.toml": b""
    } == before | {done.folder / "config.toml": b""}


async def test_inputs_come_back_with_the_master(case: Case) -> None:
    """`[output] enrich`: one table for each input, by other names where these are the same; purge removes them."""
    (case.folder / "more").mkdir()
    (case.folder / "more" / "numbers.csv").write_text("Mobile;x\n+41790000003;1\n+41791234567;2\n")
    case.config = case.config.replace('"numbers.txt"', '"numbers.txt", "more/numbers.csv"').replace(
        "[output]", "[output]\nenrich = true"
    )
    assert await case.run() == ExitCode.DONE
    made = case.directory / "enriched"
    assert sorted(path.name for path in made.iterdir()) == ["numbers (2).csv", "numbers.csv"]
    said = json.loads((case.directory / "summary.json").read_text())
    assert [one["path"] for one in said["enriched"]] == ["enriched/numbers.csv", "enriched/numbers (2).csv"]
    assert said["enriched"][1]["rows"] == 2
    assert f"wrote {made / 'numbers (2).csv'}, 2 rows" in summary_text(said, case.directory)
    rows = records_of(made / "numbers (2).csv", ";")
    known = verdicts(case)
    assert rows == [
        ["Mobile", "x", "Mobile.number", "Mobile.instagram", "Mobile.note"],
        ["+41790000003", "1", "+41790000003", known["+41790000003"], ""],
        ["+41791234567", "2", "+41791234567", known["+41791234567"], ""],
    ]


async def test_inputs_whose_names_are_counted_already(case: Case) -> None:
    """Each has a table of its own, although a browser has called one of them as the second of its name is called."""
    for place, name in enumerate(["a/list.csv", "b/list.csv", "b/list (2).csv"]):
        (case.folder / name).parent.mkdir(exist_ok=True)
        (case.folder / name).write_text(f"Mobile\n+4179000000{place}\n")
    case.config = case.config.replace('"numbers.txt"', '"a/list.csv", "b/list.csv", "b/list (2).csv"').replace(
        "[output]", "[output]\nenrich = true"
    )
    assert await case.run() == ExitCode.DONE
    said = json.loads((case.directory / "summary.json").read_text())
    written = [case.directory / one["path"] for one in said["enriched"]]
    assert [path.name for path in written] == ["list.csv", "list (3).csv", "list (2).csv"]
    assert [records_of(path)[1][0] for path in written] == [f"+4179000000{place}" for place in range(3)]


async def test_inputs_with_the_longest_names(case: Case) -> None:
    """Their tables are called shorter, as the file that becomes one needs room behind its name."""
    name = "\u00fc" * 124 + ".csv"
    for folder in "ab":
        (case.folder / folder).mkdir()
        (case.folder / folder / name).write_text("Mobile\n+41790000001\n")
    case.config = case.config.replace('"numbers.txt"', f'"a/{name}", "b/{name}"').replace(
        "[output]", "[output]\nenrich = true"
    )
    assert await case.run() == ExitCode.DONE
    written = sorted(path.name for path in (case.directory / "enriched").iterdir())
    assert written == ["\u00fc" * 114 + " (2).csv", "\u00fc" * 116 + ".csv"]


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["list.csv", "list.xlsx", "list.csv.gz"], ["list", "list (2)", "list (3)"]),
        (["list.csv", "LIST.csv", "list (2).csv"], ["list", "LIST (3)", "list (2)"]),
        (["list.csv", "list.csv", "List (2).csv", "list (3).csv"], ["list", "list (4)", "List (2)", "list (3)"]),
        (["a (2).csv", "a (2).csv", "a.csv", "a.csv"], ["a (2)", "a (2) (2)", "a", "a (3)"]),
        (["a.csv", "a.csv", "a (2).csv", "a (2).csv", "a.csv"], ["a", "a (3)", "a (2)", "a (2) (2)", "a (4)"]),
        (["Stra\u00dfe.csv", "STRASSE.csv"], ["Stra\u00dfe", "STRASSE (2)"]),
        (["M\u00fcller.csv", "Mu\u0308ller.csv"], ["M\u00fcller", "Mu\u0308ller (2)"]),
        ([".csv", "list.csv", "-"], ["list", "list (2)", "-"]),
        (["x" * 232 + ".parquet", "x" * 251 + ".csv"], ["x" * 232, "x" * 228 + " (2)"]),
        (["x" * 231 + "\u00fc.csv", "x" * 230 + "\udcff\udcff.csv"], ["x" * 231, "x" * 230 + "\udcff\udcff"]),
    ],
)
def test_names_of_tables(names: list[str], stems: list[str]) -> None:
    """No two are alike on any file system, and an input that is the first of its name keeps that."""
    assert enriched_stems(names) == stems


async def test_why_a_number_is_not_in_the_job(done: Case) -> None:
    """A list of `exclude`, and a type of line, unless there is a verdict. A list that is gone is a warning."""
    (done.folder / "dnc.csv").write_text("Phone\n+41790000001\n+41791112233\n")
    (done.folder / "crm.csv").write_text("Mobile\n+41790000001\n+41791112233\n+41446681800\n+41791112244\n")
    target = done.folder / "back.csv"
    await enriched(done, done.folder / "crm.csv", target, 'job.exclude=["dnc.csv"]', 'job.line_types=["mobile"]')
    _, *rows = records_of(target)
    word = verdicts(done)["+41790000001"]
    assert rows[0] == ["+41790000001", "+41790000001", word, ""]
    assert rows[1][2:] == ["", "excluded by dnc.csv"]
    assert rows[2][2] == ""
    assert "fixed_line" in rows[2][3]
    assert rows[3][2:] == ["", "not in the job"]

    await enriched(done, done.folder / "crm.csv", target, 'job.exclude=["gone.csv"]')
    assert "exclude_not_read" in done.said
    assert records_of(target)[2][2:] == ["", "not in the job"]
