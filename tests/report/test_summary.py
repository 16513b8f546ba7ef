from __future__ import annotations

import json
import math
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import ExitCode, StorageError
from orchestrator.master import MasterFile, MasterReport
from orchestrator.records import InputAccount, ListCounts, Money, Token, Unread
from orchestrator.report.summary import (
    RunFacts,
    advice,
    build,
    command_in,
    next_step,
    numbers,
    read,
    renew_master,
    with_config,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchestrator.records import Standing, Task

    MakeStanding = Callable[..., Standing]
    MakeTask = Callable[..., Task]

OLD = (Unread("sheet 'Old'", 3, "hidden"),)
COUNTS = ListCounts(
    read=10,
    accepted=7,
    duplicates=2,
    rejected=1,
    rejected_by_reason={"not a number": 1},
    inputs=(InputAccount("crm.xlsx", 10, 7, 2, 1, OLD, parts=(InputAccount("Old", unread=OLD, is_hidden=True),)),),
)
FACTS = RunFacts(
    job="spring",
    job_id="8f14",
    serial=3,
    config="spring.toml",
    arguments="-c spring.toml --set job.chunk_size=5",
    options=" --deadline 5h30m",
    token=Token(3, 157),
    sandbox=False,
    started_at=1_795_292_102.9,
    ended_at=1_795_292_200.0,
    exit_code=ExitCode.DONE,
    max_cost=50.0,
)


def facts(code: ExitCode | None, **changes: Any) -> RunFacts:
    return replace(FACTS, exit_code=code, **changes)


def test_the_whole_of_a_finished_job(standing: MakeStanding) -> None:
    """Every field of summary.json, with the documented names and values."""
    master = MasterReport(
        files=(MasterFile("master.csv", "ab", 7),),
        counts={"instagram": {"yes": 3, "no": 3, "unanswered": 1, "held": 0}},
        pending=0,
        by_calling_code={"+41 CH": {"yes": 3, "no": 3, "unanswered": 1}},
    )
    money = Money(quoted=800_000, reserved=100_000, charged=400_000, in_doubt=200_000, refunded=50_000, told=400_000)
    one = replace(standing(done=1), generations={1: money}, other_currencies=("EUR",))
    sums = {
        "quoted": 0.0008,
        "reserved": 0.0001,
        "charged": 0.0004,
        "in_doubt": 0.0002,
        "refunded": 0.00005,
        "told_by_vendor": 0.0004,
    }
    told = replace(FACTS, planned_usd={"instagram": 0.0001}, warning="dear")
    assert build(told, COUNTS, [one], master=master) == {
        "schema_version": 1,
        "job": "spring",
        "job_id": "8f14",
        "serial": 3,
        "sandbox": False,
        "state": "finished",
        "exit_code": 0,
        "reason": "",
        "next": "",
        "started_at": "2026-11-21T20:15:02Z",
        "ended_at": "2026-11-21T20:16:40Z",
        "again_after_s": None,
        "after": "3.157",
        "inputs": [
            {
                "path": "crm.xlsx",
                "read": 10,
                "accepted": 7,
                "duplicates": 2,
                "rejected": 1,
                "unread": [{"what": "sheet 'Old'", "rows": 3, "why": "hidden"}],
                "columns": [],
                "guessed": False,
                "parts": [
                    {
                        "name": "Old",
                        "hidden": True,
                        "read": 0,
                        "accepted": 0,
                        "duplicates": 0,
                        "rejected": 0,
                        "unread": [{"what": "sheet 'Old'", "rows": 3, "why": "hidden"}],
                    }
                ],
            }
        ],
        "numbers": {"read": 10, "accepted": 7, "duplicates": 2, "rejected": 1},
        "rejected_by_reason": {"not a number": 1},
        "cost": 0.0007,
        "max_cost": 50.0,
        "money": sums | {"planned": 0.0001, "expected": 0.0008, "not_in_usd": ["EUR"], "warning": "dear"},
        "platforms": {
            "instagram": {
                "tasks": 1,
                "done": 1,
                "failed": 0,
                "held": 0,
                "unfinished": 0,
                "skipped": 0,
                "planned": 0,
                "at_the_vendor": 0,
                "verdicts": {"yes": 3, "no": 3, "unanswered": 1},
                "submits": 1,
                "status_calls": 4,
                "cost": 0.0007,
                "money": sums
                | {"planned": 0.0001, "expected": 0.0008, "not_in_usd": ["EUR"], "generations": {"1": sums}},
            }
        },
        "calling_codes": {"+41 CH": {"yes": 3, "no": 3, "unanswered": 1}},
        "held": [],
        "held_sent_as": {},
        "findings": ["dear"],
        "nothing_left": True,
        "master": [{"path": "master.csv", "sha256": "ab", "rows": 7}],
    }


def test_without_a_master_the_verdicts_are_the_ledgers(standing: MakeStanding) -> None:
    """While a job runs, finished tasks are counted; once the master is written, its cells are."""
    running = [standing(done=1, submitted=1, verdicts={"yes": 60, "no": 40})]
    assert build(FACTS, COUNTS, running)["platforms"]["instagram"]["verdicts"] == {"yes": 60, "no": 40}
    master = MasterReport(files=(), counts={"instagram": {"yes": 60, "no": 40, "held": 100}}, pending=0)
    assert build(FACTS, COUNTS, running, master=master)["platforms"]["instagram"]["verdicts"]["held"] == 100


def test_every_task_is_counted_in_exactly_one_place(standing: MakeStanding) -> None:
    """Tasks are done + failed + held + unfinished + skipped, and planned + at the vendor = unfinished."""
    tasks = standing(planned=1, released=2, submitted=3, in_doubt=4, stalled=5, done=6, failed=7, skipped=8)
    entry = build(FACTS, COUNTS, [tasks])["platforms"]["instagram"]
    assert entry["tasks"] == sum(entry[name] for name in ("done", "failed", "held", "unfinished", "skipped")) == 36
    assert (entry["planned"], entry["at_the_vendor"], entry["unfinished"], entry["held"]) == (1, 5, 6, 9)


def test_platforms_keep_their_order_and_costs_add_up(standing: MakeStanding) -> None:
    """The order is that of the configuration; seven thousandths of a cent twice are no rounding error."""
    summary = build(FACTS, COUNTS, [standing("zalo", done=1), standing("amazon", done=1)])
    assert list(summary["platforms"]) == ["zalo", "amazon"]
    assert summary["cost"] == 0.0014


def test_a_removed_platform_stays_in_the_money_alone(standing: MakeStanding) -> None:
    """What it cost counts against max_cost; nothing of it is planned, and it makes no sum unknown."""
    spent = Money(quoted=700_000, charged=700_000)
    removed = replace(standing("zalo", planned=1, in_doubt=1), generations={1: spent}, other_currencies=("EUR",))
    told = replace(FACTS, planned_usd={"amazon": 2.0})
    summary = build(told, COUNTS, [standing("amazon", done=1)], removed=[removed])
    assert list(summary["platforms"]) == ["amazon"]
    assert summary["nothing_left"]
    assert summary["cost"] == 0.0014
    assert (summary["money"]["charged"], summary["money"]["planned"]) == (0.0007, 2.0)
    assert summary["money"]["not_in_usd"] == ["EUR"]


def test_held_tasks_are_named_up_to_a_limit(standing: MakeStanding, task: MakeTask) -> None:
    """The first hundred by name; all of them in the count."""
    summary = build(FACTS, COUNTS, [standing(in_doubt=150)], [task(chunk) for chunk in range(1, 151)])
    assert len(summary["held"]) == 100
    assert summary["held"][0] == "instagram/000001"
    assert summary["platforms"]["instagram"]["held"] == 150


@pytest.mark.parametrize(
    ("code", "state"),
    [
        (None, "running"),
        (ExitCode.DONE, "finished"),
        (ExitCode.SOME_FAILED, "finished"),
        (ExitCode.HELD, "finished"),
        (ExitCode.VENDOR_STOP, "stopped"),
        (ExitCode.OVER_BUDGET, "stopped"),
        (ExitCode.STORAGE, "stopped"),
        (ExitCode.AGAIN, "stopped"),
    ],
)
def test_the_state_follows_from_the_exit_code(code: ExitCode | None, state: str) -> None:
    """A job is finished when no run has anything left to do with it by itself."""
    assert build(facts(code), COUNTS, [])["state"] == state


def test_a_running_job_has_no_end() -> None:
    """At the start of a run the exit code and the end are null."""
    summary = build(facts(None, ended_at=None), COUNTS, [])
    assert (summary["exit_code"], summary["ended_at"], summary["next"]) == (None, None, "")


def test_a_job_without_a_run_is_planned() -> None:
    """`status` after `plan`: nothing has started."""
    summary = build(facts(None, serial=0, started_at=None, ended_at=None), COUNTS, [])
    assert (summary["state"], summary["started_at"]) == ("planned", None)


@pytest.mark.parametrize("max_cost", [None, math.inf])
def test_no_limit_is_null(max_cost: float | None) -> None:
    """JSON has no infinity."""
    summary = build(facts(ExitCode.DONE, max_cost=max_cost), COUNTS, [])
    assert summary["max_cost"] is None
    json.dumps(summary, allow_nan=False)


def test_reasons_show_no_number() -> None:
    """The reason may quote the vendor, who quotes numbers."""
    reason = "refused: 41798284651 and +41798284651"
    assert build(facts(ExitCode.SOME_FAILED, reason=reason), COUNTS, [])["reason"] == "refused: 41…51 and +41…51"


def test_reasons_are_one_line() -> None:
    """What the vendor says can't forge a line of a CI log."""
    assert build(facts(ExitCode.HELD, reason="no\n::error::"), COUNTS, [])["reason"] == r"no\x0a::error::"


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.DONE])
def test_every_end_but_the_good_one_says_what_to_do(code: ExitCode, standing: MakeStanding) -> None:
    """The sentence names a command that works on this job, and has no hole in it."""
    text = next_step(facts(code), [standing(in_doubt=2, failed=1)])
    assert "-c spring.toml" in text
    assert "{" not in text


