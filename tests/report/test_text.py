from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.report.text import (
    HELP_WITH,
    WIDTH,
    count,
    duration,
    held_text,
    master_lines,
    merge_text,
    money,
    plan_text,
    purge_text,
    retry_text,
    settled_text,
    size,
    summary_text,
    table,
    verify_text,
)

PLAN: dict[str, Any] = {
    "exit_code": 0,
    "numbers": {"read": 1_234_567, "accepted": 1_200_000, "duplicates": 34_000, "rejected": 567},
    "rejected_by_reason": {"not a number": 500, "no country code": 60, "too short": 7},
    "from_text": 0,
    "chunks": 60,
    "platforms": {
        "instagram": {"tasks": 60, "numbers": 1_200_000, "skipped": 0, "cost": 120.0},
        "amazon": {"tasks": 59, "numbers": 1_199_990, "skipped": 1, "cost": None},
    },
    "cost": None,
    "max_cost": 50.0,
    "findings": [],
}

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


def test_the_plan_says_numbers_rejects_chunks_and_cost() -> None:
    """What `plan` prints, as it stands on the screen."""
    assert plan_text(PLAN).splitlines() == [
        "numbers       read   accepted  duplicates  rejected",
        "         1,234,567  1,200,000      34,000       567",
        "",
        "rejected",
        "not a number     500",
        "no country code   60",
        "too short          7",
        "not a number: is it a table? [job] column names the right column",
        'no country code: if they are all of one country, name it: [job] default_region = "CH" reads them as Swiss',
        "",
        "60 chunks",
        "platform   tasks    numbers  skipped        cost",
        "instagram     60  1,200,000        0  120.00 USD",
        "amazon        59  1,199,990        1     unknown",
        "planned cost unknown, max_cost 50.00 USD",
    ]


def test_the_plan_ends_with_what_was_found() -> None:
    """Findings, numbers out of other text and a missing budget are said where they can't be overlooked."""
    text = plan_text(PLAN | {"findings": ["the balance is 1 USD"], "from_text": 1_000, "max_cost": None})
    assert text.endswith("\n\nfindings\n- the balance is 1 USD")
    assert "1,000 accepted numbers stood inside other text" in text
    assert "no max_cost is set" in text


def test_a_list_without_rejects_has_no_such_table() -> None:
    """Nothing is said about nothing."""
    assert "\nrejected\n" not in plan_text(PLAN | {"rejected_by_reason": {}})


def test_every_hint_is_for_a_reason_that_exists() -> None:
    """The hints follow the closed list of reasons."""
    from orchestrator.intake import Reason  # noqa: PLC0415 - only this test needs it

    assert set(HELP_WITH) <= {reason.value for reason in Reason}


def test_the_end_of_a_run_fits_on_a_few_lines() -> None:
    """What `run` and `status` print: the run, the numbers, tasks and verdicts of each platform, cost, master."""
    assert summary_text(SUMMARY).splitlines() == [
        "spring: run 3 ended 2026-11-21T20:15:02Z, exit code 3",
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
        "wrote master.csv, 7 numbers",
    ]


def test_a_run_without_an_end_is_not_called_finished() -> None:
    """While a run lasts, or after it was killed, there is no exit code to show."""
    assert summary_text(SUMMARY | {"exit_code": None}).startswith("spring: run 3 running, or killed\n")


def test_a_job_without_a_run_says_so() -> None:
    """After `plan` alone there is a list, and nothing else."""
    text = summary_text(SUMMARY | {"serial": 0, "platforms": {}, "master": [], "max_cost": None, "cost": 0.0})
    assert text.startswith("spring: not begun\n")
    assert text.endswith("\n\ncost so far 0.00 USD")


def test_before_the_first_verdict_there_is_no_table_of_them() -> None:
    """A job that has just begun shows its tasks only."""
    text = summary_text(SUMMARY | {"platforms": {"instagram": PLATFORM | {"verdicts": {}}}})
    assert "instagram" in text
    assert "verdicts" not in text


