"""Nothing vanishes: each run of seven or more digits in the columns of numbers is found again in what the job writes.

Messy tables are drawn by seed, and written by the programs that people use. The oracle shares no code with the readers:
it knows of each cell which numbers it was made from, and looks for their digits in the files.
"""

from __future__ import annotations

import csv
import io
import random
import unicodedata
from typing import TYPE_CHECKING

import openpyxl
import pytest
import pytest_asyncio
import xlsxwriter  # type: ignore[import-untyped]  # it has no types

from orchestrator.intake import read_list
from orchestrator.intake.plan import ChunkLimits
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from .conftest import MakeJob

LETTERS = "abcdefghijklmnopqrstuvwxyz\u00e4\u00e9\u00f1\u015f\u0142\u0434\u05d0"

pytestmark = pytest.mark.asyncio(loop_scope="module")

Row = list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> AsyncGenerator[Workers, None]:
    async with Workers(1) as pool:
        yield pool


def digits_of(text: str) -> str:
    return "".join(str(unicodedata.decimal(sign)) for sign in text if sign.isdecimal())


def word(rnd: random.Random) -> str:
    """Draw a word of any letters: nine words that were thought of would miss what the tenth does."""
    return "".join(rnd.choice(LETTERS) for _ in range(rnd.randint(1, 9)))


def spelt(rnd: random.Random) -> str:
    """Draw a number as people write it, or something that looks like one."""
    digits = "".join(rnd.choice("0123456789") for _ in range(rnd.randint(7, 11)))
    whole = rnd.choice(
        ["+41798" + digits[:6], "+4930" + digits[:8], "079" + digits[:7], "0041 44 " + digits[:7], digits]
    )
    sign = rnd.choice(["", "", "", " ", "-", "/", ".", "\u202f", "\u2009", "\u00a0", "\u200e"])
    for place in sorted(rnd.sample(range(3, len(whole)), rnd.randint(0, 3)), reverse=True):
        whole = whole[:place] + sign + whole[place:]
    return (
        rnd.choice(["", "", "", word(rnd) + " ", "tel:", "(", "'"]) + whole + rnd.choice(["", "", "", " " + word(rnd)])
    )


def cell(rnd: random.Random, made: list[str]) -> str:
    """Draw a cell of a column of numbers: none, one, several, or something else; add to `made` which numbers it has."""
    kind = rnd.random()
    if kind < 0.15:
        return rnd.choice(["", " ", "n/a", word(rnd), "12", "31.12.2026", "1.23E+10"])
    between = rnd.choice([";", ", ", " / ", "/", " | ", "\n", " or ", " ext. ", "  ", " " + word(rnd) + " "])
    numbers = [spelt(rnd) for _ in range(1 if kind < 0.7 else rnd.randint(2, 3))]
    made += map(digits_of, numbers)
    return between.join(numbers)


def table(rnd: random.Random, made: list[str]) -> list[Row]:
    """Draw a table with two columns of numbers of one name, between others, below titles or none."""
    rows = [["Name", "Phone", "Note", "Phone"]]
    for _ in range(rnd.randint(5, 25)):
        note = rnd.choice(["", word(rnd), f'{word(rnd)}, "{word(rnd)}"', f"{word(rnd)}\n{word(rnd)}", '5" pipe'])
        rows.append([word(rnd), cell(rnd, made), note, cell(rnd, made)])
    return [[f"Report {word(rnd)}", "", "", ""]] * rnd.randint(0, 3) + rows


def as_csv(path: Path, rows: list[Row], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    path.with_suffix(".csv").write_bytes(text.getvalue().encode(encoding, "replace"))
    return path.with_suffix(".csv")


def by_hand(path: Path, rows: list[Row]) -> Path:
    """Write a csv file as one that never heard of quotes: what would break a row is written otherwise."""
    lines = ["\t".join(text.replace("\n", " | ") for text in row) for row in rows]
    path.with_suffix(".tsv").write_text("\r\n".join(lines))
    return path.with_suffix(".tsv")


def torn(path: Path, rows: list[Row]) -> Path:
    """Write a csv file with quotes that are opened and not closed."""
    text = as_csv(path, rows).read_text().splitlines(keepends=True)
    for place in range(len(rows) // 2, len(text), 4):
        text[place] = f'"{text[place]}'
    path.with_suffix(".csv").write_text("".join(text))
    return path.with_suffix(".csv")


def by_openpyxl(path: Path, rows: list[Row]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append([int(text) if text.isdecimal() and text[0] != "0" else text for text in row])
    book.create_sheet("Old").sheet_state = "hidden"
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


def by_xlsxwriter(path: Path, rows: list[Row]) -> Path:
    with xlsxwriter.Workbook(path.with_suffix(".xlsx"), {"strings_to_formulas": False}) as book:
        sheet = book.add_worksheet()
        for place, row in enumerate(rows):
            for column, text in enumerate(row):
                sheet.write_string(place, column, text)
    return path.with_suffix(".xlsx")


def by_pandas(path: Path, rows: list[Row]) -> Path:
    pd = pytest.importorskip("pandas", reason="pandas is not installed (pip install -e '.[dev]')")
    pd.DataFrame(rows).to_excel(path.with_suffix(".xlsx"), index=False, header=False)
    return path.with_suffix(".xlsx")


WRITERS: dict[str, Callable[[Path, list[Row]], Path]] = {
    "csv": as_csv,
    "semicolons": lambda path, rows: as_csv(path, rows, ";"),
    "utf-16": lambda path, rows: as_csv(path, rows, "\t", "utf-16"),
    "code page": lambda path, rows: as_csv(path, rows, ";", "cp1252"),
    "by hand": by_hand,
    "torn quotes": torn,
    "openpyxl": by_openpyxl,
    "xlsxwriter": by_xlsxwriter,
    "pandas": by_pandas,
}


def found_in(directory: Path) -> list[str]:
    """Return the digits of all numbers of the chunks, and of all texts that stand in the two tables beside them."""
    found = [digits_of(line) for path in directory.glob("chunks/*.txt") for line in path.read_text().split()]
    for name in ("rejected.csv", "duplicates.csv"):
        with (directory / name).open(encoding="utf-8", newline="") as file:
            found += [digits_of(cell) for row in csv.DictReader(file) for cell in (row["raw"], row.get("number") or "")]
    return found


def is_there(run: str, found: str) -> bool:
    """Whether a run of digits stands in what was found: national numbers get their country's code, and lose a zero."""
    tail = run.removeprefix("00").removeprefix("0")
    return any(form in found for form in (run, tail, tail.removeprefix("410"), tail.removeprefix("490")))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", range(6))
async def test_each_run_of_digits_is_found_again(
    workers: Workers, make_job: MakeJob, tmp_path: Path, name: str, seed: int
) -> None:
    """Whatever program wrote the table: accepted, a duplicate, or rejected, and the counts add up."""
    rnd = random.Random(f"{name} {seed}")  # noqa: S311 - the same every time
    made: list[str] = []
    rows = table(rnd, made)
    path = WRITERS[name](tmp_path / "crm", rows)
    job = make_job(path.name, column=("Phone", "Phone#2"), default_region="CH", max_rejected=1.0)
    read = await read_list(job, lambda _: ChunkLimits(1000, 1, 1000), workers)
    counts = read.counts
    assert counts.read == counts.accepted + counts.duplicates + counts.rejected
    found = "\n".join(found_in(job.directory))
    assert [digits for digits in made if not is_there(digits, found)] == []
