from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.printed import (
    WIDTH,
    count,
    duration,
    master_lines,
    money,
    size,
    summary_text,
    table,
)

HERE = Path("/jobs/spring")
PLATFORM: dict[str, Any] = {
    "tasks": 2,
    "done": 1,
    "failed": 0,
    "held": 1,
    "unfinished": 0,
    "skipped": 0,
    "planned": 0,
    "at_the_vendor": 0,
    "verdicts": {"yes": 3, "no": 3, "unanswered": 1},
    "submits": 2,
    "status_calls": 4,
    "cost": 0.0007,
}

SUMMARY: dict[str, Any] = {
    "job": "spring",
    "serial": 3,
    "sandbox": False,
    "exit_code": 3,
    "ended_at": "2026-11-21T20:15:02Z",
    "numbers": {"read": 10, "accepted": 7, "duplicates": 2, "rejected": 1},
    "cost": 0.0007,
    "max_cost": 50.0,
    "findings": [],
    "platforms": {"instagram": PLATFORM},
    "master": [{"path": "master.csv", "sha256": "ab", "rows": 7}],
}


@pytest.mark.parametrize(
    ("usd", "expected"),
    [
        (None, "unknown"),
        (0.0, "0.00 USD"),
        (0.0007, "0.0007 USD"),
        (12.5, "12.50 USD"),
        (1_234.0, "1,234.00 USD"),
        (0.000000001, "0.000000001 USD"),
    ],
)
def test_money_shows_every_digit_that_counts(usd: float | None, expected: str) -> None:
    """Small costs are not rounded to nothing, and whole ones look like money."""
    assert money(usd) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0s"), (0.4, "0s"), (90, "1m30s"), (120, "2m"), (19_800, "5h30m"), (7_200, "2h"), (90_061, "25h1m")],
)
def test_durations_read_as_they_are_typed(seconds: float, expected: str) -> None:
    """Two units are enough, in the form that --deadline takes."""
    assert duration(seconds) == expected


def test_counts_have_separators() -> None:
    """A million can be told from ten million."""
    assert count(1_234_567) == "1,234,567"


def test_columns_are_aligned() -> None:
    """The first column stands left, numbers stand right, nothing trails."""
    assert table(("tasks", "all", "done"), [("instagram", "1,000", "7"), ("x", "1", "1,000")]) == [
        "tasks        all   done",
        "instagram  1,000      7",
        "x              1  1,000",
    ]


def test_a_wide_table_goes_on_below() -> None:
    """What does not fit the width follows under it, with the first column again."""
    assert table(("a", "bbbb", "cccc"), [("x", "1", "2")], width=8) == ["a  bbbb", "x     1", "a  cccc", "x     2"]


def test_a_column_that_never_fits_is_shown_all_the_same() -> None:
    """Better too wide than lost."""
    assert table(("a", "b" * 20), [("x", "1")], width=8)[0] == "a  " + "b" * 20


@given(
    st.lists(st.lists(st.integers(0, 10**12), min_size=8, max_size=8), min_size=1, max_size=4),
    st.integers(30, 100),
)
def test_tables_keep_to_the_width(numbers: list[list[int]], width: int) -> None:
    """Whatever the numbers, no line is wider, and each number is there."""
    rows = [[f"platform{i}", *map(count, row)] for i, row in enumerate(numbers)]
    lines = table(("tasks", *(f"column{i}" for i in range(8))), rows, width)
    assert max(map(len, lines)) <= width
    text = " ".join(lines).split()
    assert all(count(number) in text for row in numbers for number in row)


def test_the_end_of_a_run_fits_on_a_few_lines() -> None:
    """What `run` and `status` print: the run, the numbers, tasks and verdicts of each platform, cost, master."""
    assert summary_text(SUMMARY, HERE).splitlines() == [
        "spring: run 3 ended 2026-11-21T20:15:02Z",
        "exit code 3: something is held and needs a decision",
        "",
        "numbers  read  accepted  duplicates  rejected",
        "           10         7           2         1",
        "",
        "tasks      all  done  held  submits  status calls",
        "instagram    2     1     1        2             4",
        "",
        "verdicts   yes  no  unanswered",
        "instagram    3   3           1",
        "",
        "cost so far 0.0007 USD of at most 50.00 USD",
        "wrote /jobs/spring/master.csv, 7 numbers",
        "1 reject in /jobs/spring/rejected.csv",
        "2 duplicates in /jobs/spring/duplicates.csv",
        "",
        "for a person",
        "- 1 task held: status --held lists them, resolve decides",
        "- 1 number unanswered: retry plans them again",
    ]


def test_a_run_without_an_end_is_not_called_finished() -> None:
    """While a run lasts, or after it was killed, there is no exit code to show."""
    assert summary_text(SUMMARY | {"exit_code": None}, HERE).startswith("spring: run 3 running, or killed\n")


def test_a_job_without_a_run_says_so() -> None:
    """After `plan` alone there is a list, and nothing else."""
    text = summary_text(SUMMARY | {"serial": 0, "platforms": {}, "master": [], "max_cost": None, "cost": 0.0}, HERE)
    assert text.startswith("spring: not begun\n")
    assert "\n\ncost so far 0.00 USD\n" in text


def test_before_the_first_verdict_there_is_no_table_of_them() -> None:
    """A job that has just begun shows its tasks only."""
    text = summary_text(SUMMARY | {"platforms": {"instagram": PLATFORM | {"verdicts": {}}}}, HERE)
    assert "instagram" in text
    assert "verdicts" not in text


def test_made_up_verdicts_are_marked() -> None:
    """Nobody takes the embedded vendor's verdicts for real ones."""
    text = summary_text(SUMMARY | {"sandbox": True}, HERE)
    assert "(sandbox: no verdict is real)" in text
    assert "cost: none, the embedded vendor is free" in text
    assert "USD" not in text


@pytest.mark.parametrize("width", [30, 40])
def test_the_summary_keeps_to_a_narrow_terminal(width: int) -> None:
    """Every table follows the width that it is given; only sentences may be longer."""
    tables = [line for line in summary_text(SUMMARY, HERE, width).splitlines() if "  " in line]
    assert tables
    assert max(map(len, tables)) <= width


def test_a_huge_job_keeps_to_the_width() -> None:
    """A hundred million numbers on ten platforms still fit 60 columns."""
    big = dict.fromkeys(PLATFORM, 100_000_000) | {"verdicts": dict.fromkeys(("yes", "no", "ban"), 10**8), "cost": 1e5}
    platforms = {f"platform{i}": big for i in range(10)}
    text = summary_text(SUMMARY | {"platforms": platforms, "numbers": dict.fromkeys(SUMMARY["numbers"], 10**9)}, HERE)
    assert max(map(len, text.partition("for a person")[0].splitlines())) <= WIDTH


def test_files_of_the_master_are_named() -> None:
    """Each with its rows."""
    assert master_lines(SUMMARY["master"], HERE) == ["wrote /jobs/spring/master.csv, 7 numbers"]


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10,000.0 GB")],
)
def test_sizes_have_a_unit_that_fits(size_bytes: int, expected: str) -> None:
    """A person reads four digits, not thirteen."""
    assert size(size_bytes) == expected
