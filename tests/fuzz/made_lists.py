"""Lists by seed: what people and programs write, well formed or altered, in every encoding and packing.

A file that was left as it was made, or is plain text whatever was done to it, comes with its cells: what a reader has
to find in it, told without the reader.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import random
import re
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import openpyxl

from tests.fuzz import results

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LONG = 1 << 20
"""Bytes of a line that is just not too long."""

Cells = list[tuple[int, str]]
"""Line and text of everything that is to be decided about: accepted, or rejected."""


class Made(NamedTuple):
    """One file; `cells` are None where nobody but the reader knows."""

    name: str
    content: bytes
    cells: Cells | None


class Listing(NamedTuple):
    """A whole list: its files, which of them is piped in, if any, how the inputs are named, and settings of the job."""

    files: tuple[Made, ...]
    piped: int | None
    globbed: bool
    settings: dict[str, Any]
    keep: bool
    chunk_size: int


ODD = (
    *(
        "",
        " ",
        "\t",
        "x",
        "hello",
        "+",
        "++41798284651",
        "0",
        "12",
        "1" * 15,
        "+41" + "7" * 20,
        "9" * 260,
        "tel:",
        "ext",
    ),
    *("4.17983E+10", "4.1798284650E+10", "41798284652.0", "+41798284653,00", "41798284654.5", "2026-01-02", "1.2.2026"),
    *("0798284651", "0041798284651", "798284652", "+8613912345678", "+12002000000", "+800 1234 5678", "+999123456789"),
    *(
        "+4179\u200b8284653",
        "\u202d+41798284654\u202c",
        "\ufeff+41798284655",
        "+41798284656\0",
        "\0",
        "\x1c+41798284657",
    ),
    *(
        "+\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661",
        "\uff0b\uff14\uff11 79 828 46 52",
        "\U0001f4de",
    ),
    *(
        "tel +41798284658",
        "+41798284659 ext. 7",
        "+1 (202) 555-0143",
        "a@b.c",
        '"',
        '""',
        "'",
        ",",
        ";",
        "|",
        "\\",
        "sep=;",
    ),
    *(
        "=1+1",
        "@x",
        "-41798284651",
        "+4179828465\u0301",
        "J\u00fcrg +41798284660",
        "\x85",
        "\u2028",
        "NULL",
        "NaN",
        "1e400",
    ),
)


def texts_of(chance: random.Random) -> list[str]:
    """Draw what stands in the list's lines: numbers, repeated and spaced in several ways, and a few odd things."""
    pool = [f"+4179{chance.randrange(10**7):07d}" for _ in range(12)]
    pool += [f"+1202555{chance.randrange(100, 200):04d}" for _ in range(4)] + ["+4915112345678", "+442071838750"]
    share = chance.choice((0.0, 0.1, 0.3, 0.8))
    texts = []
    for _ in range(chance.choice((0, 1, 3, 20, 20, 40))):
        number = chance.choice(pool)
        spaced = f" {number[:3]} {number[3:5]}-{number[5:8]} {number[8:]}\u00a0"
        texts.append(
            chance.choice(ODD) if chance.random() < share else chance.choice((number, number, spaced, number[1:]))
        )
    return texts


# --- making files ---------------------------------------------------------------------------------------------------


def text(chance: random.Random, texts: list[str]) -> Made:
    """Write a text, a line each; now and then one of them is enormous."""
    ends = chance.choice((("\n",), ("\r\n",), ("\r",), ("\n", "\r\n", "\r", "\n\n", "\r\r\n")))
    if chance.random() < 0.05:
        padded = " " * (LONG - chance.choice((11, 12, 13))) + "+41798284651"
        texts = [*texts, chance.choice((padded, "7" * (LONG + 5), "\0" * (2 * LONG), padded + padded))]
        chance.shuffle(texts)
    data = "".join(line + chance.choice(ends) for line in texts).encode()
    return Made("a.txt", data if chance.random() < 0.8 else data.rstrip(b"\r\n"), [])


