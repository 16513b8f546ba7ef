"""What the commands say to people, made from what they say to programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.merge import as_text as merge_text
from orchestrator.cli.plan import HELP_WITH
from orchestrator.cli.plan import as_text as plan_text
from orchestrator.cli.purge import as_text as purge_text
from orchestrator.cli.resolve import as_text as settled_text
from orchestrator.cli.retry import as_text as retry_text
from orchestrator.cli.status import held_text
from orchestrator.cli.verify import as_text as verify_text
from orchestrator.report.ways_out import waiting_task
from orchestrator.tasks import State
from tests.report.conftest import make_task

PLAN: dict[str, Any] = {
    "exit_code": 0,
    "inputs": [],
    "numbers": {"read": 1_234_567, "accepted": 1_200_000, "duplicates": 34_000, "rejected": 567},
    "rejected_by_reason": {"not a number": 500, "no country code": 60, "too short": 7},
    "from_text": 0,
    "chunks": 60,
    "platforms": {
        "instagram": {
            "tasks": 60,
            "numbers": 1_200_000,
            "billed": 1_200_000,
            "skipped": 0,
            "price_per_10000": 1.0,
            "cost": 120.0,
        },
        "amazon": {
            "tasks": 59,
            "numbers": 1_199_990,
            "billed": 1_199_990,
            "skipped": 1,
            "price_per_10000": None,
            "cost": None,
        },
    },
    "cost": None,
    "max_cost": 50.0,
    "findings": [],
}


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
        'no country code: if they are all of one country, name it: [job] default_region = "CH" reads them as Swiss',
        "",
        "60 chunks",
        "platform   tasks    numbers  skipped  per 10,000        cost",
        "instagram     60  1,200,000        0    1.00 USD  120.00 USD",
        "amazon        59  1,199,990        1     unknown     unknown",
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


def test_a_held_task_can_be_found_at_the_vendor() -> None:
    """The name of the file that was sent, when, the id if one is known, and why it is held."""
    task = {
        "task": "instagram/000017",
        "state": "in doubt",
        "numbers": 20_000,
        "sent_as": "spring-instagram-000017-ab12cd34.txt",
        "sent_at": "2025-11-21T20:15:02Z",
        "cost": 2.0,
        "balance": None,
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


def test_better_advice_takes_the_place_of_the_general_one() -> None:
    """What a look at the rejected lines found is said instead of what usually helps."""
    text = plan_text({**PLAN, "advice": ['default_region = "CH" would make 97 % valid']})
    assert 'default_region = "CH" would make 97 % valid' in text.splitlines()
    assert HELP_WITH["no country code"] not in text


def test_advice_on_one_reason_leaves_what_helps_with_others() -> None:
    """Each reason has the setting that helps, once: that of the advice where it speaks of the reason."""
    rejected = {"no country code": 5, "a formula without a value": 3, "a quote that is opened and not closed": 2}
    advice = ['default_region = "CH" would make 97 % valid', "a formula without a value: open it"]
    said = plan_text({**PLAN, "rejected_by_reason": rejected, "advice": advice}).splitlines()
    torn = "a quote that is opened and not closed"
    assert [line for line in said if line.startswith(("a formula without a value: ", f"{torn}: "))] == [
        "a formula without a value: open it",
        f"{torn}: {HELP_WITH[torn]}",
    ]
    assert HELP_WITH["no country code"] not in "".join(said)


def test_a_plan_says_what_only_if_may_add() -> None:
    """Who approves a sum sees the largest one; of earlier jobs nothing is said where there are none."""
    first = {"tasks": 1, "numbers": 12, "billed": 12, "skipped": 0, "price_per_10000": 1.0, "cost": 0.0012}
    condition = {
        "only_if": "instagram == yes",
        "at_most": 12,
        "at_most_usd": 0.0024,
        "share": None,
        "expected_usd": None,
        "saved_usd": None,
        "cheaper_below": None,
    }
    reused = {"numbers": 0, "yes": 0, "no": 0, "asked_again": 0, "oldest": None}
    then = {**first, "tasks": 0, "numbers": 0, "billed": 0, "cost": 0.0, "only_if": condition}
    platforms = {"instagram": first, "tiktok": {**then, "reused": reused, "saved": 0.0}}
    said = plan_text({**PLAN, "platforms": platforms, "cost": 0.0012, "max_cost": 5.0})
    assert "planned cost 0.0012 USD, up to 0.0036 USD with what only_if picks, max_cost 5.00 USD" in said
    assert "known from earlier jobs" not in said


def test_one_chunk_is_no_chunks() -> None:
    """One is singular."""
    assert "1 chunk\n" in plan_text({**PLAN, "chunks": 1})


@pytest.mark.parametrize("width", [30, 40])
def test_tables_keep_to_a_narrow_terminal(width: int) -> None:
    """Every table follows the width that it is given; only sentences may be longer."""
    retry = {**PLAN, "without_verdict": {"instagram": 12}, "planned": True}
    texts = [plan_text(PLAN, width), retry_text(retry, width)]
    tables = [line for text in texts for line in text.splitlines() if "  " in line]
    assert tables
    assert max(map(len, tables)) <= width


def test_a_retry_says_what_lacks_a_verdict_and_what_is_sent() -> None:
    """Numbers without a verdict per platform, then what the next run sends and costs."""
    instagram = {"tasks": 1, "numbers": 12, "billed": 20, "skipped": 0, "price_per_10000": 1.0, "cost": 0.002}
    costs = {"instagram": instagram}
    content = {"without_verdict": {"instagram": 12, "amazon": 0}, "platforms": costs, "cost": 0.002, "max_cost": 5.0}
    assert "would be sent" in retry_text({**content, "findings": ["over"], "planned": False}).splitlines()
    assert retry_text({**content, "findings": ["amazon: too few"], "planned": True}).splitlines() == [
        "without verdict  numbers",
        "instagram             12",
        "",
        "to be sent",
        "platform   tasks  numbers  billed  per 10,000       cost",
        "instagram      1       12      20    1.00 USD  0.002 USD",
        "planned cost 0.002 USD, max_cost 5.00 USD",
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
    assert (
        merge_text({"master": [{"path": "master.csv", "rows": 7}]}, Path("/jobs"))
        == "wrote /jobs/master.csv, 7 numbers"
    )


def test_a_held_task_tells_how_to_find_it() -> None:
    """Its file's name at the vendor, the time it was sent, its id and its reason, without numbers."""
    told = waiting_task(make_task(reason="reset at 41798284651"), "-c spring.toml", again_usd=2.0)
    ways_out = told["ways_out"]
    assert told == {
        "ways_out": ways_out,
        "task": "instagram/000017",
        "state": "in doubt",
        "numbers": 20_000,
        "sent_as": "spring-instagram-000017-ab12cd34.txt",
        "sent_at": "2025-11-21T20:15:02Z",
        "cost": 2.0,
        "balance": None,
        "task_id": None,
        "reason": "reset at 41…51",
    }
    assert [(way["decision"], way["cost"]) for way in ways_out] == [
        ("adopt", 0.0),
        ("resubmit", 2.0),
        ("finish", 0.0),
        ("give_up", 0.0),
    ]
    assert ways_out[1] == {
        "decision": "resubmit",
        "when": "send it again, for 2.00 USD",
        "cost": 2.0,
        "command": "orchestrator resolve instagram/000017 --resubmit -c spring.toml",
    }
    stalled = waiting_task(make_task(state=State.STALLED, task_id="3f1b"), "-c spring.toml", again_usd=None)["ways_out"]
    assert (stalled[0]["decision"], stalled[0]["cost"]) == ("refetch", 0.0)
    assert stalled[3]["when"] == "send it again, for unknown, although it has a task id and was paid for"


