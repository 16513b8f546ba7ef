"""Draw tables at random, write them as many programs would, and compare what every reader makes of them.

    python -m tests.fuzz.readers --seeds 20_000 --from 0

For every seed words, headers, kinds of cells and a writer are drawn: words of random letters, of several scripts, that
may begin with any letter, with characters that XML, csv and Excel escape. What was drawn is known, so the rule is:

- both readers of workbooks, and both ways of reading csv, give the numbers and the words that were drawn;
- so does the check as a whole, with every safeguard on.

A seed that breaks the rule is printed with the command that replays it.
"""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape

import openpyxl
import xlsxwriter  # type: ignore[import-untyped]
from openpyxl.cell import WriteOnlyCell

from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, csv_tables, sheets
from orchestrator.results.batches import Table, read_rows
from orchestrator.results.check import check_result
from orchestrator.results.checked_zip import CheckedZip, ResultLimits
from orchestrator.results.columns import NUMBER_HEADERS, Wanted
from orchestrator.results.words import OddWordError, verdict
from tests.fuzz.results import Fault, Tally, campaign, main

LETTERS = (
    *("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "wrcstvnfi", "àéîõüßłşğı", "абвгдежзияёў", "αβγδλω"),
    *("אבגדש", "ابتثج", "कखगम", "กขคง", "是否有无号码手机", "あいうカキ", "가나다라", "\U0001f600\U0001f0a1\U00010348"),
)
SPECIAL = (
    "&",
    "<",
    ">",
    '"',
    "'",
    "_x0041_",
    "_x00e9_",
    " ",
    "  ",
    "-",
    "/",
    ".",
    ",",
    ";",
    "=",
    "#N/A",
    "]]>",
    "\u00a0",
)
USUAL_BOOK = "xl/workbook.xml"
SHORTEST_NAME = 4
"""Letters of a platform: shorter ones would be drawn for other columns too."""
LIMITS = ResultLimits.for_rows(100)

Row = Sequence[object]
Pairs = list[tuple[int, str]]


class Drawn(NamedTuple):
    """A table as it was drawn: its rows with the header among them, and what they say."""

    wanted: Wanted
    rows: list[list[object]]
    said: Pairs


# --- drawing --------------------------------------------------------------------------------------------------------


def word_of(chance: random.Random) -> str:
    """Return a word that may stand in a column of verdicts."""
    letters = chance.choice(LETTERS)
    parts = [chance.choice(letters) for _ in range(chance.choice((1, 2, 3, 5, 12)))]
    if chance.random() < 0.3:
        parts.insert(chance.randrange(len(parts) + 1), chance.choice(SPECIAL))
    return "".join(parts)


def drawn(chance: random.Random) -> Drawn:
    """Return a table of up to sixty rows."""
    platform = next(word for word in iter(lambda: word_of(chance), "") if sum(map(str.isalnum, word)) >= SHORTEST_NAME)
    words: list[object] = [*(word_of(chance) for _ in range(chance.randint(1, 5))), "yes", "no", ""]
    if chance.random() < 0.3:
        words += [True, False, 1, 0]
    others = [word_of(chance) for _ in range(chance.randint(0, 3))]
    header: list[object] = [chance.choice(sorted(NUMBER_HEADERS)), _altered(chance, platform), *others]
    order = chance.sample(range(len(header)), len(header))
    number_form = chance.choice((str, int, float, "+{}".format, "00{}".format, "'+{}".format, " +{} ".format))
    rows: list[list[object]] = []
    said: Pairs = []
    for number in chance.sample(range(41_760_000_000, 41_799_999_999), chance.randint(1, 60)):
        word = chance.choice(words)
        rows.append([number_form(number), word, *(chance.choice((*words, number, 2.5)) for _ in others)])
        said.append((number, verdict(word)))
    titles: list[list[object]] = [[word_of(chance)] for _ in range(chance.choice((0, 0, 0, 1, 5)))]
    table = [*titles, *([row[place] for place in order] for row in (header, *rows))]
    return Drawn(Wanted(platform), table, said)


def _altered(chance: random.Random, name: str) -> str:
    """Return a name as vendors alter it; some letters have other ones in upper case, which are not the same."""
    upper = name.upper() if name.upper().casefold() == name.casefold() else name
    return chance.choice((name, upper, f" {name}", f"{name}_"))


# --- writing --------------------------------------------------------------------------------------------------------


def by_openpyxl(chance: random.Random, rows: Iterable[Row]) -> bytes:
    book = openpyxl.Workbook(write_only=chance.random() < 0.5)
    sheet = book.create_sheet("S")
    for row in rows:
        cells = []
        for value in row:
            cell: Any = WriteOnlyCell(sheet, value if isinstance(value, int | float) else None)
            if isinstance(value, str) and value:  # as text, whatever it looks like
                cell._value, cell.data_type = escaped(value), "s"
            cells.append(cell)
        sheet.append(cells)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def escaped(text: str) -> str:
    """Return a text as OOXML has it: `_x0041_` means A there."""
    return re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", text)


def by_xlsxwriter(chance: random.Random, rows: Iterable[Row]) -> bytes:
    packed = io.BytesIO()
    with xlsxwriter.Workbook(packed, {"constant_memory": chance.random() < 0.5}) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(place, column, cell)
                else:
                    sheet.write(place, column, cell)
    return packed.getvalue()


class Hand:
    """Writes a workbook by hand, in ways that are allowed and that few programs use; each is drawn once a book."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.prefix = chance.choice(("", "", "", "x:", "main:"))
        self.strict = chance.random() < 0.2
        self.references = chance.random() < 0.7
        self.quote = chance.choice('""""' + "'")
        self.space = chance.choice(("", "", " ", "\n  "))
        self.text = chance.choice(("inlineStr", "s", "str", "mixed"))
        self.float = chance.choice(("{}", "{}.0", "{:.10E}"))
        self.first = chance.choice((0, 0, 1, 3))
        self.shared: dict[str, int] = {}

    def tag(self, name: str, inside: str = "", /, **attributes: str) -> str:
        """Return an element with its attributes in some order."""
        items = list(attributes.items())
        if self.chance.random() < 0.2:
            self.chance.shuffle(items)
        said = "".join(f" {name}={self.quote}{value}{self.quote}" for name, value in items)
        name = self.prefix + name
        return f"<{name}{said}>{inside}</{name}>" if inside else f"<{name}{said}{self.space}/>"

    def escaped(self, text: str) -> str:
        """Return a text as XML has it, at times with more escapes than it needs."""
        text = escape(escaped(text))
        if text[:1] not in {"", "&", "_"} and self.chance.random() < 0.1:
            return f"&#{ord(text[0])};{text[1:]}"
        return text

    def string(self, text: str) -> str:
        """Return what is in an item of shared strings, or in an inline one."""
        if len(text) > 1 and self.chance.random() < 0.1 and "_" not in text:
            return "".join(self.tag("r", self._t(part)) for part in (text[:1], text[1:]))
        return self._t(text)

    def _t(self, text: str) -> str:
        return self.tag("t", self.escaped(text), **{"xml:space": "preserve"})

    def cell(self, value: object, at: str) -> str:
        """Return a cell."""
        kind, inside = self.content(value)
        where = {"r": at} if self.references else {}
        if not inside and self.references and self.chance.random() < 0.5:
            return ""
        return self.tag("c", inside, **where, **({} if kind == "n" else {"t": kind}))

    def content(self, value: object) -> tuple[str, str]:
        """Return the type of a cell, and what is in it."""
        if isinstance(value, bool):
            return "b", self.tag("v", str(int(value)))
        if isinstance(value, int | float):
            return "n", self.tag("v", self.float.format(value) if isinstance(value, int) else repr(value))
        text = str(value)
        kind = self.chance.choice(("inlineStr", "s", "str")) if self.text == "mixed" else self.text
        if not text and self.chance.random() < 0.5:
            return "n", ""
        if kind == "s":
            return kind, self.tag("v", str(self.shared.setdefault(text, len(self.shared))))
        if kind == "str":
            return kind, self.tag("f", "1+1") + self.tag("v", self.escaped(text))
        return kind, self.tag("is", self.string(text))

    def sheet(self, rows: Iterable[Row]) -> str:
        """Return a sheet."""
        body = ""
        for line, row in enumerate(rows, 1 + (self.first if self.references else 0)):
            cells = "".join(
                self.cell(value, f"{chr(ord('A') + column)}{line}")
                for column, value in enumerate(row, self.first if self.references else 0)
            )
            body += self.tag("row", cells, **({"r": str(line)} if self.references else {})) + self.space
        size = self.chance.choice(
            ("", "", self.tag("dimension", ref="A1:B5"), self.tag("dimension", ref="A1:XFD1048576"))
        )
        return f"{size}{self.tag('sheetData', body)}"

    def book(self, rows: Iterable[Row]) -> bytes:
        """Return the workbook."""
        base = "http://purl.oclc.org/ooxml" if self.strict else "http://schemas.openxmlformats.org"
        year = "" if self.strict else "/2006"
        office = f"{base}/officeDocument{year}/relationships"
        declared = {f"xmlns{':' if self.prefix else ''}{self.prefix[:-1]}": f"{base}/spreadsheetml{year}/main"}
        package = "http://schemas.openxmlformats.org/package/2006"
        kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
        main, sheet, strings = self.names()
        inside = self.sheet(rows)
        items = "".join(self.tag("si", self.string(text)) for text in self.shared)

        def links(*targets: tuple[str, str]) -> str:
            said = "".join(
                f'<Relationship Id="r{n}" Type="{office}/{kind}" Target="/{target}"/>'
                for n, (kind, target) in enumerate(targets)
            )
            return f'<Relationships xmlns="{package}/relationships">{said}</Relationships>'

        types = "".join(
            f'<Override PartName="/{part}" ContentType="{kinds}.{kind}+xml"/>'
            for part, kind in ((main, "sheet.main"), (sheet, "worksheet"), (strings, "sharedStrings"))
        )
        folder, name = main.rsplit("/", 1)
        parts = {
            "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>{types}</Types>',
            "_rels/.rels": links(("officeDocument", main)),
            main: self.tag(
                "workbook",
                self.tag("sheets", self.tag("sheet", name="S", sheetId="1", **{"r:id": "r0"})),
                **declared,
                **{"xmlns:r": office},
            ),
            f"{folder}/_rels/{name}.rels": links(("worksheet", sheet), ("sharedStrings", strings)),
            sheet: self.tag("worksheet", inside, **declared),
            strings: self.tag("sst", items, **declared) if items else self.tag("sst", **declared),
        }
        head = self.chance.choice(("", '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n', "\ufeff"))
        alter = self.chance.choice((str, str, str, str.upper, str.lower))  # names are the same in any case
        return zipped(self.chance, {alter(name): (head + part).encode() for name, part in parts.items()})

    def names(self) -> tuple[str, str, str]:
        """Return the names of the workbook, of its sheet and of its strings: relations say them, and any will do."""
        if self.chance.random() < 0.8:
            return USUAL_BOOK, "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
        book = self.chance.choice((USUAL_BOOK, "xl/workbook22.xml", "book/main.xml"))
        return book, self.chance.choice(("xl/worksheets/Sheet1.xml", "s/w.xml")), "xl/sharedStrings2.xml"


def by_hand(chance: random.Random, rows: Iterable[Row]) -> bytes:
    return Hand(chance).book(rows)


def zipped(chance: random.Random, parts: dict[str, bytes]) -> bytes:
    """Return a zip, at times in another order or as a writer of streams has it."""
    packed = io.BytesIO()
    items = list(parts.items())
    if chance.random() < 0.2:
        chance.shuffle(items)
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, part in items:
            with archive.open(name, "w", force_zip64=chance.random() < 0.1) as member:
                member.write(part)
    return packed.getvalue()


def as_csv(chance: random.Random, rows: Iterable[Row]) -> bytes:
    """Return csv, in one of the forms that programs write."""
    delimiter = chance.choice(",;\t|")
    text = io.StringIO()
    end = chance.choice(("\n", "\r\n"))
    csv.writer(text, delimiter=delimiter, quoting=chance.choice(QUOTING), lineterminator=end).writerows(
        [str(cell).upper() if isinstance(cell, bool) else cell for cell in row] for row in rows
    )
    told = chance.choice(("", "", f"sep={delimiter}{end}"))
    return (told + text.getvalue()).encode(chance.choice(("utf-8", "utf-8-sig", "utf-16")))


QUOTING: tuple[Literal[0, 1, 2], ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
WORKBOOKS = (by_openpyxl, by_xlsxwriter, by_hand, by_hand)


# --- reading --------------------------------------------------------------------------------------------------------


def pairs(table: Table | None) -> Pairs | None:
    """Return what a reader found, without rows that are blank."""
    if table is None:
        return None
    found = [
        (number, verdict(cell))
        for batch in table
        for number, cell in zip(batch.numbers.tolist(), batch.verdicts, strict=True)
    ]
    return [pair for pair in found if pair[0]]


Reader = Callable[[bytes, Wanted], Table | None]


def _sheets(read: Callable[..., Iterable[Iterable[Row]]]) -> Reader:
    def reader(content: bytes, wanted: Wanted) -> Table | None:
        archive = CheckedZip(io.BytesIO(content), LIMITS)
        parts = {name: archive.read(name) for name in archive.names}
        return next((t for sheet in read(parts, LIMITS.rows) if (t := read_rows(sheet, wanted)) is not None), None)

    return reader


def _text(read: Callable[[str, str], Iterable[Row]]) -> Reader:
    def reader(content: bytes, wanted: Wanted) -> Table | None:
        text = next(iter(csv_tables.texts(content)))
        told = csv_tables._SEPARATOR_LINE.match(text)
        text = text if told is None else text[told.end() :]
        for delimiter in told[1] if told else ",;\t|":
            with suppress(csv.Error):
                if (table := read_rows(read(text, delimiter), wanted)) is not None:
                    return table
        return None

    return reader


SHEET_READERS: dict[str, Reader] = {"calamine": _sheets(sheets.by_calamine), "openpyxl": _sheets(sheets.by_openpyxl)}
TEXT_READERS: dict[str, Reader] = {"strict": _text(csv_tables._records), "lines": _text(csv_tables._lines)}


def whole_check(folder: Path, content: bytes, table: Drawn) -> Pairs:
    """Return the verdicts that the check writes, as drawn."""
    (folder / "result").write_bytes(content)
    (folder / "chunk.txt").write_text("".join(f"+{number}\n" for number, _ in table.said))
    check = ResultCheck(folder / "result", folder / "chunk.txt", folder / "v.bin", table.wanted.platform, (), "t", None)
    (folder / "v.bin").write_bytes(check_result(check)[1])
    written = read_verdicts(folder / "v.bin")
    return [(number, written.words[code]) for (number, _), code in zip(table.said, written.codes, strict=True)]


def judge(seed: int, folder: Path) -> str:
    """Return what broke the rule, if anything."""
    chance = random.Random(seed)  # noqa: S311 - by seed
    try:
        table = drawn(chance)
    except OddWordError:
        return ""
    writer = chance.choice((*WORKBOOKS, as_csv))
    with warnings.catch_warnings(action="ignore"):
        content = writer(chance, table.rows)
    found: dict[str, object] = {}
    for name, reader in (TEXT_READERS if writer is as_csv else SHEET_READERS).items():
        try:
            found[name] = pairs(reader(content, table.wanted))
        except Exception as error:  # noqa: BLE001 - what any reader raises is what is looked for
            found[name] = f"{type(error).__name__}: {error}"
    try:
        found["check"] = whole_check(folder, gzip.compress(content) if chance.random() < 0.1 else content, table)
    except Exception as error:  # noqa: BLE001 - see above
        found["check"] = f"{type(error).__name__}: {error}"
    if b"xl/sharedstrings2.xml" in content.lower():
        del found["calamine"]  # goes by the usual names: that is what the other one is for
    wrong = {name: what for name, what in found.items() if what != table.said}
    return f"{writer.__name__} {sorted(wrong)}: {_first_difference(wrong, table.said)}" if wrong else ""


def _first_difference(wrong: dict[str, object], said: Pairs) -> str:
    what = next(iter(wrong.values()))
    if not isinstance(what, list):
        return str(what)[:300]
    return str(next((pair for pair in zip(what, said, strict=False) if pair[0] != pair[1]), (len(what), len(said))))


def judge_all(first: int, count: int) -> Tally:
    """Judge the seeds `first` to `first + count - 1`: a piece."""
    with tempfile.TemporaryDirectory() as name:
        found = [(seed, judge(seed, Path(name))) for seed in range(first, first + count)]
    faults = [Fault(seed, what) for seed, what in found if what]
    return Tally(Counter(agreed=count - len(faults), fault=len(faults)), faults)


def readers_campaign(first: int, count: int, processes: int) -> Coroutine[Any, Any, Tally]:
    """Judge seeds on worker processes."""
    return campaign(first, count, processes, judge_all)


if __name__ == "__main__":
    # Worker processes find a piece by the name of its module, which this one does not go by now.
    from tests.fuzz import readers

    main(readers.readers_campaign, "readers")