def table(chance: random.Random, texts: list[str]) -> Made:
    """Write a csv file with quotes and rows of different lengths."""
    delimiter = chance.choice(",;\t|")
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=chance.choice(("\n", "\r\n")))
    if chance.random() < 0.1:
        file.write(f"sep={delimiter}\n")
    writer.writerow(["Name", "Phone", "Note"])
    cells = []
    for cell in texts:
        line = 1 + len(re.findall("\r\n|\n|\r", file.getvalue()))
        name = chance.choice(("Anna", 'a "b"', "two\nlines", "", "x;y,z"))
        row = [name, cell, *["", "note", "\u00fc"][: chance.randrange(4)]][: chance.choice((3, 3, 3, 1))]
        writer.writerow(row)
        if any(map(str.strip, row)):
            cells.append((line, row[1] if len(row) > 1 else ""))
    names = ("a.csv", "a.CSV", "a.csv" if file.getvalue().startswith("sep") else "a.txt")
    name = "a.tsv" if delimiter == "\t" else chance.choice(names)
    return Made(name, file.getvalue().encode(), cells)


def workbook(chance: random.Random, texts: list[str]) -> Made:
    """Write a workbook, some of whose numbers are numbers."""
    book = openpyxl.Workbook()
    sheet: Any = book.worksheets[0]
    sheet.append(["Name", "Phone"])
    cells = []
    fit = [cell for cell in texts if not re.search(r"[\x00-\x1f]|^[=#]", cell) and len(cell) < 99]
    for line, cell in enumerate(fit, 2):
        value = int(cell) if re.fullmatch("[1-9][0-9]{9,13}", cell) and chance.random() < 0.5 else cell
        sheet.append(["x", value])
        cells.append((line, cell))
    file = io.BytesIO()
    book.save(file)
    return Made(chance.choice(("a.xlsx", "a.xlsx", "a.csv")), results.timeless(file.getvalue()), cells)


