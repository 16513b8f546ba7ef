"""Results as another writer would write them: other headers, words, columns, order and kinds of file; or a part only.

Drawn at random, words above all: what was thought of is what a reader was written for.
"""

from __future__ import annotations

import csv
import io
import random
import re
import string
import zipfile
from collections.abc import Sequence

from openpyxl import Workbook

SPELLINGS = {
    "yes": ("yes", "YES", " Yes", "true", "TRUE", "1", "1.0", "sí", "si", "evet", "是"),
    "no": ("no", "No", "NO ", "false", "0", "0.0", "hay\N{LATIN SMALL LETTER DOTLESS I}r", "否"),
}
NUMBER_HEADERS = ("Number", "number", "NUMBER", "Phone", "Mobile Number")
SHARES = (0.0, 0.05, 0.5, 0.8, 0.98)

Rows = Sequence[tuple[str, str]]
"""Number and verdict."""


def respelt(chance: random.Random, platform: str, rows: Rows) -> tuple[bytes, dict[str, str]]:
    """Return a file of the same results, and the cell that each number has by it."""
    spelt: dict[str, tuple[str, str]] = {}
    for word in dict.fromkeys(word.lower() for _, word in rows):
        if word in SPELLINGS:
            spelt[word] = (chance.choice(SPELLINGS[word]), word)
        else:
            other = "".join(chance.choices(string.ascii_lowercase, k=chance.randint(6, 12)))
            spelt[word] = (chance.choice((other, other.upper(), f" {other} ")), other)
    cells = {number: spelt[word.lower()][1] for number, word in rows}
    return _file(chance, platform, [(number, spelt[word.lower()][0]) for number, word in rows]), cells


def part(chance: random.Random, platform: str, rows: Rows) -> tuple[bytes, dict[str, str]]:
    """Return a file of some of the results only, the same for the same rows in most cases."""
    share = chance.choice(SHARES)
    kept = [row for at, row in enumerate(rows) if at < len(rows) * share]
    lines = [f"Number,{platform}", *(f"{number},{word}" for number, word in kept)]
    return "\n".join([*lines, ""]).encode(), {number: word.lower() for number, word in kept}


_MOMENT = re.compile(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def _file(chance: random.Random, platform: str, rows: Rows) -> bytes:
    plus = chance.random() < 0.5
    lines = [[number if plus else number.lstrip("+"), word] for number, word in rows]
    header = [
        chance.choice(NUMBER_HEADERS),
        chance.choice((platform, platform.upper(), platform.title(), "activated", "Activated")),
    ]
    if chance.random() < 0.5:
        chance.shuffle(lines)
    for _ in range(chance.choice((0, 0, 1, 3))):
        at = chance.randint(0, len(header))
        header.insert(at, "x" + "".join(chance.choices(string.ascii_letters, k=6)))
        for line in lines:
            line.insert(at, "".join(chance.choices(string.ascii_letters, k=chance.randint(0, 9))))
    kind = chance.choice(("csv", "csv", "xlsx", "zip"))
    if kind == "xlsx":
        return _workbook([header, *lines])
    text = io.StringIO()
    writer = csv.writer(text, delimiter=chance.choice(",;\t"), lineterminator=chance.choice(("\n", "\r\n")))
    writer.writerows([header, *lines])
    content = text.getvalue().encode(chance.choice(("utf-8", "utf-8-sig")))
    if kind == "csv":
        return content
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{chance.choice(('all', 'result', 'wa'))}.csv"), content)
    return packed.getvalue()


def _workbook(lines: list[list[str]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("w")
    for line in lines:
        sheet.append(line)
    file = io.BytesIO()
    book.save(file)
    # The moment of its making stands in it; packed, it is a byte longer or shorter from one second to the next.
    always = io.BytesIO()
    with zipfile.ZipFile(file) as made, zipfile.ZipFile(always, "w") as archive:
        for name in made.namelist():
            content = _MOMENT.sub(b"2026-01-01T00:00:00Z", made.read(name))
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return always.getvalue()