def test_made_up_verdicts_are_marked() -> None:
    """Nobody takes the embedded vendor's verdicts for real ones."""
    assert "(sandbox: no verdict is real)" in summary_text(SUMMARY | {"sandbox": True})


def test_a_huge_job_keeps_to_the_width() -> None:
    """A hundred million numbers on ten platforms still fit 60 columns."""
    big = dict.fromkeys(PLATFORM, 100_000_000) | {"verdicts": dict.fromkeys(("yes", "no", "ban"), 10**8), "cost": 1e5}
    platforms = {f"platform{i}": big for i in range(10)}
    text = summary_text(SUMMARY | {"platforms": platforms, "numbers": dict.fromkeys(SUMMARY["numbers"], 10**9)})
    assert max(map(len, text.splitlines())) <= WIDTH


def test_a_held_task_can_be_found_at_the_vendor() -> None:
    """The name of the file that was sent, when, the id if one is known, and why it is held."""
    task = {
        "task": "instagram/000017",
        "state": "in doubt",
        "numbers": 20_000,
        "sent_as": "spring-instagram-000017-ab12cd34.txt",
        "sent_at": "2025-11-21T20:15:02Z",
        "cost": 2.0,
        "task_id": None,
        "reason": "connection reset",
        "ways_out": [
            {"command": "orchestrator resolve instagram/000017 --give-up -c spring.toml", "when": "do without"}
        ],
    }
    failed = task | {"task": "instagram/000018", "state": "failed", "sent_as": None, "sent_at": None, "cost": 0.0}
    content = {
        "held_tasks": [task],
        "failed_tasks": [failed | {"task_id": "3f1b", "ways_out": []}],
        "decided_tasks": [],
    }
    assert held_text(content).splitlines() == [
        "instagram/000017  in doubt  20,000 numbers",
        "    sent as  spring-instagram-000017-ab12cd34.txt",
        "    sent at  2025-11-21T20:15:02Z",
        "    cost     2.00 USD, which the vendor may have charged",
        "    task id  not known",
        "    reason   connection reset",
        "    orchestrator resolve instagram/000017 --give-up -c spring.toml  # do without",
        "",
        "failed",
        "instagram/000018  failed  20,000 numbers",
        "    sent as  not sent",
        "    sent at  not sent",
        "    cost     nothing so far",
        "    task id  3f1b",
        "    reason   connection reset",
    ]


def test_nothing_held_is_an_answer_too() -> None:
    """An empty list is said in words."""
    assert held_text({"held_tasks": [], "failed_tasks": [], "decided_tasks": []}) == "nothing is held"


def test_files_of_the_master_are_named() -> None:
    """Each with its rows."""
    assert master_lines(SUMMARY["master"]) == ["wrote master.csv, 7 numbers"]


def test_better_advice_takes_the_place_of_the_general_one() -> None:
    """What a look at the rejected lines found is said instead of what usually helps."""
    text = plan_text({**PLAN, "advice": ['default_region = "CH" would make 97 % valid']})
    assert 'default_region = "CH" would make 97 % valid' in text.splitlines()
    assert HELP_WITH["no country code"] not in text


def test_one_chunk_is_no_chunks() -> None:
    """One is singular."""
    assert "1 chunk\n" in plan_text({**PLAN, "chunks": 1})


@pytest.mark.parametrize("width", [30, 40])
def test_tables_keep_to_a_narrow_terminal(width: int) -> None:
    """Every table follows the width that it is given; only sentences may be longer."""
    retry = {**PLAN, "without_verdict": {"instagram": 12}, "planned": True}
    texts = [plan_text(PLAN, width), summary_text(SUMMARY, width), retry_text(retry, width)]
    tables = [line for text in texts for line in text.splitlines() if "  " in line]
    assert tables
    assert max(map(len, tables)) <= width