def test_a_held_task_has_a_way_out(standing: MakeStanding) -> None:
    """It says how many, where to see them, and how to decide."""
    text = next_step(facts(ExitCode.HELD), [standing(in_doubt=1), standing("amazon", stalled=1)])
    assert text.startswith("2 tasks held")
    for part in ("orchestrator status --held -c spring.toml", "orchestrator resolve", "--adopt", "--resubmit"):
        assert part in text


def test_what_is_left_is_the_next_step(standing: MakeStanding) -> None:
    """After a trial, a retry that was planned, or the last decision, nothing is to be done but to run."""
    for code, decided, tasks in (
        (ExitCode.DONE, False, {"done": 1, "planned": 3}),
        (ExitCode.SOME_FAILED, False, {"retried": 1, "planned": 1}),
        (ExitCode.HELD, True, {"planned": 1}),
    ):
        text = next_step(facts(code, decided=decided), [standing(**tasks)])
        assert text.startswith("to send or fetch the rest: orchestrator run -c spring.toml")
    assert "1 task held" in next_step(facts(ExitCode.HELD, decided=True), [standing(in_doubt=1, planned=1)])


def test_a_quote_is_not_held_to_what_came_behind_it(standing: MakeStanding) -> None:
    """A retry and a resubmit were not quoted: with the quote, the run that sends them would be refused."""
    for path in ("quote.json", "'my quote.json'", """'it'"'"'s.json'"""):
        quoted = facts(ExitCode.AGAIN, options=f" --quote {path} --deadline 5h30m")
        assert next_step(quoted, [standing(planned=1)]).endswith(f" --quote {path} --deadline 5h30m --after 3.157")
        for code, decided, tasks in (
            (ExitCode.SOME_FAILED, False, {"failed": 1}),
            (ExitCode.HELD, False, {"in_doubt": 1}),
            (ExitCode.AGAIN, True, {"planned": 1}),
        ):
            text = next_step(replace(quoted, exit_code=code, decided=decided), [standing(**tasks)])
            assert " --deadline 5h30m --after 3.157" in text
            assert "quote" not in text


