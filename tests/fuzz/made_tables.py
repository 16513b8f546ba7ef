"""Tables by seed, as people keep them and programs write them, with what is known of every cell.

A table has titles above its header or none, one to three columns of numbers between others, several numbers in a cell,
rows that are short, long or blank, a second header, a line of totals. Words are of random letters: nine words that were
thought of would miss what the tenth does. Each row comes with the digits of the numbers that were put into it.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import random
import subprocess
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import openpyxl
import xlsxwriter  # type: ignore[import-untyped]
from openpyxl.cell import WriteOnlyCell

LETTERS = (
    *("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "\u00e4\u00e9\u00f1\u015f\u0142\u0131\u00df\u00e5"),
    *(
        "\u0434\u0436\u044f\u0451",
        "\u05d0\u05d1\u05e9",
        "\u0628\u062a\u062b",
        "\u0915\u0916",
        "\u662f\u5426\u624b\u673a",
    ),
)
HEADERS = (
    *(("Phone",), ("Phone", "Phone"), ("Mobile", "Home Phone"), ("Telefon",), ("Handy", "Festnetz"), ("Cep Telefonu",)),
    *(("tel", "mobile", "work phone"), ("T\u00e9l\u00e9phone portable",), ("Tel\u00e9fono m\u00f3vil", "Celular")),
    *(("MSISDN",), ("whatsapp",), ("Numer klienta",), ("phone_number",), ("Rufnummer", "Natel")),
)
"""Columns of numbers: names that the program guesses, and some that it has to be told."""
BETWEEN = (";", ", ", " / ", "/", " | ", "\n", " or ", " ext. ", "  ", " und ", " - ", ",", "\r\n", " ; ")
SPACES = ("", "", "", " ", "-", "/", ".", "\u202f", "\u2009", "\u00a0", "\u200e", "\t", "\u2011", " (", ") ")
MOMENT = dt.datetime(2026, 1, 2, 3, 4)  # noqa: DTZ001 - cells know of no time zones
OTHERS = ("", "", " ", "n/a", "12", "31.12.2026", "1.23E+10", "-", "?", "#N/A", "none", "0", "+", "TBD", "x" * 400)


class Drawn(NamedTuple):
    """A table: its rows, the first `header` of which are titles, and the columns that hold numbers.

    `digits` has for each row those of the numbers in it; `settings` are what a job needs to read it.
    """

    rows: list[list[object]]
    header: int
    columns: tuple[int, ...]
    digits: list[list[str]]
    settings: dict[str, Any]


class Written(NamedTuple):
    """A table as a file. `is_whole` says that each cell stands where it was drawn, whoever reads it."""

    name: str
    content: bytes
    is_whole: bool


def digits_of(text: str) -> str:
    return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())


# --- drawing --------------------------------------------------------------------------------------------------------


def word(chance: random.Random) -> str:
    letters = chance.choice(LETTERS) if chance.random() < 0.3 else LETTERS[0]
    return "".join(chance.choices(letters, k=chance.randint(1, 9)))


def spelt(chance: random.Random) -> tuple[str, str]:
    """Return a number as people write it, or something that looks like one, and its digits."""
    digits = "".join(chance.choices("0123456789", k=11))
    whole = chance.choice(
        (
            *(f"+41798{digits[:6]}", f"+41798{digits[:6]}", f"+4930{digits[:8]}", f"079{digits[:7]}"),
            *(f"0041 44 {digits[:7]}", digits[: chance.randint(7, 11)], f"+1202555{digits[:4]}", f"+90532{digits[:7]}"),
            *(f"41798{digits[:6]}", f"+336{digits[:8]}"),
        )
    )
    space = chance.choice(SPACES)
    for place in sorted(chance.sample(range(3, len(whole)), chance.choice((0, 0, 1, 2, 3))), reverse=True):
        whole = whole[:place] + space + whole[place:]
    before = chance.choice(("", "", "", "", f"{word(chance)} ", "tel:", "(", "'", "Tel. ", '"', "\u200e", " "))
    behind = chance.choice(("", "", "", "", f" {word(chance)}", " ", "_x000D_", ".", '"'))
    return before + whole + behind, digits_of(whole)


def cell(chance: random.Random, made: list[str]) -> object:
    """Return a cell of a column of numbers: none, one, several, or something else; add the digits to `made`."""
    kind = chance.random()
    if kind < 0.12:
        return chance.choice((*OTHERS, word(chance), None, dt.date(2026, 5, 1), True, 1.5))
    if kind < 0.22:
        number = int(f"4179{chance.randrange(10**7):07d}")
        made.append(str(number))
        return chance.choice((number, number, float(number)))
    numbers = [spelt(chance) for _ in range(1 if kind < 0.8 else chance.choice((2, 2, 3)))]
    made += (digits for _, digits in numbers)
    between = chance.choice((*BETWEEN, f" {word(chance)} "))
    return between.join(text for text, _ in numbers)


def note(chance: random.Random) -> object:
    """Return a cell of another column."""
    one, other = word(chance), word(chance)
    return chance.choice(
        (
            *(
                "",
                "",
                one,
                f"{one} {other}",
                f'{one}, "{other}"',
                f"{one}\n{other}",
                '5" pipe',
                f'"{one}" {other}',
                "a;b",
            ),
            *(
                None,
                7,
                2.5,
                MOMENT,
                f"{one}\t{other}",
                f"{one}|{other}",
                f"{one}@{other}.ch",
                "=1+1",
            ),
            *(f"CH-{len(one)}00 {one}", f"no. {chance.randrange(10**6)}", "'", '"', f"-{one}", "N/A", "\\", "_x0041_"),
        )
    )


def drawn(chance: random.Random, region: str | None) -> Drawn:
    """Return a table of up to 25 rows; those of a default region, as it takes long to load what that needs."""
    names = chance.choice(HEADERS)
    others = [f"{word(chance)} {word(chance)}" for _ in range(chance.choice((0, 1, 2, 2, 4)))]
    header = [*names, *others]
    order = chance.sample(range(len(header)), len(header))
    columns = tuple(order.index(place) for place in range(len(names)))
    kinds: Any = (
        *([f"Report {word(chance)}"], [word(chance), None, word(chance)]),
        *(["", ""], [f"Stand: {word(chance)} 2026"]),
    )
    titles: list[list[object]] = [chance.choice(kinds) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    rows: list[list[object]] = [*titles, [header[place] for place in order]]
    digits: list[list[str]] = [[] for _ in rows]
    untidy = chance.random() < 0.3
    for _ in range(chance.choice((1, 3, 6, 6, 8, 20))):
        made: list[str] = []
        row: list[object] = [cell(chance, made) if place < len(names) else note(chance) for place in order]
        match chance.random() if untidy else 1.0:
            case odd if odd < 0.08 and len(row) > 1:  # a row that is cut off, as editors do with empty cells at the end
                last = max(columns) + 1
                row = row[: chance.randint(last, len(row))]
            case odd if odd < 0.14:
                row = [*row, note(chance)]
            case odd if odd < 0.2:
                row, made = [None] * len(row), []
            case odd if odd < 0.24:
                row, made = [header[place] for place in order], []
            case odd if odd < 0.27:
                total: list[object] = ["Total", *[None] * (len(row) - 2), chance.randrange(99)]
                row, made = total[: len(row)], []
            case _:
                pass
        rows.append(row)
        digits.append(made)
    if chance.random() < 0.2 and len(rows) > len(titles) + 2:  # the same person again
        rows.append(rows[-1])
        digits.append(digits[-1])
    named = tuple(f"{name}#{place + 1}" if name in names[:place] else name for place, name in enumerate(names))
    guess = len(names) == 1 and names[0] != "Numer klienta" and len(header) > 1 and chance.random() < 0.5
    settings = {"default_region": region, "column": None if guess else named}
    return Drawn(rows, len(titles), columns, digits, settings)


# --- writing --------------------------------------------------------------------------------------------------------

QUOTING: tuple[Literal[0, 1, 2], ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
ENCODINGS = ("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-16-le", "cp1254")


def as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case float() if value.is_integer():
            return f"{value:.1f}"
        case _:
            return str(value)


def encoded(chance: random.Random, text: str) -> tuple[bytes, bool]:
    """Return a text in some encoding, and whether that has all of its signs."""
    encoding = chance.choice(ENCODINGS)
    try:
        return text.encode(encoding), True
    except UnicodeEncodeError:  # a code page, which has one byte a sign
        return text.encode(encoding, "ignore"), False


def packed(chance: random.Random, name: str, content: bytes) -> tuple[str, bytes]:
    match chance.randrange(20):
        case 0:
            return f"{name}.gz", gzip.compress(content, 1, mtime=0)
        case 1:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(name, content)
            return "a.zip", file.getvalue()
        case _:
            return name, content


def by_csv(chance: random.Random, table: Drawn) -> Written:
    """Write csv as Python's module does, and most programs."""
    delimiter = chance.choice(",,;;\t|")
    file = io.StringIO(newline="")
    if chance.random() < 0.05:
        file.write(f"sep={delimiter}\r\n")
    # Python's module quotes no line end but its own.
    has_lines = any("\n" in as_text(value) for row in table.rows for value in row)
    end = chance.choice(("\n", "\r\n", "\r\n", *["\r"] * (not has_lines)))
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=chance.choice(QUOTING))
    writer.writerows([as_text(value) for value in row] for row in table.rows)
    text = file.getvalue()
    if chance.random() < 0.1:
        text = text.rstrip("\r\n")
    name = chance.choice(("a.tsv", "a.tab")) if delimiter == "\t" and chance.random() < 0.5 else "a.csv"
    content, has_all = encoded(chance, text)
    return Written(*packed(chance, name, content), is_whole=has_all)


