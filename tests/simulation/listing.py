"""The list of a seed, as text or as a table, and as it grows; and what is accepted of it, apart from the program."""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

Keep = bool | tuple[str, ...]
"""The setting keep_columns: all, none, or by name."""
KINDS = ("txt", "csv", "tsv", "xlsx", "parquet")
HEADER = ("name", "phone", "city")
CITIES = ("Bern", 'Zürich, "Altstadt"', "", "Genève")
NUMBER = re.compile(r"\+417[689]\d{7}")
JUNK = ("n/a", "12", "call me", "+", "+999123456789", "0" * 40)


def numbers_in(lines: Sequence[str]) -> tuple[str, ...]:
    """Return what is accepted of a list, in the order of first appearance."""
    return tuple(dict.fromkeys(line.strip() for line in lines if NUMBER.fullmatch(line.strip())))


def counts_of(lines: Sequence[str]) -> dict[str, int]:
    """Count the lines of a list as the program should."""
    good = sum(1 for line in lines if NUMBER.fullmatch(line.strip()))
    accepted = len(numbers_in(lines))
    return {"read": len(lines), "accepted": accepted, "duplicates": good - accepted, "rejected": len(lines) - good}


def kept_of(lines: Sequence[str], keep: Keep) -> dict[str, list[str]]:
    """Return each accepted number's cells of the columns that are kept, from its first appearance."""
    places = [HEADER.index(name) for name in kept_names(keep)]
    first: dict[str, list[str]] = {}
    for row in _rows(lines):
        first.setdefault(row[1].strip(), [row[place] for place in places])
    return {number: first[number] for number in numbers_in(lines)}


def kept_names(keep: Keep) -> list[str]:
    """Return the names of the kept columns, as they stand in the master."""
    if isinstance(keep, tuple):
        return list(keep)
    return ["name", "city"] if keep else []


def _rows(lines: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return ((f"n{place}", line, CITIES[place % len(CITIES)]) for place, line in enumerate(lines))


def write_list(path: Path, kind: str, lines: Sequence[str]) -> None:
    """Put a list into a file of a kind."""
    match kind:
        case "txt":
            path.write_text("\n".join(lines) + "\n")
        case "csv" | "tsv":
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, "excel" if kind == "csv" else "excel-tab").writerows([HEADER, *_rows(lines)])
        case "xlsx":
            _write_workbook(path, lines)
        case _:
            _write_parquet(path, lines)


def _write_workbook(path: Path, lines: Sequence[str]) -> None:
    import xlsxwriter  # type: ignore[import-untyped]  # noqa: PLC0415 - few seeds need it

    with xlsxwriter.Workbook(path, {"strings_to_numbers": False, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate([HEADER, *_rows(lines)]):
            for column, cell in enumerate(row):
                sheet.write_string(place, column, cell)


def _write_parquet(path: Path, lines: Sequence[str]) -> None:
    import pyarrow as pa  # noqa: PLC0415 - few seeds need it
    from pyarrow import parquet as pq  # noqa: PLC0415

    columns = zip(*_rows(lines), strict=True)
    pq.write_table(pa.table({name: list(cells) for name, cells in zip(HEADER, columns, strict=True)}), path)


def drawn_lines(chance: random.Random) -> tuple[str, ...]:
    """Draw a list of neighbours and strangers, with duplicates and junk between them."""
    count = chance.choice((20, 30, 40, 80, 120, 200))
    start = chance.randrange(1_000_000, 9_000_000)
    pool = [f"+4179{number:07d}" for number in range(start, start + count)]
    if chance.random() < 0.5:
        chance.shuffle(pool)
    lines: list[str] = []
    for number in pool:
        lines.append(number)
        if chance.random() < 0.05:
            lines.append(f" {chance.choice(lines)} ")
        if chance.random() < 0.03:
            lines.append(chance.choice(JUNK))
    return tuple(lines)


def grown(chance: random.Random, lines: Sequence[str], prefix: str) -> tuple[str, ...]:
    """Draw what a list has become: new numbers, which begin with `prefix`, more duplicates and junk, anywhere."""
    longer = list(lines)
    start = chance.randrange(1_000_000, 9_000_000)
    anywhere = chance.random() < 0.5
    for number in range(start, start + chance.choice((0, 1, 7, 25))):
        new = [f"{prefix}{number:07d}"]
        new += [chance.choice(longer)] if chance.random() < 0.1 else []
        new += [chance.choice(JUNK)] if chance.random() < 0.1 else []
        at = chance.randint(0, len(longer)) if anywhere else len(longer)
        longer[at:at] = new
    return tuple(longer)
