"""A folder of lists in every shape and with every mistake, each with what comes of it."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import io
import sys
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import openpyxl
import pyarrow as pa
from pyarrow import parquet

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

A, B, C = "+41798284651", "+41798284652", "+41798284653"
LONG = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file, and either its numbers, with the reasons of what was rejected, or the error."""

    name: str
    content: bytes
    numbers: Sequence[str] = ()
    rejected: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def case(name: str, content: bytes | str, *numbers: str, **more: Any) -> Case:
    data = content if isinstance(content, bytes) else content.encode()
    settings = {key: more.pop(key) for key in tuple(more) if key not in {"rejected", "error"}}
    return Case(name=name, content=data, numbers=numbers, settings=settings, **more)


def book(*sheets: Sequence[Sequence[object]]) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for place, rows in enumerate(sheets, 1):
        sheet = workbook.create_sheet(f"Sheet {place}")
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def columnar(**columns: Sequence[object]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def zipped(**members: bytes | str) -> bytes:
    """Zip members; two underscores in a name stand for a dot."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return file.getvalue()


def locked(content: bytes) -> bytes:
    """Mark a zip's only member as encrypted."""
    data = bytearray(content)
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def misplaced(content: bytes) -> bytes:
    """Have a zip's directory say that its members begin before the file does."""
    data = bytearray(content)
    data[data.rindex(b"PK\x05\x06") + 17] += 1
    return bytes(data)


LINES = f"{A}\n{B}\n{A}\nhello\n"
TABLE = f"Name;Phone\nAnna;{A}\n;{B}\nBob;{A}\nCarl;x\n"
ROWS: list[list[object]] = [["Name", "Phone"], ["Anna", A], [None, B], ["Bob", A], ["Carl", "x"]]
BAD = {"not a number": 1}
BEYOND_E164 = "too long: E.164 ends at 15 digits"
LONG_NUMBERS = (
    "+8100667928012827",
    "+23480018277887893",
    "+620018038698416099",
    "+8100375788337526579",
    "+4" + "1" * 24,
)
"""All but the last are valid to `phonenumbers`."""
BEYOND = {BEYOND_E164: len(LONG_NUMBERS)}


def text_cases() -> list[Case]:
    """Plain text: encodings, line ends, odd lines."""
    return [
        case("plain.txt", LINES, A, B, rejected=BAD),
        case("no ending", LINES.strip(), A, B, rejected=BAD),
        case("crlf.txt", LINES.replace("\n", "\r\n"), A, B, rejected=BAD),
        case("cr.txt", LINES.replace("\n", "\r"), A, B, rejected=BAD),
        case("mixed ends.txt", f"{A}\r\n\r{B}\n\n\rhello", A, B, rejected=BAD),
        case("utf8 bom.txt", "\ufeff" + LINES, A, B, rejected=BAD),
        case("utf16 bom.txt", LINES.encode("utf-16"), A, B, rejected=BAD),
        case("utf16 big.txt", "\ufeff".encode("utf-16-be") + LINES.encode("utf-16-be"), A, B, rejected=BAD),
        case("utf16 no bom.txt", LINES.encode("utf-16-le"), A, B, rejected=BAD),
        case("utf32.txt", LINES.encode("utf-32"), A, B, rejected=BAD),
        case("latin.txt", f"J\u00fcrg {A}\n+41\xa0{B[3:]}\n".encode("latin-1"), A, B),
        case("windows.txt", f"\u20ac {A}\n\x81\n".encode("cp1252", "ignore") + f"\x81\n{B}".encode("latin-1"), A, B,
             rejected=BAD),
        case("greek.txt", f"\u03a4\u03b7\u03bb {A}".encode("cp1253"), A),
        case("japanese.txt", f"\u96fb\u8a71 {A}\n{B}".encode("shift-jis"), A, B),
        case("arabic digits.txt", "+\u0664\u0661\u0667\u0669\u0668\u0662\u0668\u0664\u0666\u0665\u0661\n", A),
        case("wide digits.txt", "\uff0b\uff14\uff11 79 828 46 52\n", B),
        case("nul.txt", f"{A}\0\n\0\n{B}\n", A, B, rejected=BAD),
        case("nul run.txt", b"\0" * 5000 + f"\n{A}\n".encode(), A, rejected={"line too long": 1}),
        case("long line.txt", f"{A}\n" + "7" * 2 * LONG + f"\n{B}\n", A, B, rejected={"line too long": 1}),
        case("no lines.txt", "7" * 2 * LONG, error="no number was accepted .line too long: 1.*one number a line"),
        case("binary.bin", bytes(range(14, 256)) * 5 + f"\n{A}".encode(), A, rejected={"line too long": 1}),
        case("empty.txt", "", error="the list is empty"),
        case("blank.txt", "\ufeff \n\t\r\n", error="the list is empty"),
        case("words.txt", "hello\nworld\n", error="no number was accepted .not a number: 2"),
        case("local.txt", "079 828 46 51\n", A, default_region="CH"),
        case("no region.txt", "079 828 46 51\n0798284652\n", error='default_region = "'),
        case("no plus.txt", f"{A[1:]}\n{B[1:]}\n", error='with a "." in front'),
        case("zeros.txt", f"00{A[1:]}\n00{B[1:]}\n", error="begin with 00"),
        case("floats.txt", f"{A[1:]}.0\n{B[1:]},00\n", A, B, default_region="CH"),
        case("rounded.txt", "4.17983E+10\n4,17983E+10\n", error="rounded by a spreadsheet: 2.*formatted as text"),
        case("wrong region.txt", f"{A}\n{B}\n+4412345\n+12002000000\n", A, B,
             rejected={"too short": 1, "not a valid number of US": 1}),
        case("half rejected.txt", f"{A}\n{B}\nx\ny\n", A, B, rejected={"not a number": 2}),
        case("more rejected.txt", f"{A}\nx\ny\n", error="2 of 3 lines were rejected, more than max_rejected = 0.5"),
        case("long numbers.txt", "\n".join([A, *LONG_NUMBERS, B, *(number[1:] for number in LONG_NUMBERS)]), A, B,
             max_rejected=0.95, rejected={BEYOND_E164: 2 * len(LONG_NUMBERS)}),
        case("excluded.txt", f"{A}\n+8613912345678\n", A, rejected={"excluded calling code": 1},
             exclude_calling_codes=(86,)),
        case("sed.jsonl", f'{{"phone": "{A}"}}\n', A),
    ]  # fmt: skip


def table_cases() -> list[Case]:
    """Tables in text: delimiters, quotes, headers."""
    return [
        case("semicolon.csv", TABLE, A, B, rejected=BAD),
        case("comma.CSV", TABLE.replace(";", ","), A, B, rejected=BAD),
        case("tab.tsv", TABLE.replace(";", "\t"), A, B, rejected=BAD),
        case("tab with commas.tsv", f"Name, first\tPhone\n{'a, b'}\t{A}\n", A),
        case("pipe.csv", TABLE.replace(";", "|"), A, B, rejected=BAD),
        case("excel.csv", "sep=;\r\n" + TABLE, A, B, rejected=BAD),
        case("excel unicode.txt", TABLE.replace(";", "\t").encode("utf-16"), A, B, rejected=BAD),
        case("table in text.txt", TABLE, A, B, rejected=BAD),
        case("windows.csv", f"Num\u00e9ro;Pr\u00e9nom\n{A};Ren\u00e9e\n".encode("cp1252"), A),
        case("turkish.csv", f"Ad;Telefon Numaras\u0131\nAy\u015fe;{A}\n".encode("cp1254"), A),
        case("long numbers.csv", "phone\n" + "\n".join([A, *LONG_NUMBERS, B]), A, B, max_rejected=0.95,
             rejected=BEYOND),
        case("quoted.csv", f'"Name","Phone"\n"two\nlines","{A}"\n"a ""b"", c","{B}"\n', A, B),
        case("stray quotes.csv", f'Name,Phone\n5" pipe,{A}\n6" pipe,{B}\n', A, B),
        case("open quote.csv", f'Name,Phone\n"Anna,{A}\nBob,{B}\n', A, B),
        case("short rows.csv", f"Name,Phone\nAnna\nBob,{A},x,y\n", A, rejected={"empty cell": 1}),
        case("headerless.csv", f"{A}\n{B}\n", A, B),
        case("headerless wide.csv", f"Anna,{A}\n", error="row 1 holds a number where headers should be"),
        case("long field.csv", f"Phone,Note\n{A},{'x' * 2 * LONG}\n{B},y\n", B, rejected={"line too long": 1}),
        case("two phones.csv", f"Phone;Mobile\n{A};{B}\n", error="several columns may hold.*'Phone', 'Mobile'"),
        case("two names.csv", f"Tel;Mobile\n{A};{B}\n", error="several columns may hold.*'Tel', 'Mobile'"),
        case("two phones named.csv", f"Phone;Mobile\n{A};{B}\n", B, column="mobile"),
        case("no phone.csv", f"Name;X\nAnna;{A}\n", error="no column in .* may hold the numbers.*'Name', 'X'"),
        case("wrong column.csv", "".join(f"{i},Anna,{B}\n" if i else "Number,Name,Contact\n" for i in range(9)),
             error='the column "Contact" looks more like numbers than "Number"; set column = "Contact"'),
        case("area codes.csv", "Name;Vorwahl;Rufnummer\nAnna;0711;8284651\nBob;711;8284652\n", default_region="DE",
             error='the column "Vorwahl" holds codes that the numbers of "Rufnummer" lack; join the two'),
        case("area codes beside whole numbers.csv", "Vorwahl;Tel\n079;0798284651\n41;41798284652\n+41;+41798284653\n",
             A, B, C, default_region="CH"),
        case("calling codes.csv", "Country Code,Phone\n41,798284651\n44,7911123456\n", default_region="CH",
             error='the column "Country Code" holds codes that the numbers of "Phone" lack'),
        case("one calling code.csv", "Country Code,Phone\n41,798284651\n41,798284652\n", A, B, default_region="CH"),
        case("calling codes named.csv", "Country Code,Phone\n41,798284651\n41,798284652\n49,1512345\n", A, B,
             default_region="CH", column="phone", rejected={"too short": 1}),
        case("countries.csv", "Phone,Country\n079 828 46 51,Switzerland\n0171 1234567,Allemagne\n", default_region="CH",
             error='the column "Country" names countries whose calling codes the numbers of "Phone" lack; write'),
        case("regions.csv", "Land,Telefon\nch,0798284651\nDE,0171 1234567\nDE,0171 1234568\n", default_region="CH",
             error='the column "Land" names countries'),
        case("countries named.csv", "Phone,Country\n079 828 46 51,Switzerland\n079 828 46 52,Allemagne\n", A, B,
             default_region="CH", column="phone"),
        case("one country.csv", "Phone,Country\n0798284651,Schweiz\n079 8284652,Switzerland\n41798284653,CH\n", A, B, C,
             default_region="CH"),
        case("countries of whole numbers.csv", f"Phone,Country\n{A[1:]},Switzerland\n{B},DE\n{C},Narnia\n", A, B, C,
             default_region="CH"),
        case("titles of people.csv", f"Prefix,Phone\nMr,{A}\nDr,798284652\n", A, B, default_region="CH"),
        case("missing column.csv", TABLE, column="Handy", error="no column is called 'Handy'.*'Name', 'Phone'"),
        case("pandas.csv", f"phone\n{A[1:]}.0\n\n{B[1:]}.0\n", A, B, default_region="CH"),
        case("nul.csv", f"phone,x\n{A}\0,\0\n", A),
        case("only a header.csv", "Name;Phone\n", error="there is something in it, and no row could be read"),
    ]  # fmt: skip


def file_cases() -> list[Case]:
    """Workbooks and parquet files."""
    numeric: list[list[object]] = [["Phone"], [float(A[1:])], [int(B[1:])]]
    return [
        case("book.xlsx", book(ROWS), A, B, rejected=BAD),
        case("numeric.xlsx", book(numeric), A, B, default_region="CH"),
        case("numeric without region.xlsx", book(numeric), error="no country code: 2.*in front"),
        case("long numbers.xlsx", book([["phone"], [A], *([n] for n in LONG_NUMBERS), [float(LONG_NUMBERS[0])], [B]]),
             A, B, max_rejected=0.95, rejected={BEYOND_E164: 1 + len(LONG_NUMBERS)}),
        case("below zero.xlsx", book([["phone"], [A], [-798284652], [798284652]]), A, B, default_region="CH",
             rejected=BAD),
        case("dates.xlsx", book([["Phone"], [A], [dt.datetime(2026, 1, 2)]]), A, rejected={"a date": 1},  # noqa: DTZ001
             default_region="DK"),
        case("formulas.xlsx", book([["Phone"], ["=A9"], ["=A10"]]), error="formula without a value: 2.*save it"),
        case("two sheets.xlsx", book(ROWS, ROWS), error="several sheets are filled.*`sheet`: 'Sheet 1', 'Sheet 2'"),
        case("named sheet.xlsx", book(ROWS, [["Phone"], [C]]), C, sheet="sheet 2"),
        case("one filled sheet.xlsx", book([], ROWS, []), A, B, rejected=BAD),
        case("empty.xlsx", book([]), error="the list is empty"),
        case("book called.csv", book(ROWS), A, B, rejected=BAD),
        case("text called.xlsx", TABLE, error="can't be read as a workbook, although its name says so"),
        case("cut off.xlsx", book(ROWS)[:-100], error="it is damaged or cut off"),
        case("misplaced.xlsx", misplaced(book(ROWS)), error="^misplaced.xlsx: this can't be read as a workbook"),
        case("misplaced.xlsx.gz", gzip.compress(misplaced(book(ROWS))), error="^misplaced.xlsx.gz: this can"),
        case("old.xls", "x", error=".xls files can't be read; save it as .xlsx"),
        case("old book called.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), error="before 2007, or one"),
        case("columns.parquet", columnar(name=["Anna", None, "Bob", "Carl"], phone=[A, B, A, "x"]), A, B, rejected=BAD),
        case("whole.parquet", columnar(phone=[int(A[1:]), None, int(B[1:])]), A, B, default_region="CH"),
        case("long numbers.parquet", columnar(phone=[A, *LONG_NUMBERS, B]), A, B, max_rejected=0.95, rejected=BEYOND),
        case("long whole.parquet", columnar(phone=[int(number) for number in (A, *LONG_NUMBERS[:4], B)]), A, B,
             default_region="CH", max_rejected=0.95, rejected={BEYOND_E164: 4}),
        case("rounded.parquet", columnar(phone=pa.array([float(A[1:]), None, float(B[1:])], pa.float32())),
             error="rounded by a spreadsheet: 2", default_region="CH"),
        case("cut off.parquet", columnar(phone=[A])[:-9], error="can't be read as a parquet file"),
        case("text called.parquet", LINES, error="can't be read as a parquet file"),
        case("paper.pdf", "%PDF-1.7", error=".pdf files can't be read"),
    ]  # fmt: skip


def packed_cases() -> list[Case]:
    """Packed files."""
    packed = zipped(list__csv=TABLE)
    return [
        case("list.txt.gz", gzip.compress(LINES.encode()), A, B, rejected=BAD),
        case("table.csv.gz", gzip.compress(TABLE.encode()), A, B, rejected=BAD),
        case("members.gz", gzip.compress(f"{A}\n".encode()) + gzip.compress(f"{B}\n".encode()), A, B),
        case("list.txt.zst", zstd.compress(LINES.encode()), A, B, rejected=BAD),
        case("utf16.csv.zst", zstd.compress(TABLE.encode("utf-16")), A, B, rejected=BAD),
        case("book.xlsx.gz", gzip.compress(book(ROWS)), A, B, rejected=BAD),
        case("packed, not called so.txt", gzip.compress(LINES.encode()), A, B, rejected=BAD),
        case("cut off.gz", gzip.compress(LINES.encode())[:-6], error="it is damaged or cut off"),
        case("cut off.zst", zstd.compress(LINES.encode() * 99)[:-6], error="it is damaged or cut off"),
        case("checksum.gz", gzip.compress(LINES.encode())[:-8] + bytes(8), error="it is damaged or cut off"),
        case("table.zip", packed, A, B, rejected=BAD),
        case("book.zip", zipped(crm__xlsx=book(ROWS)), A, B, rejected=BAD),
        case("columns.zip", zipped(crm__parquet=columnar(phone=[A])), A),
        case("gz in.zip", zipped(crm__csv__gz=gzip.compress(TABLE.encode())), A, B, rejected=BAD),
        case("mac.zip", zipped(**{"a__txt": LINES, "__MACOSX/._a__txt": "x", "__DS_Store": "x"}), A, B, rejected=BAD),
        case("two.zip", zipped(a__txt=LINES, b__txt=LINES), error="holds several files .'a.txt', 'b.txt'"),
        case("open document called.xlsx", zipped(mimetype="application/vnd.oasis.opendocument.spreadsheet",
             content__xml="x"), error="another document than .xlsx; save it as .xlsx"),
        case("open document called.csv", zipped(mimetype="application/vnd.oasis.opendocument.spreadsheet",
             content__xml="x"), error="another document than .xlsx; save it as .xlsx"),
        case("two called.xlsx", zipped(a__txt=LINES, b__txt=LINES), error="another document than .xlsx"),
        case("none.zip", zipped(), error="holds no file"),
        case("locked.zip", locked(packed), error="the zip has a password"),
        case("broken.zip", packed[:60] + b"\xff" * 20 + packed[80:], error="it is damaged or cut off"),
        case("misplaced.zip", misplaced(packed), error="^misplaced.zip: this can't be unpacked: it is damaged"),
        case("old book in.zip", zipped(crm__xls="x"), error=".xls files can't be read"),
        case("thrice.gz", gzip.compress(gzip.compress(gzip.compress(b"x"))), error="packed more than 2 times over"),
        case("other.txt", bz2.compress(LINES.encode()), error="bzip2 files can't be read"),
    ]  # fmt: skip


CASES = [*text_cases(), *table_cases(), *file_cases(), *packed_cases()]
