"""A result file is believed or refused as a whole, and never mixes numbers up."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import DamagedResultError, PieceDiedError, StorageError
from orchestrator.files import sha256_of
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck, ResultReport, check_limits
from orchestrator.results.check import check_result
from orchestrator.workers import Workers

Check = Callable[..., ResultReport]
Make = Callable[..., bytes]
Rows = list[list[object]]
Words = Callable[[], list[str]]


def test_plain_result(check: Check, xlsx: Make, rows: Rows, expected: list[str], verdicts: Words) -> None:
    """Every number of the chunk gets the verdict of its row, and the counts add up to the chunk."""
    report = check(xlsx(rows), success=400)
    assert verdicts() == expected
    assert list(report.counts.items()) == [("yes", 134), ("no", 266)], "in the order in which they are shown everywhere"
    assert (report.rows, report.foreign, report.contradictions, report.doubled) == (400, 0, 0, 0)


@pytest.mark.parametrize(
    ("header", "rest", "answered"),
    [
        (["number", "carrier", "region"], ["Swisscom", ""], True),
        (["region", "x", "number"], ["", "Bern"], False),
        (["no", "number", "carrier", "region"], [7, "", ""], False),
        (["number", "carrier", "region", "msg"], ["", " ", "insufficient balance"], False),
    ],
)
def test_an_answer_without_a_verdict(
    check: Check, csv_text: Make, numbers: list[str], header: list[str], rest: list[object], *, answered: bool
) -> None:
    """A number is answered where a column that is wanted says something, whatever else stands in its row."""
    place = header.index("number")
    content = csv_text([header, *([*rest[:place], number, *rest[place:]] for number in numbers)])
    report = check(content, columns=("carrier", "Region"), without_verdict=True)
    assert report.answered == (len(numbers) if answered else 0)


@pytest.mark.parametrize("column", ["msg", "instagram"])
def test_no_column_that_is_wanted(check: Check, csv_text: Make, numbers: list[str], column: str) -> None:
    """A table of messages, or of another platform's verdicts, is none of a platform without a verdict."""
    content = csv_text([["number", column], *([number, "yes"] for number in numbers)])
    with pytest.raises(DamagedResultError, match=r"no table with a column for numbers .* and one of: carrier, region"):
        check(content, columns=("carrier", "region"), without_verdict=True)


def test_hashes_are_of_the_files(check: Check, xlsx: Make, rows: Rows, tmp_path: Path) -> None:
    """The report names the bytes that were read and the bytes that were written, so that both can be verified."""
    report = check(xlsx(rows))
    assert report.result_sha256 == sha256_of(tmp_path / "result")
    assert report.verdicts_sha256 == sha256_of(tmp_path / "verdicts.bin")


def test_written_file_names_task_and_chunk(check: Check, xlsx: Make, rows: Rows, tmp_path: Path) -> None:
    """The verdict file says which task the verdicts came from and which chunk they belong to."""
    check(xlsx(rows))
    written = read_verdicts(tmp_path / "verdicts.bin")
    assert written.task_id == "cs9viu7i61pkfs4oavvg"
    assert len(written.chunk_sha256) == 64
    assert written.words[0] == "unanswered"