def test_what_is_left_out_and_saved() -> None:
    """`exclude` and `line_types` leave numbers out, which saves something where the prices are known."""
    text = plan_text(PLAN | {"left_out": 1_200, "saved": 0.12})
    assert "\n\nleft out by exclude and line_types: 1,200 numbers, which saves up to 0.12 USD\n" in text
    assert "line_types: 1 number\n" in plan_text(PLAN | {"left_out": 1, "saved": None})


def test_who_has_named_the_column_is_not_told_to() -> None:
    """An empty cell may mean another column where it was guessed; where it was named, it is an empty cell."""
    for guessed in (True, False):
        account = {"path": "a.csv", "read": 1, "accepted": 0, "duplicates": 0, "rejected": 1, "unread": [], "parts": []}
        content = {
            "inputs": [account | {"columns": ["Tel"], "guessed": guessed}],
            "rejected_by_reason": {"empty cell": 1},
        }
        text = plan_text(PLAN | content | {"advice": []})
        assert ("empty cell: [job] column names the right column" in text) is guessed
        assert 'a.csv: numbers are read from the column "Tel"' in text


def test_each_input_has_a_line_and_what_was_left_unread() -> None:
    """Sheets stand below their workbook, hidden ones are called so, and what was not read says why."""
    counts = {"read": 5, "accepted": 4, "duplicates": 1, "rejected": 0}
    nothing = dict.fromkeys(counts, 0)
    old = {"what": "sheet 'Old'", "rows": 1200, "why": "another sheet was read"}
    parts = [
        {"name": "Now", "hidden": False, **counts, "unread": []},
        {"name": "Old", "hidden": True, **nothing, "unread": [old]},
    ]
    crm = {"path": "crm.xlsx", **counts, "columns": ["Tel"], "guessed": True, "unread": [old], "parts": parts}
    text = plan_text(PLAN | {"inputs": [crm]})
    lines = text.splitlines()
    assert [line.split() for line in lines[:4]] == [
        ["inputs", "read", "accepted", "duplicates", "rejected"],
        ["crm.xlsx", "5", "4", "1", "0"],
        ["Now", "5", "4", "1", "0"],
        ["Old", "(hidden)", "0", "0", "0", "0"],
    ]
    assert lines[4] == "crm.xlsx: left unread: sheet 'Old', 1,200 rows (another sheet was read)"