def test_a_command_is_found_in_a_next_step(standing: MakeStanding) -> None:
    """Whatever stands before and behind it, which `status` and the report do without."""
    command = "orchestrator run -c spring.toml --set job.chunk_size=5 --deadline 5h30m --after 3.157"
    for code in set(ExitCode) - {ExitCode.DONE}:
        assert command_in(next_step(facts(code), [standing(failed=1)])) == command
    assert command_in("") == ""


@pytest.mark.parametrize("was", ["spring.toml", "'/old place/it'\"'\"'s.toml'"])
def test_a_command_of_another_place(was: str) -> None:
    """The job may have moved to another machine, or be named from another folder."""
    assert (
        with_config(f"orchestrator run -c {was} --set a=1 --deadline 5h", "'new place/it.toml'")
        == "orchestrator run -c 'new place/it.toml' --set a=1 --deadline 5h"
    )
    assert with_config("", "spring.toml") == ""


def test_the_next_step_knows_figures(standing: MakeStanding) -> None:
    """How many failed, how long to wait, what the budget was."""
    assert next_step(facts(ExitCode.SOME_FAILED), [standing(failed=1)]).startswith("1 task failed")
    command = "orchestrator run -c spring.toml --set job.chunk_size=5 --deadline 5h30m --after 3.157"
    assert next_step(facts(ExitCode.AGAIN, again_after_s=600.0), []) == command
    told = {"exit_code": 75, "next": command, "again_after_s": 600.0}
    assert advice(told) == f"run the same command again, in 10m or later: {command}"
    assert advice(told | {"again_after_s": 0.0}) == f"run the same command again: {command}"
    assert advice(told | {"exit_code": 3}) == command
    assert "max_cost to 60.00 USD or more in spring.toml" in next_step(facts(ExitCode.OVER_BUDGET, needed_usd=60.0), [])
    assert "max_cost in spring.toml" in next_step(facts(ExitCode.OVER_BUDGET), [])