def by_hand(chance: random.Random, table: Drawn) -> Written:
    """Write csv by joining texts, as scripts do that never heard of quotes: what would break a line is left out."""
    delimiter = chance.choice(",;\t|")
    plain = chance.random() < 0.6
    lines = []
    for row in table.rows:
        cells = [" ".join(as_text(value).replace("\t", " ").splitlines()) for value in row]
        if plain:
            cells = [text.replace(delimiter, " ").replace('"', "") for text in cells]
        lines.append(delimiter.join(cells) + delimiter * (chance.random() < 0.02))
    text = chance.choice(("\n", "\r\n")).join(lines)
    content, _ = encoded(chance, text)
    return Written(*packed(chance, "a.csv", content), is_whole=False)


def torn(chance: random.Random, table: Drawn) -> Written:
    """Write csv with quotes that are opened and not closed, or are closed and not opened, in some of its lines."""
    # Without its quotes a tab within a number would be what parts two cells, and the number none any more.
    rows = [[value.replace("\t", " ") if isinstance(value, str) else value for value in row] for row in table.rows]
    written = by_csv(chance, table._replace(rows=rows))
    if (
        not written.name.endswith("v")
        or written.content.startswith((b"\xff\xfe", b"\xfe\xff"))
        or b"\0" in written.content
    ):
        return written
    lines = written.content.splitlines(keepends=True)
    above = min(len(lines), 2 + table.header + (written.content[:4] == b"sep="))
    for place in range(above, len(lines)):
        if chance.random() < 0.15:
            # Between two cells: within one it could stand between two digits of a number, which are none then.
            borders = [at for at, sign in enumerate(lines[place]) if sign in b",;|\r\n"]
            at = chance.choice((0, 0, *borders, *(border + 1 for border in borders[:-2])))
            lines[place] = lines[place][:at] + b'"' + lines[place][at:]
    return Written(written.name, b"".join(lines), is_whole=False)