def test_a_retry_says_what_lacks_a_verdict_and_what_is_sent() -> None:
    """Numbers without a verdict per platform, then what the next run sends and costs."""
    costs = {"instagram": {"tasks": 1, "numbers": 12, "skipped": 0, "cost": 0.0012}}
    content = {"without_verdict": {"instagram": 12, "amazon": 0}, "platforms": costs, "cost": 0.0012, "max_cost": 5.0}
    assert "would be sent" in retry_text({**content, "findings": ["over"], "planned": False}).splitlines()
    assert retry_text({**content, "findings": ["amazon: too few"], "planned": True}).splitlines() == [
        "without verdict  numbers",
        "instagram             12",
        "",
        "to be sent",
        "platform   tasks  numbers        cost",
        "instagram      1       12  0.0012 USD",
        "planned cost 0.0012 USD, max_cost 5.00 USD",
        "",
        "findings",
        "- amazon: too few",
    ]


def test_nothing_to_retry_is_one_sentence() -> None:
    """With every verdict there, no table of zeros is drawn."""
    content = {"without_verdict": {"instagram": 0}, "findings": []}
    assert retry_text(content) == "every number has a verdict: there is nothing to retry"


def test_what_was_verified_is_counted() -> None:
    """Right and not right stand apart, and a job that is all right gets a sentence."""
    right = {"chunk files": 4, "master rows": 1_000}
    assert verify_text({"right": right, "findings": [], "not_compared": []}).splitlines() == [
        "right",
        "chunk files      4",
        "master rows  1,000",
        "",
        "all is as it was written",
    ]
    assert verify_text({"right": right, "findings": ["a: altered"], "not_compared": []}).splitlines()[-3:] == [
        "",
        "findings",
        "- a: altered",
    ]
    assert verify_text({"right": right, "findings": [], "not_compared": ["the list: it is gone"]}).splitlines()[
        -5:
    ] == [
        "",
        "not compared",
        "- the list: it is gone",
        "",
        "all else is as it was written",
    ]


@pytest.mark.parametrize(("done", "verb"), [(True, "removed"), (False, "would be removed")])
def test_a_purge_names_what_it_removes_and_what_it_can_not(done: bool, verb: str) -> None:  # noqa: FBT001
    """Files by name with their number and size, then the copies elsewhere."""
    content = {"done": done, "directory": "runs/spring", "paths": ["chunks", "master.csv"], "files": 3}
    assert purge_text({**content, "size_bytes": 2_500, "out_of_reach": ["the list"]}).splitlines() == [
        f"runs/spring: {verb}: 3 files, 2.5 kB",
        "- chunks",
        "- master.csv",
        "",
        "out of reach, for you to remove",
        "- the list",
    ]


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10,000.0 GB")],
)
def test_sizes_have_a_unit_that_fits(size_bytes: int, expected: str) -> None:
    """A person reads four digits, not thirteen."""
    assert size(size_bytes) == expected


def test_settled_tasks_and_files_of_the_master_stand_one_a_line() -> None:
    """What a pipe may want to take apart stands on lines of its own."""
    again = {"decision": "resubmit", "cost": 0.5, "cost_so_far": 0.5, "task_id": "3f1b", "replaced": None, "missing": 0}
    other = again | {"decision": "finish", "cost": 0.0, "task_id": None, "missing": 3, "replaced": "--resubmit"}
    left_out = {"task": "amazon/000003", "task_id": "77", "reason": "it was paid for"}
    decisions = [again | {"task": "instagram/000001"}, other | {"task": "amazon/000002"}]
    assert settled_text({"decisions": decisions, "left_out": [left_out]}).splitlines() == [
        (
            "instagram/000001  to be sent again; this may cost 0.50 USD; 0.50 USD may have been paid for it already "
            "(its task id was 3f1b: it is paid for twice)"
        ),
        (
            "amazon/000002  done, by its result file, 3 of its numbers are unanswered; this costs nothing; in the "
            "place of --resubmit"
        ),
        "in all, this may cost 0.50 USD",
        "amazon/000003  left out: it was paid for",
    ]
    unpriced = [settled | {"cost": None} for settled in decisions]
    assert "in all, this may cost unknown" in settled_text({"decisions": unpriced, "left_out": []})
    assert merge_text({"master": [{"path": "master.csv", "rows": 7}]}) == "wrote master.csv, 7 numbers"