def columns(_chance: random.Random, texts: list[str]) -> Made:
    """Write a parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - an extra
    from pyarrow import parquet  # noqa: PLC0415

    file = io.BytesIO()
    parquet.write_table(pa.table({"name": ["x"] * len(texts), "phone": pa.array(texts, pa.string())}), file)
    return Made("a.parquet", file.getvalue(), list(enumerate(texts, 1)))


Maker = Callable[[random.Random, list[str]], Made]
MAKERS: tuple[Maker, ...] = (text, text, text, table, table, workbook, *[columns] * bool(find_spec("pyarrow")))


@lru_cache(maxsize=128)
def _made(maker: int, variant: int) -> Made:
    """Return one of a few well-formed files, which are altered in many ways."""
    chance = random.Random(variant)  # noqa: S311 - by seed
    return MAKERS[maker](chance, texts_of(chance))


# --- altering them --------------------------------------------------------------------------------------------------


def alter_lines(chance: random.Random, content: bytes) -> bytes:
    """Cut a file off, splice it with itself, repeat a stretch, or put in what ends or hides lines."""
    at, other = chance.randrange(len(content) + 1), chance.randrange(len(content) + 1)
    match chance.randrange(6):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + content[other:]
        case 2:
            return content[:at] + content[at : at + 50] * chance.choice((2, 20, 200)) + content[at:]
        case 3:
            return content[:at] + chance.choice(ODD).encode() * chance.choice((1, 1, 30)) + content[at:]
        case 4:
            return content.replace(b"\n", chance.choice((b"\r", b"\n\0", b"\0", b"\x0b", b"\x0c\n", b"\xc2\x85", b"")))
        case _:
            odd = (b"\0", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b"\xff", b"\xc3", b"\r", b"\n", b'"', b"\x80", b"\x1a")
            return content[:at] + chance.choice(odd) * chance.choice((1, 2, 3000)) + content[at:]


ALTERATIONS: tuple[results.Alter, ...] = (
    alter_lines,
    alter_lines,
    results.alter_text,
    results.alter_zip,
    results.alter_bytes,
)


def hostile(chance: random.Random) -> Made:
    """Return a file that is made to take memory or time."""
    megabytes = chance.choice((1, 3))
    swollen = chance.choice(
        (b"\0", b" ", b"\r", b"\r\n", b'"', b',"', b'"\n', b"+4", b"a,", b"\xff", b"\xe2\x80", b";\t|")
    )
    lines = swollen.endswith(b"\n") and swollen.strip()  # a reader may take its time for so many, and a test may not
    plain = swollen * (50_000 if lines else megabytes * LONG // len(swollen))
    head = chance.choice((b"", b"Phone,Name\n", b"+41798284651\n", b'Phone,Name\n"'))
    match chance.randrange(4):
        case 0:
            return Made(chance.choice(("a.csv.gz", "a.txt.gz")), gzip.compress(head + plain, 1, mtime=0), None)
        case 1:
            return Made("a.csv.zst", zstd.compress(head + bytes(24 * LONG) + plain), None)
        case 2:
            return Made("a.zip", _zip("a.txt", gzip.compress(gzip.compress(plain, 1, mtime=0), mtime=0)), None)
        case _:
            return Made("a.xlsx", _hostile_book(chance), None)


def _hostile_book(chance: random.Random) -> bytes:
    laughs = b'<!DOCTYPE x [<!ENTITY a "%b">%b]>' % (
        b"9" * 100,
        b"".join(b'<!ENTITY %c "%b">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(8)),
    )
    row = b'<row r="%b"><c r="%b" t="inlineStr"><is><t>%b</t></is></c></row>'
    rows = chance.choice((
        *(row % (b"1048577", b"A1048577", b"x"), row % (b"9" * 30, b"A1", b"x"), row % (b"0", b"A0", b"x")),
        *(row % (b"2", b"XFE2", b"x"), row % (b"2", b"ZZZZZZ2", b"x"), row % (b"-1", b"A-1", b"x")),
        *(b"<a>" * 50_000, b" " * 8 * LONG, b"<row/>" * 50_000, b'<c t="s"><v>%b</v></c>' % (b"9" * 50)),
        *(b"<row>" + b"<c/>" * 20_000 + b"</row>", row % (b"2", b"A2", b"&h;" * 10), row % (b"2", b"B2", b"7" * LONG)),
    ))  # fmt: skip
    parts = results.parts_of(_made(MAKERS.index(workbook), 3).content)
    name = "xl/worksheets/sheet1.xml"
    sheet = parts[name].replace(b"<sheetData>", b"<sheetData>" + rows)
    parts[name] = laughs + sheet.partition(b"?>")[2] if chance.random() < 0.2 else sheet
    return results.packed_of(zipfile.ZIP_DEFLATED, list(parts.items()))


# --- encoding and packing them --------------------------------------------------------------------------------------


def encoded(chance: random.Random, made: Made, *, altered: bool, lines: bool) -> Made:
    """Write a text in an encoding, and say what cells it has then."""
    content, marked, decodable = made.content, False, _decodes(made.content)
    encoding = chance.choice(("utf-8",) * 5 + ("utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-16-le", "cp1252"))
    if decodable and encoding != "utf-8":
        marked = encoding in {"utf-8-sig", "utf-16", "utf-32"}
        content = content.decode().encode(encoding, "ignore")
    if lines:
        plain = made.content if marked else content.removeprefix(codecs.BOM_UTF8)
        return Made(made.name, content, lines_of(plain) if marked or encoding in {"utf-8", "cp1252"} else None)
    return Made(made.name, content, None if altered or not (marked or encoding == "utf-8") else made.cells)


def _decodes(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def lines_of(plain: bytes) -> Cells | None:
    """Return the lines of a text, without a mark, that are not blank; None where it may be taken for something else."""
    if plain.startswith((b"\xff\xfe", b"\xfe\xff", b"\0")) or plain.count(0) > len(plain) // 4:
        return None
    cells: Cells = []
    for line, data in enumerate(re.split(b"\r\n|\n|\r", plain), 1):
        found = "too long" if len(data) > LONG else _decoded(data).strip()
        if found and not cells and re.search(r"[^\W\d_]", found) and re.search(r"[,;\t|]", found):
            return None  # it may be a header
        if found:
            cells.append((line, found))
    return cells


def _decoded(data: bytes) -> str:
    """Return UTF-8, or Windows-1252 with the holes of Latin-1."""
    if _decodes(data):
        return data.decode()
    return "".join(
        bytes([byte]).decode("cp1252" if byte not in b"\x81\x8d\x8f\x90\x9d" else "latin-1") for byte in data
    )


def pack(chance: random.Random, made: Made) -> Made:
    """Pack a file, or leave it."""
    match chance.randrange(10):
        case 0:
            return Made(f"{made.name}.gz", gzip.compress(made.content, 1, mtime=0), made.cells)
        case 1:
            return Made(f"{made.name}.zst", zstd.compress(made.content), made.cells)
        case 2:
            return Made("a.zip", _zip(f"in/{made.name}", made.content), made.cells)
        case _:
            return made


def _zip(name: str, content: bytes) -> bytes:
    return results.packed_of(zipfile.ZIP_DEFLATED, [(name, content)])


def altered_bytes(chance: random.Random, content: bytes) -> bytes:
    """Return an altered file, whatever was done to it before."""
    try:
        return chance.choice(ALTERATIONS)(chance, content)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        return alter_lines(chance, content)  # a zip that is damaged can't be packed anew


def file_of(chance: random.Random) -> Made:
    """Draw one file."""
    if chance.random() < 0.03:
        return hostile(chance)
    maker = chance.randrange(len(MAKERS))
    made = _made(maker, chance.randrange(40))
    altered = chance.random() < 0.4
    if altered:
        made = made._replace(content=altered_bytes(chance, made.content))
    if MAKERS[maker] in (text, table):
        made = encoded(chance, made, altered=altered, lines=MAKERS[maker] is text)
    elif altered:
        made = made._replace(cells=None)
    made = pack(chance, made)
    if chance.random() < 0.3:
        made = pack(chance, made._replace(cells=made.cells if MAKERS[maker] is not workbook else None))  # a third layer
    if chance.random() < 0.15:
        made = Made(made.name, altered_bytes(chance, made.content), None)
    return made


def listing_of(seed: int) -> Listing:
    """Return the list of a seed."""
    chance = random.Random(seed)  # noqa: S311 - by seed
    files = [file_of(chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    names = [f"{chance.choice(('l', 'l/m', 'l/[m] *'))}/{i}{made.name}" for i, made in enumerate(files)]
    named = [made._replace(name=name) for name, made in zip(names, files, strict=True)]
    piped = chance.randrange(len(files)) if chance.random() < 0.1 else None
    if piped is not None and not names[piped].endswith(".txt"):
        named[piped] = named[piped]._replace(cells=None)  # a table's name may be needed to know it
    settings: dict[str, Any] = {
        "default_region": chance.choice((None, None, "CH")),
        "exclude_calling_codes": chance.choice(((), (), (), (86,), (1,))),
        "max_rejected": chance.choice((0.5, 1.0, 1.0, 1.0, 1.0, 0.0)),
    }
    if chance.random() < 0.05:
        settings |= {"column": "Note"}
        named = [made._replace(cells=None) for made in named]
    keep = chance.random() < 0.3
    return Listing(tuple(named), piped, chance.random() < 0.3, settings, keep, chance.choice((1, 3, 20, 1000)))