def by_openpyxl(chance: random.Random, table: Drawn) -> Written:
    book = openpyxl.Workbook(write_only=True)
    sheet: Any = book.create_sheet("S")
    for row in table.rows:
        cells = []
        for value in row:
            plain: Any = None if isinstance(value, str) else value
            one: Any = WriteOnlyCell(sheet, plain)
            if isinstance(value, str) and value:
                one._value, one.data_type = _xlsx_text(value), "s"
            cells.append(one)
        sheet.append(cells)
    if chance.random() < 0.2:
        book.create_sheet("Old").sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    return Written(chance.choice(("a.xlsx", "a.xlsx", "a.csv", "a.xlsm")), file.getvalue(), is_whole=True)


def _xlsx_text(text: str) -> str:
    """Return a text as XML can have it; an escape is left as it was drawn, as exports leave it."""
    return "".join(sign if sign >= " " or sign in "\t\n" else " " for sign in text.replace("\r\n", "\n"))


def by_xlsxwriter(chance: random.Random, table: Drawn) -> Written:
    file = io.BytesIO()
    first = chance.choice((0, 0, 0, 2)), chance.choice((0, 0, 0, 1))
    options = {"constant_memory": chance.random() < 0.5, "in_memory": True, "default_date_format": "dd.mm.yyyy"}
    with xlsxwriter.Workbook(file, options) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate(table.rows, first[0]):
            for column, value in enumerate(row, first[1]):
                if isinstance(value, str):
                    sheet.write_string(place, column, _xlsx_text(value))
                elif isinstance(value, int) and chance.random() < 0.05:
                    sheet.write_formula(place, column, f"={value}", None, value)
                else:
                    sheet.write(place, column, value)
    return Written("a.xlsx", file.getvalue(), is_whole=True)


def _frame(table: Drawn) -> list[list[object]]:
    """Return the rows from the header on, all of them as wide as it is: programs that keep columns have no others."""
    rows = table.rows[table.header :]
    width = len(rows[0])
    return [[*row, *[None] * width][:width] for row in rows]


def without_titles(table: Drawn) -> Drawn:
    """Return the table as a program that keeps columns has it."""
    return table._replace(rows=_frame(table), header=0, digits=table.digits[table.header :])