def test_the_parts_of_the_list_add_up() -> None:
    """`read` = accepted + duplicates + rejected; what was found inside other text is no part of it."""
    parts = numbers(COUNTS)
    assert parts["read"] == parts["accepted"] + parts["duplicates"] + parts["rejected"]


def test_the_file_is_private_and_whole(tmp_path: Path) -> None:
    """summary.json is replaced in one step and readable by its owner only."""
    for code in (None, ExitCode.DONE):
        write(tmp_path, build(facts(code), COUNTS, []))
    path = tmp_path / "summary.json"
    assert json.loads(path.read_text())["exit_code"] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "[1]", "5", "[{}]", "{}", "[" * 50_000, "\ufeff{}"),
        *('{"master": null}', '{"master": 5}', '{"master": [1]}', '{"master": [{}]}', '{"master": {"path": 1}}'),
        *(
            f'{{"master": [{{"path": {path}, "sha256": ""}}]}}'
            for path in ("1", "null", r'"a\u0000"', r'"master\ud800"', '"/dev/zero"', '"../master.csv"')
        ),
        '{"master": [{"path": "master.csv", "sha256": 1}]}',
        b'{"master": ["\xff"]}',
    ],
)
def test_what_is_no_summary_is_left_as_it_is(tmp_path: Path, text: str | bytes) -> None:
    """Whatever stands in its place can't be read, and `merge` does not touch it."""
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "summary.json").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - of many kinds
        read(tmp_path)
    renew_master(tmp_path, MasterReport((), {}, 0), {})
    assert (tmp_path / "summary.json").read_bytes() == content


def test_a_summary_that_is_too_deep_to_be_written_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python reads what is nested deeper than it can write it, from 3.12 on."""

    def too_deep(*_: object, **__: object) -> str:
        raise RecursionError

    (tmp_path / "summary.json").write_text('{"master": []}')
    monkeypatch.setattr(json, "dumps", too_deep)
    renew_master(tmp_path, MasterReport((), {}, 0), {})
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
    assert (tmp_path / "summary.json").read_text() == '{"master": []}'


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    """Where it can't be written, the message names the file."""
    with pytest.raises(StorageError, match=r"summary\.json"):
        write(tmp_path / "gone", build(FACTS, COUNTS, []))