def test_order_of_rows_does_not_matter(
    check: Check, csv_text: Make, rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """Rows are matched by number, not by place."""
    shuffled = rows[1:]
    random.Random(7).shuffle(shuffled)  # noqa: S311 - a fixed order
    check(csv_text([rows[0], *shuffled]))
    assert verdicts() == expected


def test_numeric_cells_without_plus(check: Check, xlsx: Make, rows: Rows, expected: list[str], verdicts: Words) -> None:
    """A number may be a numeric cell, its plus sign gone."""
    check(xlsx([rows[0], *([int(str(number)), word] for number, word in rows[1:])]))
    assert verdicts() == expected


def test_missing_rows_are_unanswered(check: Check, csv_text: Make, rows: Rows, verdicts: Words) -> None:
    """A number without a row, or with an empty one, is unanswered and not a no."""
    report = check(csv_text([rows[0], *rows[2:-1], [rows[1][0], ""]]))
    assert verdicts()[0] == "unanswered"
    assert verdicts()[-1] == "unanswered"
    assert report.counts["unanswered"] == 2
    assert report.rows == 399


def test_foreign_rows_are_dropped_and_counted(
    check: Check, csv_text: Make, rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """Rows of other numbers, and rows of no number, are dropped and counted; blank lines are not."""
    odd: Rows = [["+12025550123", "yes"], ["total", "400"], ["", "no"], ["", ""]]
    report = check(csv_text([rows[0], *odd, *rows[1:]]))
    assert report.foreign == 3
    assert "400" not in report.counts
    assert verdicts() == expected


def test_doubled_rows_that_agree(
    check: Check, csv_text: Make, rows: Rows, expected: list[str], verdicts: Words
) -> None:
    """Doubled rows that agree are counted and change nothing."""
    report = check(csv_text([*rows, *rows[1:11]]), success=400)
    assert (report.doubled, report.contradictions, report.rows) == (10, 0, 400)
    assert verdicts() == expected


def test_doubled_rows_that_contradict(check: Check, csv_text: Make, rows: Rows, verdicts: Words) -> None:
    """A number whose rows contradict each other is unanswered and counted."""
    report = check(csv_text([*rows, [rows[1][0], "no"]]))
    assert report.contradictions == 1
    assert verdicts()[0] == "unanswered"


def test_no_row_of_the_chunk(check: Check, csv_text: Make, tmp_path: Path) -> None:
    """A file that holds no row of the chunk is damaged, and nothing is written."""
    with pytest.raises(DamagedResultError, match="no number of the chunk"):
        check(csv_text([["Number", "instagram"], ["+12025550123", "yes"]]))
    assert not (tmp_path / "verdicts.bin").exists()


@pytest.mark.parametrize(("foreign", "damaged"), [(400, False), (401, True)])
def test_mostly_foreign_rows(check: Check, csv_text: Make, rows: Rows, foreign: int, damaged: bool) -> None:  # noqa: FBT001 - a parameter
    """A file with more foreign rows than rows of the chunk is damaged."""
    content = csv_text([*rows, *([f"+1202555{i:04d}", "yes"] for i in range(foreign))])
    if damaged:
        with pytest.raises(DamagedResultError, match="mostly foreign"):
            check(content)
    else:
        assert check(content).foreign == foreign


@pytest.mark.parametrize(("missing", "damaged"), [(4, False), (5, True)])
def test_fewer_rows_than_reported(check: Check, csv_text: Make, rows: Rows, missing: int, damaged: bool) -> None:  # noqa: FBT001 - a parameter
    """A file may stay one per cent below the vendor's `success`, not more; doubled rows do not fill the gap."""
    content = csv_text([*rows[: len(rows) - missing], *rows[1:6]])
    if damaged:
        with pytest.raises(DamagedResultError, match="the vendor reported 400"):
            check(content, success=400)
    else:
        assert check(content, success=400).rows == 400 - missing
    assert check(content, success=None).rows == 400 - missing


def test_success_above_total(check: Check, csv_text: Make, rows: Rows) -> None:
    """A vendor that reports slightly more successes than it was sent numbers is tolerated."""
    assert check(csv_text(rows), success=450).rows == 400


def test_missing_files_are_the_disks_fault(check: Check, csv_text: Make, rows: Rows, tmp_path: Path) -> None:
    """A chunk file that is not one is an error of the disk, not of the result."""
    check(csv_text(rows))
    (tmp_path / "chunk.txt").write_text("+41791234567\nx\n")
    with pytest.raises(StorageError, match=r"chunk\.txt"):
        check_result(
            ResultCheck(
                result=tmp_path / "result",
                chunk=tmp_path / "chunk.txt",
                verdicts=tmp_path / "verdicts.bin",
                platform="instagram",
                columns=(),
                task_id="t",
                success=None,
            )
        )


def test_messages_hold_no_numbers(check: Check, csv_text: Make) -> None:
    """What is said about a damaged file never shows a telephone number."""
    for rows in ([["+12025550123", "yes"]], [["Number", "instagram"], ["+12025550123", "yes"]]):
        with pytest.raises(DamagedResultError) as caught:
            check(csv_text(rows))
        assert "2025550123" not in str(caught.value)


def test_words_of_foreign_rows_are_not_kept(check: Check, csv_text: Make, rows: Rows, tmp_path: Path) -> None:
    """A word that only foreign rows have does not get into the verdict file."""
    check(csv_text([rows[0], ["+12025550123", "zebra"], *rows[1:]]))
    assert set(read_verdicts(tmp_path / "verdicts.bin").words) == {"unanswered", "yes", "no"}


@pytest.mark.parametrize("form", ["zip", "zip, the other first", "sheets", "sheets, the other first"])
@pytest.mark.parametrize(
    "says",
    ["customer {}", "{} " + "x" * 64, "+41 79 828 {:04d}"],
    ids=["too many words", "texts", "telephone numbers"],
)
def test_a_table_without_verdicts_costs_itself(
    check: Check,
    zipped: Make,
    csv_text: Make,
    xlsx: Make,
    rows: Rows,
    verdicts: Words,
    expected: list[str],
    *,
    form: str,
    says: str,
) -> None:
    """What can't be the verdicts of another table, or of another sheet, takes nothing from those that are."""
    detail: Rows = [["Number", "activated"], *([number, says.format(i)] for i, (number, _) in enumerate(rows[1:]))]
    tables = {"1": rows[:-1], "0" if form.endswith("first") else "2": detail}
    if form.startswith("zip"):
        content = zipped({f"{name}.csv": csv_text(table) for name, table in tables.items()})
    else:
        content = xlsx(*(tables[name] for name in sorted(tables)))
    report = check(content)
    assert verdicts() == [*expected[:-1], "unanswered"]
    assert (report.rows, report.odd, report.overruled) == (399, 0, 0)


def test_sheets_that_contradict(check: Check, xlsx: Make, rows: Rows, verdicts: Words, expected: list[str]) -> None:
    """The sheets of a workbook are one table: a number that they contradict each other about is unanswered."""
    report = check(xlsx(rows[:300], [rows[0], [rows[1][0], "ban"], *rows[300:]]))
    assert verdicts() == ["unanswered", *expected[1:]]
    assert (report.overruled, report.contradictions, report.doubled) == (0, 1, 1)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
@pytest.mark.parametrize(("other", "number"), [("id", "Kontakt"), ("time", "Phone No"), ("number", "phone")])
@pytest.mark.parametrize("verdict", ["instagram", "activated"])
def test_columns_that_look_like_others(
    check: Check,
    csv_text: Make,
    xlsx: Make,
    rows: Rows,
    verdicts: Words,
    expected: list[str],
    *,
    kind: str,
    other: str,
    number: str,
    verdict: str,
) -> None:
    """Ids or times that may be telephone numbers hide no column, nor does an empty one of the platform's name."""
    header = [other, number, "instagram", "activated"]
    table = [
        [10_000_001 + i, n, *((w, "") if verdict == "instagram" else ("", w))] for i, (n, w) in enumerate(rows[1:])
    ]
    report = check((csv_text if kind == "csv" else xlsx)([header, *table]))
    assert verdicts() == expected
    assert report.foreign == 0


def test_same_input_same_bytes(check: Check, csv_text: Make, rows: Rows, tmp_path: Path) -> None:
    """The same result gives the same verdict file, byte for byte."""
    written = set()
    for _ in range(2):
        check(csv_text(rows))
        written.add((tmp_path / "verdicts.bin").read_bytes())
    assert len(written) == 1


@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_against_a_plain_reading(
    data: st.DataObject, check: Check, csv_text: Make, numbers: list[str], verdicts: Words
) -> None:
    """For any rows, the verdicts are those of a dictionary that remembers every number's distinct answers."""
    pool = [*numbers[:30], "+12025550123", "nothing"]
    rows = data.draw(st.lists(st.tuples(st.sampled_from(pool), st.sampled_from(["yes", "no", "ban", ""])), max_size=60))
    rows.append((numbers[0], "yes"))
    said: dict[str, set[str]] = {}
    for number, word in rows:
        said.setdefault(number, set()).update({word} - {""})
    foreign = sum(number not in numbers for number, _ in rows)
    content = csv_text([("Number", "instagram"), *rows])
    if foreign > len(rows) - foreign:
        with pytest.raises(DamagedResultError):
            check(content)
        return
    report = check(content)
    answers = [said.get(number, set()) for number in numbers]
    assert verdicts() == [next(iter(words)) if len(words) == 1 else "unanswered" for words in answers]
    assert report.contradictions == sum(len(words) > 1 for words in answers)
    assert report.foreign == foreign
    assert sum(report.counts.values()) == len(numbers)


def test_many_rows_in_bounded_memory(check: Check, csv_text: Make, numbers: list[str], tmp_path: Path) -> None:
    """More rows than one batch are matched as one table."""
    numbers[:] = [f"+49151{i:08d}" for i in range(150_000)]
    report = check(csv_text([["Number", "instagram"], *([n, "yes" if i % 2 else "no"] for i, n in enumerate(numbers))]))
    assert report.counts == {"no": 75_000, "yes": 75_000}
    codes = np.frombuffer(read_verdicts(tmp_path / "verdicts.bin").codes, np.uint8)
    assert np.array_equal(codes[::2], np.full(75_000, codes[0]))


def test_limits_follow_the_rows() -> None:
    """A check of more rows may take more, and of a few rows enough for the imports."""
    small, large = check_limits(100), check_limits(10_000_000)
    assert small.memory_bytes is not None
    assert large.memory_bytes is not None
    assert small.cpu_s >= 30
    assert large.cpu_s > 1000
    assert 512 << 20 <= small.memory_bytes < large.memory_bytes


async def test_a_file_that_hoards_costs_that_file(tmp_path: Path) -> None:
    """Whatever a file makes a library ask for, its check dies within its limits, and the next one is done."""
    async with Workers(1) as workers:
        with pytest.raises(PieceDiedError):
            await workers.run(hoard_like_a_library, tmp_path, limits=check_limits(400))
        assert await workers.run(len, "next", limits=check_limits(400)) == 4


def hoard_like_a_library(_: Path) -> int:
    return len(np.ones(1 << 30, np.uint8))