def by_pandas(chance: random.Random, table: Drawn) -> Written:
    import pandas as pd  # noqa: PLC0415 - what the tests need is without it; it is used where it is there

    header, *rows = _frame(table)
    frame = pd.DataFrame([[as_text(value) for value in row] for row in rows], columns=list(map(str, header)))
    if chance.random() < 0.15:
        file = io.BytesIO()
        frame.map(_xlsx_text).to_excel(file, index=False, engine=chance.choice(("openpyxl", "xlsxwriter")))
        return Written("a.xlsx", file.getvalue(), is_whole=True)
    separator = chance.choice(",;\t")
    text = frame.to_csv(index=False, sep=separator, lineterminator=chance.choice(("\n", "\r\n")))
    return Written("a.csv", text.encode(), is_whole=True)


def by_polars(chance: random.Random, table: Drawn) -> Written:
    import polars as pl  # noqa: PLC0415 - as above

    header, *rows = _frame(table)
    names = _unlike(header)
    frame = pl.DataFrame(
        {name: [as_text(row[place]) or None for row in rows] for place, name in enumerate(names)},
        schema=dict.fromkeys(names, pl.String),
    )
    file = io.BytesIO()
    if chance.random() < 0.5:
        frame.write_parquet(file)
        return Written("a.parquet", file.getvalue(), is_whole=True)
    frame.write_csv(file, separator=chance.choice(",;|"), include_bom=chance.random() < 0.3)
    return Written("a.csv", file.getvalue(), is_whole=True)


def _unlike(header: Sequence[object]) -> list[str]:
    """Return headers as a program has them that wants each to be another one: as the settings of the job name them."""
    names = list(map(str, header))
    return [
        f"{name}#{names[: place + 1].count(name)}" if name in names[:place] else name
        for place, name in enumerate(names)
    ]


def by_pyarrow(chance: random.Random, table: Drawn) -> Written:
    import pyarrow as pa  # noqa: PLC0415 - slow to import
    from pyarrow import parquet  # noqa: PLC0415

    header, *rows = _frame(table)
    arrays = [pa.array([as_text(row[place]) or None for row in rows], pa.string()) for place in range(len(header))]
    file = io.BytesIO()
    frame = pa.Table.from_arrays(arrays, names=_unlike(header))
    parquet.write_table(frame, file, row_group_size=chance.choice((4, 1000)))
    return Written("a.parquet", file.getvalue(), is_whole=True)


Writer = Callable[[random.Random, Drawn], Written]
FRAMES: tuple[Writer, ...] = (by_pandas, by_polars, by_pyarrow)
"""Those that know a table of columns only: without titles, and each row as wide as the header."""
WRITERS: tuple[Writer, ...] = (
    *(by_csv,) * 9,
    *(by_hand,) * 4,
    *(torn,) * 6,
    *(by_openpyxl,) * 2,
    *(by_xlsxwriter,) * 2,
    *(by_pandas,) * (2 * bool(find_spec("pandas"))),
    *(by_polars,) * (2 * bool(find_spec("polars"))),
    *(by_pyarrow,) * (2 * bool(find_spec("pyarrow"))),
)


# --- through LibreOffice --------------------------------------------------------------------------------------------

AS_TEXT = "44,34,76,1,,0,true,false"
"""How it reads csv: commas, quotes, UTF-8, and what is quoted is text."""
INTO = (
    ("xlsx", "xlsx"),
    ("xlsx", "xlsx:Calc MS Excel 2007 XML"),
    ("csv", "csv:Text - txt - csv (StarCalc):59,34,76,1,,0,false,true,false"),
    ("csv", "csv:Text - txt - csv (StarCalc):44,34,1,1,,0,false,true,false"),
    ("csv", "csv:Text - txt - csv (StarCalc):9,34,65535,1,,0,true,true,false"),
)
"""Endings and filters: workbooks, csv in UTF-8 with semicolons, in Windows-1252, in UTF-16 with tabs."""


def through_office(tables: Sequence[Drawn], into: tuple[str, str], folder: Path) -> list[Written]:
    """Return tables as LibreOffice has written them, all of them by one process; empty where it gave none."""
    sources = []
    for place, table in enumerate(tables):
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([as_text(value) for value in row] for row in table.rows)
        sources.append(folder / f"t{place}.csv")
        sources[-1].write_bytes(text.getvalue().encode())
    ending, output = into
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"
    command = ["soffice", profile, "--headless", f"--infilter=CSV:{AS_TEXT}", "--convert-to", output]
    made = folder / "made"
    subprocess.run([*command, "--outdir", str(made), *map(str, sources)], check=True, capture_output=True, timeout=600)  # noqa: S603 - our own
    return [
        Written(f"a.{ending}", (made / f"{source.stem}.{ending}").read_bytes(), is_whole=True) for source in sources
    ]
