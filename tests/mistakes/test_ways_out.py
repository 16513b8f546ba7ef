"""Each way out that a message names is taken, in the state in which it is named, and the job comes to its end.

`TRIED` lists the messages of a job's life that name one, and where it is taken: by a test of this file, by a mistake
that is mended, or by a test elsewhere. A message that is not listed fails a test.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import trustme

import orchestrator
from orchestrator.cli import main
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.tasks import DECISIONS, HELD, Event, State, TaskKey
from tests.mistakes.harness import KEY, LIST, Job
from tests.mistakes.test_mistakes import MISTAKES

TASK = TaskKey("instagram", 1)
NUMBERS = LIST.split()


def json_of(*command: str) -> dict[str, Any]:
    """Type a command; return what it ends standard output with."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main([*command, "--json"])
    content: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return content


def change(job: Job, *changes: Callable[[Ledger], object]) -> None:
    with Ledger.open(ledger_path(job.directory)) as ledger:
        for one in changes:
            ledger.change(one)


def upload(job: Job) -> str:
    """Make the task at the vendor, as a submit does whose answer is lost; return its id."""
    chunk = (job.directory / "chunks" / "000001.txt").read_text()
    body = f'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n{chunk}\r\n--x--\r\n'
    headers = {"X-API-Key": KEY, "Content-Type": "multipart/form-data; boundary=x"}
    url = f"{job.vendor.server.base_url}/ins/api/simple/tasks"
    with urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers)) as answer:  # noqa: S310 - loopback
        return str(json.load(answer)["task_id"])


def in_doubt(job: Job) -> str:
    """Leave the only task in doubt, although the vendor has it."""
    assert job.call("plan")[0] == 0
    change(
        job,
        lambda it: it.begin_run(at=1.0, host="here", pid=1),
        lambda it: it.transitions.release(TASK, cost_nano=300_000, max_cost_nano=None, at=2.0, sent_name="a.txt"),
        lambda it: it.transitions.doubt(TASK, "reset", at=3.0),
    )
    return upload(job)


def stalled(job: Job) -> str:
    assert job.call("run", "--submit-only")[0] == 75
    change(job, lambda it: it.transitions.stall(TASK, "no progress", at=1e9))
    return job.vendor.charged()[0].id


def failed(job: Job) -> str:
    assert job.call("run", "--submit-only")[0] == 75
    change(job, lambda it: it.transitions.fail(TASK, "its result is damaged", at=1e9))
    return job.vendor.charged()[0].id


NEXT_RUN = "orchestrator: next: orchestrator run -c config.toml --after TOKEN"
STATES: dict[State, Callable[[Job], str]] = {
    State.IN_DOUBT: in_doubt,
    State.STALLED: stalled,
    State.FAILED: failed,
}
SHOWN = [(state, event) for state in STATES for event in DECISIONS[state]]


@pytest.mark.parametrize(("state", "event"), SHOWN)
def test_what_status_shows_can_be_typed(a_job: Job, state: State, event: Event) -> None:
    """Each command that `status --held` shows beside a task is accepted as it stands, and the next run ends the job."""
    task_id = STATES[state](a_job)
    content = json_of("status", "--held")
    (task,) = content["held_tasks" if state in HELD else "failed_tasks"]
    assert [way["decision"] for way in task["ways_out"]] == list(DECISIONS[state])
    (command,) = (way["command"] for way in task["ways_out"] if way["decision"] == event)
    a_job.file("FILE", "\n".join(["Number,instagram", *(f"{number},no" for number in NUMBERS)]))
    _, *typed = shlex.split(command.replace("TASK_ID", task_id))
    code, message = a_job.call(*typed)
    was_cut_off = state is State.IN_DOUBT  # such a run has left no token that the next one could ask for
    assert (code, message) == (0, NEXT_RUN.removesuffix(" --after TOKEN" if was_cut_off else ""))
    token = json_of("status")["after"]
    assert a_job.call("run", "--after", token)[0] == (1 if event is Event.GIVE_UP else 0)
    assert len(a_job.vendor.charged()) == (2 if event is Event.RESUBMIT else 1)


def test_the_end_of_a_run_with_a_held_task(a_job: Job) -> None:
    """What the last line of a run says is accepted."""
    task_id = in_doubt(a_job)
    code, message = a_job.call("run")
    assert code == 3
    assert "orchestrator status --held -c config.toml, look for the files that it names" in message
    assert "then orchestrator resolve TASK -c config.toml with --adopt TASK_ID" in message
    assert a_job.call("status", "--held", "-c", "config.toml")[0] == 1
    assert a_job.call("resolve", str(TASK), "-c", "config.toml", "--adopt", task_id)[0] == 0
    assert a_job.call("run")[0] == 0


def test_the_end_of_a_run_with_a_failed_task(a_job: Job) -> None:
    """What the last line of a run says is accepted."""
    failed(a_job)
    code, message = a_job.call("run")
    assert code == 1
    assert "orchestrator status --held -c config.toml says why" in message
    assert "orchestrator retry -c config.toml plans their numbers again" in message
    assert a_job.call("status", "--held", "-c", "config.toml")[0] == 1
    code, message = a_job.call("retry", "-c", "config.toml")
    assert code == 1
    assert "retry --all plans to pay for them again" in message
    assert a_job.call("retry", "--all", "-c", "config.toml")[0] == 0
    assert a_job.call("run")[0] == 0


# --- one scenario a message ------------------------------------------------------------------------------------------


def other_directory(job: Job) -> None:
    job.edit('"out"', '"elsewhere"')
    job.undo.clear()
    assert job.call("run")[0] == 0


def another_list(job: Job) -> None:
    assert job.call("run")[0] == 0
    job.list.write_text("+41798284653\n")
    code, message = job.call("run")
    assert code == 2
    assert "bring that back, take a longer one in with run --extend, or start a new job" in message
    assert "directory than FOLDER/out" in message


def the_list_is_brought_back(job: Job) -> None:
    another_list(job)
    job.list.write_text(LIST)
    assert job.call("run")[0] == 0


def the_longer_list_is_taken_in(job: Job) -> None:
    another_list(job)
    job.list.write_text(LIST + "+41798284653\n")
    assert job.call("run")[0] == 2
    assert job.call("run", "--extend")[0] == 0
    assert len(job.vendor.charged()) == 2


def the_other_list_is_a_new_job(job: Job) -> None:
    another_list(job)
    other_directory(job)


def a_changed_setting_is_a_new_job(job: Job) -> None:
    assert job.call("run")[0] == 0
    job.edit("[job]\n", "[job]\nchunk_size = 100\n")
    code, message = job.call("run")
    assert code == 2
    assert "put the old value back, or start a new job with another [job] directory than FOLDER/out" in message
    other_directory(job)


def a_purged_job_begins_anew_elsewhere(job: Job) -> None:
    assert job.call("run")[0] == 0
    assert job.call("purge", "--yes")[0] == 0
    code, message = job.call("run")
    assert code == 2
    assert "begin a new one with another [job] directory" in message
    other_directory(job)


def purge_says_how(job: Job) -> None:
    assert job.call("run")[0] == 0
    code, message = job.call("purge")
    assert code == 0
    assert "orchestrator purge --yes -c config.toml removes it" in message
    assert job.call("purge", "--yes", "-c", "config.toml")[0] == 0


def a_table_comes_back_elsewhere(job: Job) -> None:
    """Have everything stay as it was where `enrich` refuses a name, and the one that it asks for be taken."""
    assert job.call("run")[0] == 0
    kept = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
    for target, why in (
        ("numbers.txt", "an input of the job; give -o another name"),
        ("out/master.csv", "the job keeps something else there; give -o another name"),
        ("out", "this is a directory; name a file in it"),
        ("people/back.csv", "there is no such directory; make it, or give -o another name"),
        ("back.xlsx", "comes back as the kind of file that it is; give -o a name that ends with .csv"),
    ):
        code, message = job.call("enrich", "numbers.txt", "-o", target)
        assert (code, why in message) == (2, True), message
    code, message = job.call("enrich", "nobody.csv", "-o", "back.csv")
    assert (code, "name a table that can be read" in message) == (2, True), message
    for target, why in (
        ("out/master.csv", "the job keeps something else there; give -o another name"),
        ("changes.doc", "give -o a name that ends so"),
    ):
        code, message = job.call("diff", "out", "out", "-o", target)
        assert (code, why in message) == (2, True), message
    code, message = job.call("diff", "people", "out")
    assert (code, "diff takes the directories of two jobs" in message) == (2, True), message
    assert {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()} == kept
    assert job.call("diff", "out", "out", "-o", "changes.csv")[0] == 0
    assert (job.folder / "changes.csv").exists()
    (job.folder / "people").mkdir()
    for target in ("back.csv", "out.csv", "people/back.csv"):
        assert job.call("enrich", "numbers.txt", "-o", target)[0] == 0
        assert (job.folder / target).read_text().startswith("line,line.number,line.instagram,line.note")
    assert job.call("run")[0] == 0


def a_table_is_changed_so_that_it_comes_back(job: Job) -> None:
    """Have what can't be read, or has no room, come back once it is what the message asks for."""
    assert job.call("run")[0] == 0

    def refused(table: str, target: str, why: str) -> None:
        code, message = job.call("enrich", table, "-o", target)
        assert (code, why in message, (job.folder / target).exists()) == (2, True, False), message

    book = openpyxl.Workbook()
    book.worksheets[0].append(["Phone", "Name"])
    book.worksheets[0].append(["+41798284651", "Ann"])
    book.worksheets[0].cell(1, 16_384, "last")
    book.save(job.folder / "wide.xlsx")
    refused("wide.xlsx", "back.xlsx", "there is no room for 3 more columns; save it as .csv")
    (job.folder / "wide.csv").write_text(f"Phone,Name{',' * 16_382}last\n+41798284651,Ann\n")
    assert job.call("enrich", "wide.csv", "-o", "wide-back.csv")[0] == 0

    (job.folder / "long.csv").write_text(f"Phone,Note\n+41798284651,{'x' * (2 << 20)}\n")
    refused("long.csv", "long-back.csv", "line 2 is too long to be written back; shorten it")
    (job.folder / "long.csv").write_text("Phone,Note\n+41798284651,x\n")
    assert job.call("enrich", "long.csv", "-o", "long-back.csv")[0] == 0

    book = openpyxl.Workbook()
    for title in ("One", "Two"):
        book.create_sheet(title).append(["Phone", "Mobile"])
        book[title].append(["+41798284651", "+41798284652"])
    book.save(job.folder / "two.xlsx")
    refused("two.xlsx", "back.xlsx", "several sheets are filled; name one with `sheet`: 'One', 'Two'")
    sheet = ("--set", "job.sheet=Two")
    code, message = job.call("enrich", "two.xlsx", "-o", "back.xlsx", *sheet)
    assert (code, "name one with `column`, or several as a list" in message) == (2, True), message
    assert job.call("enrich", "two.xlsx", "-o", "one.xlsx", *sheet, "--set", "job.column=Mobile")[0] == 0
    assert job.call("enrich", "two.xlsx", "-o", "both.xlsx", *sheet, "--set", 'job.column=["Phone", "Mobile"]')[0] == 0
    names = [cell.value for cell in openpyxl.load_workbook(job.folder / "both.xlsx")["Two"][1]]
    assert names[2:] == [f"{c}.{name}" for c in ("Phone", "Mobile") for name in ("number", "instagram", "note")]

    (job.folder / "torn.xlsx").write_bytes((job.folder / "two.xlsx").read_bytes()[:-100])
    refused("torn.xlsx", "torn-back.xlsx", "torn.xlsx: ")
    assert job.call("run")[0] == 0


def an_older_copy_is_replaced(job: Job) -> None:
    assert job.call("plan")[0] == 0
    shutil.copytree(job.directory, job.folder / "older")
    assert job.call("run")[0] == 0
    job.directory.rename(job.folder / "newer")
    (job.folder / "older").rename(job.directory)
    code, message = job.call("run", "--after", "1")
    assert code == 2
    assert "restore the directory that the last run left" in message
    shutil.rmtree(job.directory)
    (job.folder / "newer").rename(job.directory)
    assert job.call("run", "--after", "1")[0] == 0
    assert len(job.vendor.charged()) == 1


def a_lost_ledger_is_restored(job: Job) -> None:
    assert job.call("run")[0] == 0
    (job.directory / "ledger").rename(job.folder / "ledger")
    code, message = job.call("run")
    assert code == 2
    assert "restore the directory that its last run left" in message
    (job.folder / "ledger").rename(job.directory / "ledger")
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def without_a_ledger_the_files_are_moved(job: Job) -> None:
    assert job.call("plan")[0] == 0
    shutil.rmtree(job.directory / "ledger")
    code, message = job.call("run")
    assert code == 2
    assert "move these files elsewhere, or set another [job] directory" in message
    job.directory.rename(job.folder / "moved")
    assert job.call("run")[0] == 0


def without_a_ledger_another_directory(job: Job) -> None:
    assert job.call("plan")[0] == 0
    shutil.rmtree(job.directory / "ledger")
    assert job.call("run")[0] == 2
    other_directory(job)


def nothing_planned_is_planned(job: Job) -> None:
    code, message = job.call("status")
    assert code == 2
    assert "begin with orchestrator plan -c config.toml" in message
    assert job.call("plan", "-c", "config.toml")[0] == 0
    assert job.call("status")[0] == 0


def submitted(job: Job) -> Path:
    assert job.call("run", "--submit-only")[0] == 75
    return job.directory / "chunks" / "000001.txt"


def an_altered_chunk_file_is_removed(job: Job) -> None:
    chunk = submitted(job)
    chunk.write_text(chunk.read_text().replace("+417", "+418"))
    code, message = job.call("run")
    assert code in (0, 74)
    if code == 74:
        assert "remove it, and the next run writes it anew from the inputs" in message
        chunk.unlink()
        assert job.call("run")[0] == 0


def a_damaged_chunk_file_is_removed(job: Job) -> None:
    chunk = submitted(job)
    chunk.write_text("garbage")
    code, message = job.call("run")
    assert code in (0, 74)
    if code == 74:
        assert "remove it" in message
        chunk.unlink()
        assert job.call("run")[0] == 0


def a_chunk_file_and_the_list_are_lost(job: Job) -> None:
    chunk = submitted(job)
    saved = chunk.read_text()
    chunk.unlink()
    job.list.unlink()
    code, message = job.call("run")
    assert code == 2
    assert "put either back" in message
    chunk.write_text(saved)
    assert job.call("run")[0] == 0


def a_chunk_file_is_lost_and_the_list_is_put_back(job: Job) -> None:
    submitted(job).unlink()
    job.list.unlink()
    assert job.call("run")[0] == 2
    job.list.write_text(LIST)
    assert job.call("run")[0] == 0


def the_budget_is_raised(job: Job) -> None:
    job.edit("max_cost = 1.0", "max_cost = 0.0002")
    code, message = job.call("run")
    assert code == 5
    assert "0.0001 USD are missing; set max_cost to 0.0003 USD or more if it is worth it" in message
    assert "set [budget] max_cost to 0.0003 USD or more in config.toml, then orchestrator run -c config.toml" in message
    job.edit("max_cost = 0.0002", "max_cost = 0.0003")
    assert job.call("run")[0] == 0


def a_price_is_set(job: Job) -> None:
    job.add("[platforms.telegram]\nrequests_per_second = inf\n")
    code, message = job.call("run")
    assert code == 2
    assert "set its price_per_10000" in message
    assert job.call("run", "--set", "platforms.telegram.price_per_10000=1.0")[0] == 0


def too_small(job: Job, words: str) -> None:
    code, message = job.call("run")
    assert code == 2
    assert words in message


def beside_another(job: Job) -> None:
    job.add("[platforms.amazon]\nrequests_per_second = inf\n")
    too_small(job, 'add numbers, leave out [platforms.amazon], or set its when_too_small = "skip"')


def too_small_is_left_out(job: Job) -> None:
    beside_another(job)
    job.edit("[platforms.amazon]\nrequests_per_second = inf\n", "")
    assert job.call("run")[0] == 0


def too_small_is_skipped(job: Job) -> None:
    beside_another(job)
    assert job.call("run", "--set", "platforms.amazon.when_too_small=skip")[0] == 0


def too_small_gets_more(job: Job) -> None:
    """With a single platform there is nothing to leave out, and nothing left to send if it is skipped."""
    job.edit("[platforms.instagram]\n", "[platforms.amazon]\n")
    too_small(job, "the list has 3 accepted numbers, amazon takes 100 at least; add numbers\n")
    job.list.write_text("".join(f"+4179828{n:04d}\n" for n in range(100)))
    assert job.call("run")[0] == 0


def a_platform_that_joins_is_too_small(job: Job) -> None:
    assert job.call("run")[0] == 0
    job.add("[platforms.amazon]\nrequests_per_second = inf\n")
    too_small(job, 'set its when_too_small = "skip" to leave such chunks out, or start a new job')
    assert job.call("run", "--set", "platforms.amazon.when_too_small=skip")[0] == 0


def a_wrong_path_is_mended(job: Job) -> None:
    """Nothing was made there: the platform may ask something else, although the job has begun."""
    right = job.config.read_text()
    job.edit("[platforms.instagram]\n", '[platforms.instagram]\npath = "/ins/api/simple/task"\n')
    code, message = job.call("run")
    assert code == 1
    assert "check base_url, and style and path of the platform" in message
    job.config.write_text(right)
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def pending_cells_are_run(job: Job) -> None:
    assert job.call("plan")[0] == 0
    code, message = job.call("merge")
    assert code == 0
    assert "orchestrator run -c config.toml goes on" in message
    assert job.call("run", "-c", "config.toml")[0] == 0


def a_platform_is_not_planned_yet(job: Job) -> None:
    assert job.call("run")[0] == 0
    job.add("[platforms.telegram]\nrequests_per_second = inf\nprice_per_10000 = 1.0\n")
    code, message = job.call("merge")
    assert code == 2
    assert "nothing is planned yet; see orchestrator plan" in message
    assert job.call("plan")[0] == 0
    assert job.call("merge")[0] == 0


def all_but_what_was_paid_for(job: Job) -> None:
    stalled(job)
    report = json_of("resolve", "--all", "--resubmit")
    assert (report["exit_code"], report["settled"]) == (1, [])
    assert "--refetch fetches it again, and to pay for it twice name it" in report["left_out"][0]["reason"]
    assert job.call("resolve", str(TASK), "--resubmit")[0] == 0
    assert job.call("resolve", "--all", "--undo")[0] == 0
    assert job.call("resolve", "--all", "--refetch")[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def nothing_to_fetch(job: Job) -> None:
    task_id = in_doubt(job)
    report = json_of("resolve", "--all", "--refetch")
    assert "--adopt TASK_ID names one" in report["left_out"][0]["reason"]
    code, message = job.call("resolve", str(TASK), "--refetch")
    assert code == 2
    assert "it takes --adopt TASK_ID, --resubmit, --result FILE or --give-up" in message
    assert job.call("resolve", str(TASK), "--adopt", task_id)[0] == 0
    assert job.call("run")[0] == 0


def all_is_undone(job: Job) -> None:
    in_doubt(job)
    assert job.call("resolve", "--all", "--give-up")[0] == 0
    code, message = job.call("resolve", "--all", "--resubmit")
    assert code == 0
    assert "--all --undo takes that back" in message
    assert job.call("resolve", "--all", "--undo")[0] == 0
    assert job.call("resolve", "--all", "--resubmit")[0] == 0
    assert job.call("run")[0] == 0


def part_of_a_result(job: Job) -> None:
    in_doubt(job)
    job.file("part.csv", f"Number,instagram\n{NUMBERS[0]},yes\n")
    code, message = job.call("resolve", str(TASK), "--result", "part.csv")
    assert code == 2
    assert "take it with --partial: the other 2 become unanswered" in message
    assert job.call("resolve", str(TASK), "--result", "part.csv", "--partial")[0] == 0
    assert job.call("run")[0] == 0


def a_result_with_the_wrong_name(job: Job) -> None:
    job.edit("[job]\n", "[job]\nchunk_size = 2\n")
    other = TaskKey("instagram", 2)
    in_doubt(job)
    change(
        job,
        lambda it: it.transitions.release(other, cost_nano=100_000, max_cost_nano=None, at=2.0),
        lambda it: it.transitions.accept(other, "3f1b", total=1, at=3.0),
    )
    found = job.file("3f1b.csv", "\n".join(["Number,instagram", *(f"{n},no" for n in NUMBERS[:2])]))
    code, message = job.call("resolve", str(TASK), "--result", found.name)
    assert code == 2
    assert "give it another name" in message
    found.rename("mine.csv")
    assert job.call("resolve", str(TASK), "--result", "mine.csv")[0] == 0
    assert job.call("resolve", str(other), "--give-up")[0] == 0
    assert job.call("run")[0] == 1


def a_result_with_another_column(job: Job) -> None:
    in_doubt(job)
    job.add("[platforms.telegram]\nprice_per_10000 = 1.0\nrequests_per_second = inf\n")
    found = job.file("r.csv", "\n".join(["Number,telegram,activated", *(f"{n},no,no" for n in NUMBERS)]))
    code, message = job.call("resolve", str(TASK), "--result", "r.csv")
    assert code == 2
    assert "name the column instagram" in message
    found.write_text(found.read_text().replace("telegram", "instagram"))
    assert job.call("resolve", str(TASK), "--result", "r.csv")[0] == 0
    assert job.call("run")[0] == 0


def a_platform_is_put_back(job: Job) -> None:
    in_doubt(job)
    job.file("r.csv", "\n".join(["Number,instagram", *(f"{n},no" for n in NUMBERS)]))
    job.edit("[platforms.instagram]\n", "[platforms.telegram]\nprice_per_10000 = 1.0\n")
    code, message = job.call("resolve", str(TASK), "--result", "r.csv")
    assert code == 2
    assert "put it back for this" in message
    job.edit("[platforms.telegram]\nprice_per_10000 = 1.0\n", "[platforms.instagram]\n")
    assert job.call("resolve", str(TASK), "--result", "r.csv")[0] == 0
    assert job.call("run")[0] == 0


def a_mistyped_id(job: Job) -> None:
    """Adopt an id that the vendor does not know; in no run is the job a dead end."""
    task_id = in_doubt(job)
    job.edit("min_interval_s = 0.01", "min_interval_s = 0.0001")
    job.edit("base_delay_s = 0.01", "base_delay_s = 0.0001")
    assert job.call("resolve", str(TASK), "--adopt", "mistyped")[0] == 0
    assert job.call("run")[0] == 3
    assert job.call("resolve", str(TASK), "--adopt", task_id)[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def what_was_retried(job: Job) -> None:
    failed(job)
    assert job.call("retry", "--all")[0] == 0
    code, message = job.call("resolve", str(TASK), "--resubmit")
    assert code == 2
    assert "in a later task: decide on that one" in message
    assert job.call("run")[0] == 0


def a_lost_directory_is_planned_anew(job: Job) -> None:
    """All that is left is the log of the run; what it says is taken once the plan is the same again."""
    assert job.call("run", "--submit-only")[0] == 75
    said = (job.directory / "run.jsonl").read_text()
    shutil.rmtree(job.directory)
    job.file("ci.log", said)
    code, message = job.call("resolve", "--adopt-log", "ci.log")
    assert code == 2
    assert "begin with orchestrator plan -c config.toml" in message
    job.list.write_text("".join(f"{number}\n" for number in NUMBERS[1:]))
    assert job.call("plan")[0] == 0
    code, message = job.call("resolve", "--adopt-log", "ci.log")
    assert code == 2
    assert "plan the list with which the job was begun" in message
    job.file("none.log", "nothing\n")
    code, message = job.call("resolve", "--adopt-log", "none.log")
    assert code == 2
    assert "stand in what a run writes off a terminal" in message
    job.list.write_text("".join(f"{number}\n" for number in NUMBERS))
    assert job.call("plan")[0] == 0
    code, message = job.call("resolve", "--all", "--adopt-log", "ci.log")
    assert code == 2
    assert "leave the tasks, --all and --partial out" in message
    code, message = job.call("resolve", "--all", "--give-up", "--adopt-log", "ci.log")
    assert code == 2
    assert "--undo and --adopt-log FILE" in message
    job.edit("[platforms.instagram]\n", "[platforms.telegram]\nprice_per_10000 = 1.0\n")
    content = json_of("resolve", "--adopt-log", "ci.log")
    assert "config.toml; put it back for this" in content["odd"][0]["reason"]
    job.edit("[platforms.telegram]\nprice_per_10000 = 1.0\n", "[platforms.instagram]\n")
    assert job.call("resolve", "--adopt-log", "ci.log") == (0, "orchestrator: next: orchestrator run -c config.toml")
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def another_id_of_the_log_is_looked_at(job: Job) -> None:
    """Read the log of an earlier run: it has the id that a task had before it was sent once more."""
    failed(job)
    said = (job.directory / "run.jsonl").read_text()
    assert job.call("resolve", str(TASK), "--resubmit")[0] == 0
    assert job.call("run")[0] == 0
    job.file("ci.log", said)
    (odd,) = json_of("resolve", "--adopt-log", "ci.log")["odd"]
    _, *typed = odd["reason"].partition("; ")[2].removesuffix(" looks at this one").split()
    assert job.call("resolve", *typed)[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 2


def a_task_that_is_misspelt(job: Job) -> None:
    in_doubt(job)
    for name in ("instagram/000009", "000001"):
        code, message = job.call("resolve", name, "--give-up")
        assert code == 2
        assert "see status --held" in message
    assert job.call("status", "--held")[0] == 1


def what_init_says(job: Job) -> None:
    code, message = job.call("init", "spring")
    assert code == 0
    assert "next: orchestrator plan -c spring/config.toml" in message
    code, message = job.call("plan", "-c", "spring/config.toml")
    assert (code, message) == (0, "orchestrator: next: orchestrator run -c spring/config.toml")
    assert job.call("run", "-c", "spring/config.toml")[0] == 0


def one_task_or_all(job: Job) -> None:
    task_id = in_doubt(job)
    for typed in (("--give-up",), (str(TASK), "--all", "--give-up")):
        code, message = job.call("resolve", *typed)
        assert code == 2
        assert "name the tasks to settle, or give --all for every held one" in message
    code, message = job.call("resolve", "--all", "--adopt", task_id)
    assert code == 2
    assert "--adopt and --result settle exactly one task; name it" in message
    assert job.call("resolve", "--all", "--give-up")[0] == 0
    code, message = job.call("resolve", str(TASK), "--undo")
    assert (code, message) == (0, "orchestrator: next: orchestrator status --held -c config.toml")
    assert job.call("status", "--held", "-c", "config.toml")[0] == 1
    assert job.call("resolve", str(TASK), "--adopt", task_id)[0] == 0
    assert job.call("run")[0] == 0


def part_is_unanswered(job: Job) -> None:
    """End a job with 2 of its 3 numbers unanswered."""
    in_doubt(job)
    job.file("part.csv", f"Number,instagram\n{NUMBERS[0]},yes\n")
    assert job.call("resolve", str(TASK), "--result", "part.csv", "--partial")[0] == 0
    assert job.call("run")[0] == 0


def too_few_for_a_retry(job: Job) -> None:
    job.edit("[platforms.instagram]\n", "[platforms.instagram]\nmin_rows = 3\n")
    part_is_unanswered(job)
    code, message = job.call("retry")
    assert code == 1
    assert "if the vendor takes so few, set [platforms.instagram] min_rows to 2, and retry" in message
    job.edit("min_rows = 3", "min_rows = 2")
    code, message = job.call("retry")
    assert (code, message) == (0, NEXT_RUN)
    assert job.call("run")[0] == 0
    assert [task.rows for task in job.vendor.charged()][1:] == [2]


def a_retry_over_budget(job: Job) -> None:
    """Nothing is planned, so the job stays finished; with what the message names, all of it is."""
    part_is_unanswered(job)
    job.edit("max_cost = 1.0", "max_cost = 0.0003")
    code, message = job.call("retry")
    assert code == 5
    assert "nothing was planned: " in message
    assert "0.0002 USD are missing; set max_cost to 0.0005 USD or more if it is worth it, and retry" in message
    assert job.call("run")[0] == 0
    job.edit("max_cost = 0.0003", "max_cost = 0.0005")
    assert job.call("retry")[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 2


def the_next_command_is_whole(job: Job) -> None:
    """Type what is printed: deadline, path to the key and what else was overridden are all there."""
    job.file("key", KEY).chmod(0o600)
    key = os.environ.pop("EKYCPRO_API_KEY")
    job.undo.append(lambda: os.environ.update(EKYCPRO_API_KEY=key))
    settings = ("--set", "vendors.main.api_key_file=key", "--set", "job.chunk_size=2")
    next_step = json_of("run", "--submit-only", "--deadline", "5h", *settings)["next"]
    assert f" {' '.join(settings)} --deadline 5h --after " in next_step
    assert job.call(*shlex.split(next_step)[1:])[0] == 0
    assert job.call("merge", *settings)[0] == 0
    summary = json.loads((job.directory / "summary.json").read_text())
    assert job.call("run", *settings, "--after", summary["after"])[0] == 0
    assert len(job.vendor.charged()) == 2


def the_next_command_names_what_is_secret(job: Job) -> None:
    secret = ("--set", "vendors.main.user_id=u-12345")
    next_step = json_of("run", "--submit-only", *secret)["next"]
    assert "--set vendors.main.user_id=<as before> --after " in next_step
    pasted = subprocess.run(["/bin/sh", "-c", next_step], capture_output=True, check=False)  # noqa: S603 - ours
    assert pasted.returncode not in (0, 75)
    _, *typed = shlex.split(next_step.replace("<as before>", "u-12345"))
    assert job.call(*typed)[0] == 0


def the_next_command_extends(job: Job) -> None:
    assert job.call("run")[0] == 0
    job.list.write_text("+41798284653\n")
    next_step = json_of("run", "--extend")["next"]
    assert "run -c config.toml --extend --after " in next_step
    job.list.write_text(LIST + "+41798284653\n")
    assert job.call(*shlex.split(next_step.partition("then orchestrator ")[2]))[0] == 0
    assert len(job.vendor.charged()) == 2


def a_folder_with_a_line_end(job: Job) -> None:
    folder = job.folder / "d\ne"
    folder.mkdir()
    for path in (job.config, job.list):
        shutil.copy(path, folder)
    code, message = job.call("plan", "-c", str(folder / "config.toml"))
    assert code == 2
    assert 'rename "d\\ne", which holds a line end' in message
    folder.rename(job.folder / "de")
    assert job.call("run", "-c", "de/config.toml")[0] == 0


def three_doubts(job: Job) -> None:
    """Leave three of four tasks in doubt, of which the vendor has none, and have a run say so."""

    def release(ledger: Ledger, key: TaskKey) -> None:
        ledger.transitions.release(key, cost_nano=100_000, max_cost_nano=None, at=2.0)

    def doubt(ledger: Ledger, key: TaskKey) -> None:
        ledger.transitions.doubt(key, "reset", at=3.0)

    job.edit("[job]\n", "[job]\nchunk_size = 1\n")
    job.list.write_text(LIST + "+41798284653\n")
    assert job.call("plan")[0] == 0
    change(job, lambda it: it.begin_run(at=1.0, host="here", pid=1))
    for key in (TaskKey("instagram", number) for number in (1, 2, 3)):
        change(job, partial(release, key=key), partial(doubt, key=key))
    code, message = job.call("run")
    assert code == 3
    assert "instagram: 3 submits are in doubt; see status --held, and decide with resolve" in message
    assert job.vendor.submits() == 0
    assert len(json_of("status", "--held")["held_tasks"]) == 3


def doubts_that_stop_a_platform_are_resubmitted(job: Job) -> None:
    three_doubts(job)
    assert job.call("resolve", "--all", "--resubmit")[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 4


def one_of_the_doubts_is_given_up(job: Job) -> None:
    """With fewer doubts than stop it, the platform goes on; those that are left still wait."""
    three_doubts(job)
    assert job.call("resolve", str(TASK), "--give-up")[0] == 0
    code, message = job.call("run")
    assert code == 3
    assert "submits are in doubt" not in message
    assert len(job.vendor.charged()) == 1
    assert job.call("resolve", "--all", "--resubmit")[0] == 0
    assert job.call("run")[0] == 1
    assert len(job.vendor.charged()) == 3


def the_first_task_is_held(job: Job) -> str:
    """Hold the task whose result would be read before the rest is sent; return the id that it has at the vendor."""
    job.edit("[job]\n", "[job]\nchunk_size = 1\n")
    job.list.write_text("".join(f"+4179828{n:04d}\n" for n in range(11)))
    job.edit("min_interval_s = 0.01", "min_interval_s = 0.0001")
    job.edit("base_delay_s = 0.01", "base_delay_s = 0.0001")
    task_id = in_doubt(job)
    assert job.call("resolve", str(TASK), "--adopt", "mistyped")[0] == 0
    code, message = job.call("run")
    assert code == 3
    assert "the first task is held, so the rest was not sent; see status --held, and decide with resolve" in message
    (task,) = json_of("status", "--held")["held_tasks"]
    assert task["task"] == str(TASK)
    assert len(job.vendor.charged()) == 1
    return task_id


def a_held_first_task_is_adopted(job: Job) -> None:
    task_id = the_first_task_is_held(job)
    assert job.call("resolve", str(TASK), "--adopt", task_id)[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 11


def a_held_first_task_is_given_up(job: Job) -> None:
    """Have the rest sent without it."""
    the_first_task_is_held(job)
    assert job.call("resolve", str(TASK), "--give-up")[0] == 0
    assert job.call("run")[0] == 1
    assert len(job.vendor.charged()) == 11


def a_held_first_task_gets_a_result(job: Job) -> None:
    the_first_task_is_held(job)
    number = (job.directory / "chunks" / "000001.txt").read_text().strip()  # drawn from all of the list: the trial
    job.file("r.csv", f"Number,instagram\n{number},no\n")
    assert job.call("resolve", str(TASK), "--result", "r.csv")[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 11


def an_altered_chunk_file_without_the_list(job: Job) -> None:
    """Alter it when all is paid for; either of both brings the master back."""
    assert job.call("run")[0] == 0
    chunk = job.directory / "chunks" / "000001.txt"
    whole, master = chunk.read_text(), (job.directory / "master.csv").read_bytes()
    for path, content in ((chunk, whole), (job.list, LIST)):
        chunk.write_text(whole.replace("+417", "+418"))
        job.list.unlink()
        (job.directory / "master.csv").unlink()
        code, message = job.call("run")
        assert code == 74
        assert "lost or altered, and the list that it was built from is not there as it was; put either back" in message
        path.write_text(content)
        assert job.call("run")[0] == 0
        assert (job.directory / "master.csv").read_bytes() == master
        job.list.write_text(LIST)
    assert len(job.vendor.charged()) == 1


def piped(job: Job, content: str, *command: str) -> tuple[int, str]:
    """Type a command behind a pipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        return job.call(*command)


def an_altered_chunk_file_of_a_pipe(job: Job) -> None:
    job.edit("numbers.txt", "-")
    assert piped(job, LIST, "run")[0] == 0
    chunk = job.directory / "chunks" / "000001.txt"
    master = (job.directory / "master.csv").read_bytes()
    chunk.write_text(chunk.read_text().replace("+417", "+418"))
    code, message = piped(job, "", "run")
    assert code == 74
    assert "where it came through standard input, remove the file and pipe it in once more with run" in message
    chunk.unlink()
    assert piped(job, LIST, "run")[0] == 0
    assert (job.directory / "master.csv").read_bytes() == master
    assert len(job.vendor.charged()) == 1


def extending_without_a_chunk_file(job: Job) -> str:
    """Lose a chunk file, and then give a longer list; return what the file had."""
    assert job.call("run")[0] == 0
    chunk = job.directory / "chunks" / "000001.txt"
    whole = chunk.read_text()
    chunk.unlink()
    job.list.write_text(LIST + "+41798284653\n")
    code, message = job.call("run", "--extend")
    assert code == 2
    assert "before the list can be extended, bring it back" in message, message
    return whole


def a_list_is_extended_once_the_chunk_file_is_back(job: Job) -> None:
    whole = extending_without_a_chunk_file(job)
    (job.directory / "chunks" / "000001.txt").write_text(whole)
    assert job.call("run", "--extend")[0] == 0
    assert len(job.vendor.charged()) == 2


def a_list_is_extended_once_the_old_one_was_run(job: Job) -> None:
    extending_without_a_chunk_file(job)
    job.list.write_text(LIST)
    assert job.call("run")[0] == 0
    job.list.write_text(LIST + "+41798284653\n")
    assert job.call("run", "--extend")[0] == 0
    assert len(job.vendor.charged()) == 2


def a_list_is_extended_once_the_altered_chunk_file_is_removed(job: Job) -> None:
    """One message says all that is to be done, in its order."""
    assert job.call("run")[0] == 0
    chunk = job.directory / "chunks" / "000001.txt"
    chunk.write_text(chunk.read_text().replace("+417", "+418"))
    job.list.write_text(LIST + "+41798284653\n")
    code, message = job.call("run", "--extend")
    assert code == 2
    assert "or remove it and run once without --extend, with the list as it was" in message, message
    chunk.unlink()
    job.list.write_text(LIST)
    assert job.call("run")[0] == 0
    job.list.write_text(LIST + "+41798284653\n")
    assert job.call("run", "--extend")[0] == 0
    assert len(job.vendor.charged()) == 2


def other_columns_without_the_list(job: Job) -> None:
    """Each of the three ways out, one after the other."""
    job.edit("numbers.txt", "crm.csv")
    table = job.file("crm.csv", "phone,name,city\n" + "".join(f"{n},Anna,Bern\n" for n in NUMBERS))
    keep = ("--set", "output.keep_columns=true")
    assert job.call("run", *keep)[0] == 0
    away = table.rename(job.folder / "away.csv")
    other = ("--set", 'output.keep_columns=["city"]')
    for command in ("run", "merge"):
        code, message = job.call(command, *other)
        assert code == 2
        assert "put it back as it was, or set keep_columns to what it was, or to false" in message
    assert job.call("run", *keep)[0] == 0
    assert job.call("run", "--set", "output.keep_columns=false")[0] == 0
    away.rename(table)
    assert job.call("run", *other)[0] == 0
    assert (job.directory / "master.csv").read_text().startswith("Number,instagram,city\n")
    assert len(job.vendor.charged()) == 1


def fetch_again(job: Job) -> None:
    """Alter the raw result of the first task, and type what verify says of it."""
    (result,) = (job.directory / "results" / "instagram").glob("000001*")
    whole = result.read_bytes()
    result.write_bytes(whole[:-1])
    code, message = job.call("verify")
    assert code == 1
    way_out = "resolve instagram/000001 --refetch"
    assert f"{way_out} has it fetched again, free" in " ".join(message.split()), message
    assert job.call(*way_out.split())[0] == 0
    assert job.call("run")[0] == 0
    code, message = job.call("verify")
    assert code == 0, message


def an_altered_result_is_fetched_again(job: Job) -> None:
    assert job.call("run")[0] == 0
    fetch_again(job)
    assert len(job.vendor.charged()) == 1


def an_altered_result_is_fetched_again_after_a_retry(job: Job) -> None:
    stalled(job)
    job.file("part.csv", f"Number,instagram\n{NUMBERS[0]},yes\n")
    assert job.call("resolve", str(TASK), "--result", "part.csv", "--partial")[0] == 0
    assert job.call("run")[0] == 0
    assert job.call("retry")[0] == 0
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 2
    fetch_again(job)
    assert len(job.vendor.charged()) == 2


def too_many_columns(job: Job) -> list[str]:
    """Ask for a workbook with more columns than a sheet has; return the names of those of the two tables."""
    names = [np.base_repr(number, 36) for number in range(16_400)]  # short ones: a first row has to fit into 64 KiB
    for name, number, columns in (("a.csv", NUMBERS[0], names[:8_200]), ("b.csv", NUMBERS[1], names[8_200:])):
        job.file(name, f"phone,{','.join(columns)}\n{number}{',x' * len(columns)}\n")
    job.edit('["numbers.txt"]', '["a.csv", "b.csv"]\ncolumn = "phone"')
    job.edit('formats = ["csv"]', 'formats = ["csv", "xlsx"]\nkeep_columns = true')
    code, message = job.call("run")
    assert code == 2
    assert 'leave "xlsx" out of [output] formats, or name fewer columns in keep_columns' in message, message
    assert job.vendor.submits() == 0
    return names


def a_wide_master_is_no_workbook(job: Job) -> None:
    too_many_columns(job)
    job.edit('["csv", "xlsx"]', '["csv"]')
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def a_wide_master_keeps_fewer_columns(job: Job) -> None:
    names = too_many_columns(job)
    job.edit("keep_columns = true", f"keep_columns = {json.dumps(names[:3])}")
    assert job.call("run")[0] == 0
    assert (job.directory / "master.xlsx").is_file()


def a_begun_master_becomes_too_wide(job: Job) -> None:
    names = too_many_columns(job)
    job.edit("keep_columns = true", "keep_columns = false")
    assert job.call("run")[0] == 0
    job.edit("keep_columns = false", "keep_columns = true")
    for command in ("run", "merge"):
        code, message = job.call(command)
        assert code == 2
        assert "name fewer columns in keep_columns" in message
    job.edit("keep_columns = true", f"keep_columns = {json.dumps(names[:3])}")
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def a_clock_that_goes_wrong_is_set(job: Job) -> None:
    """Have the vendor's page tell the time, as the header of any server does."""
    hour = [1]

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + 3600 * hour[0], usegmt=True))
            self.send_header("Content-Length", "14")
            self.end_headers()
            self.wfile.write(b'{"balance": 9}')

        def log_message(self, *_: object) -> None:
            pass

    job.edit(job.vendor.server.base_url, f"http://127.0.0.1:{job.serve(Page)}")
    code, message = job.call("plan")
    assert code == 1
    assert "differ by 3600 s; set the clock" in message or "differ by 3599 s; set the clock" in message
    hour[0] = 0
    assert job.call("plan")[0] == 0


def a_company_certificate_is_named(job: Job) -> None:
    """Have a process of its own: what it trusts is read once."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"balance": 9}')

        def log_message(self, *_: object) -> None:
            pass

    job.edit(job.vendor.server.base_url, f"https://localhost:{job.serve(Page, tls)}")
    code, message = job.call("plan")
    assert code == 1
    assert "name a file with your company's own certificates in the environment variable SSL_CERT_FILE" in message
    named = job.file("company.pem", authority.cert_pem.bytes())
    plan = [sys.executable, "-m", "orchestrator", "plan"]
    ended = subprocess.run(plan, env=os.environ | {"SSL_CERT_FILE": str(named)}, capture_output=True, check=False)  # noqa: S603 - this program
    assert ended.returncode == 0


def another_port_is_chosen(job: Job) -> None:
    """Have the vendor stand at a port that is free; it stays until it is told to stop."""
    taken = job.vendor.server.base_url.rpartition(":")[2]
    code, message = job.call("sandbox", "--port", taken, "--directory", "toy")
    assert code == 2
    assert "choose another --port or --directory" in message
    served = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "sandbox", "--port", "0", "--directory", "toy"], stdout=subprocess.PIPE
    )
    assert served.stdout is not None
    assert served.stdout.readline().startswith(b"http://127.0.0.1:")
    served.terminate()
    assert served.wait(30) == 0
    served.stdout.close()


def a_host_of_results_is_vouched_for(job: Job) -> None:
    """Have a vendor whose files lie elsewhere, as the links say; what waited is then fetched."""
    job.edit("127.0.0.1", "localhost")
    assert job.call("run")[0] == 3
    says = "the result link to 127.0.0.1 is not https; if that host is safe, add it to result_hosts"
    assert says in json_of("status", "--held")["held_tasks"][0]["reason"]
    job.edit("[vendors.main]\n", '[vendors.main]\nresult_hosts = ["127.0.0.1"]\n')
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 1


def a_newer_ledger_goes_on_with_its_release(job: Job) -> None:
    assert job.call("plan")[0] == 0

    def version(number: int) -> int:
        with contextlib.closing(sqlite3.connect(ledger_path(job.directory))) as database:
            (before,) = database.execute("PRAGMA user_version").fetchone()
            database.execute(f"PRAGMA user_version = {number}")
        return int(before)

    ours = version(99)
    code, message = job.call("run")
    assert code == 74
    assert "the ledger has version 99" in message
    assert "go on with the release that ran the job last" in message
    version(ours)  # what this release is for
    assert job.call("run")[0] == 0


def parquet_is_left_out(job: Job) -> None:
    """Have an environment without the library: it is said before anything is sent."""
    names = [name for name in sys.modules if name.partition(".")[0] == "pyarrow" or name.endswith(".parquet_sink")]
    kept = {name: sys.modules.pop(name) for name in names}
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # so an import of it fails

    def bring_back() -> None:
        del sys.modules["pyarrow"]
        sys.modules.update(kept)

    job.undo.append(bring_back)
    job.edit('formats = ["csv"]', 'formats = ["csv", "parquet"]')
    code, message = job.call("run")
    assert code == 2
    assert "pip install 'numbercheck-orchestrator[parquet]', or leave parquet out of [output] formats" in message
    assert job.vendor.submits() == 0
    job.edit('"csv", "parquet"', '"csv"')
    assert job.call("run")[0] == 0


def a_task_type_is_mended(job: Job) -> None:
    """Have the vendor refuse what it does not know; nothing was made, so the platform may ask something else."""
    right = '[platforms.telegram]\nstyle = "v1"\nprice_per_10000 = 1.0\nrequests_per_second = inf\nmin_rows = 1\n'
    job.add(right + 'task_type = "telegramm"\n')
    code, message = job.call("run")
    assert code == 1
    assert "check style, path and task_type of the platform" in message
    job.edit('"telegramm"', '"tg"')
    assert job.call("run")[0] == 0
    assert len(job.vendor.charged()) == 2


def list_by_list(
    job: Job, name: str, says: str, wrong: Callable[[Path], object], right: Callable[[Path], object]
) -> None:
    """Have a list that lacks a number, as `plan` says; changed as that asks, it has it."""
    path = job.folder / name
    job.edit("numbers.txt", name)
    job.edit("[job]\n", "[job]\nmax_rejected = 0.9\n")
    wrong(path)
    assert says in said_by(job, "plan")
    right(path)
    content = said_by(job, "plan", "--json")
    assert json.loads(content.splitlines()[-1])["numbers"]["rejected"] == 0
    assert job.call("run")[0] == 0


def said_by(job: Job, *command: str) -> str:
    """Type a command; return what it writes to standard output."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(command)
    return out.getvalue()


def text_of(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


def book_of(*cells: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        book = openpyxl.Workbook()
        for cell in ("Phone", *cells):
            book.worksheets[0].append([cell])
        book.save(path)

    return make


def a_formula_is_calculated(job: Job) -> None:
    says = "open the workbook in a spreadsheet program and save it"
    right = book_of("+41798284651", "+41798284652")
    list_by_list(job, "a.xlsx", says, book_of("+41798284651", '="+"&41798284652'), right)


def quotes_are_put_around(job: Job) -> None:
    says = "put quotes around cells with the delimiter in them"
    rows = ["Name,Phone", "Ann,+41798284651", *["Bob,+41798284652"] * 3]
    right = text_of("\n".join([*rows, '"Cy, jun.",+41798284653']))
    list_by_list(job, "a.csv", says, text_of("\n".join([*rows, "Cy, jun.,+41798284653"])), right)


def two_numbers_are_written_whole(job: Job) -> None:
    says = "write two numbers whole, with a semicolon between them, and take away what is part of none"
    wrong = ["+49 30 1234567/8", "+41798284651", "+49 30 1234560 (2)", "+41798284652"]
    right = ["+49 30 1234567; +49 30 1234568", "+41798284651", "+49 30 1234560", "+41798284652"]
    list_by_list(job, "a.csv", says, *(text_of("\n".join(["Phone", *rows])) for rows in (wrong, right)))


def area_codes_are_joined(job: Job) -> None:
    job.edit("numbers.txt", "a.csv")
    job.edit("[job]\n", '[job]\ndefault_region = "DE"\n')
    path = job.folder / "a.csv"
    path.write_text("Vorwahl;Telefon\n0711;8284651\n0711;8284652\n")
    code, message = job.call("plan")
    assert code == 2
    assert 'join the two into one column, or set column = "Telefon" to read its numbers as they stand' in message
    assert said_by(job, "plan", "--set", "job.column=Telefon")
    path.write_text("Telefon\n0711 8284651\n0711 8284652\n")
    assert job.call("run")[0] == 0
    assert "+497118284651" in (job.directory / "master.csv").read_text()


SCENARIOS = [
    the_list_is_brought_back,
    the_longer_list_is_taken_in,
    the_other_list_is_a_new_job,
    a_changed_setting_is_a_new_job,
    a_purged_job_begins_anew_elsewhere,
    purge_says_how,
    a_table_comes_back_elsewhere,
    a_table_is_changed_so_that_it_comes_back,
    an_older_copy_is_replaced,
    a_lost_ledger_is_restored,
    without_a_ledger_the_files_are_moved,
    without_a_ledger_another_directory,
    nothing_planned_is_planned,
    an_altered_chunk_file_is_removed,
    a_damaged_chunk_file_is_removed,
    a_chunk_file_and_the_list_are_lost,
    a_chunk_file_is_lost_and_the_list_is_put_back,
    the_budget_is_raised,
    a_price_is_set,
    too_small_is_left_out,
    too_small_is_skipped,
    too_small_gets_more,
    a_platform_that_joins_is_too_small,
    a_wrong_path_is_mended,
    pending_cells_are_run,
    a_platform_is_not_planned_yet,
    all_but_what_was_paid_for,
    nothing_to_fetch,
    all_is_undone,
    part_of_a_result,
    a_result_with_the_wrong_name,
    a_result_with_another_column,
    a_platform_is_put_back,
    a_mistyped_id,
    what_was_retried,
    a_task_that_is_misspelt,
    a_lost_directory_is_planned_anew,
    another_id_of_the_log_is_looked_at,
    what_init_says,
    one_task_or_all,
    too_few_for_a_retry,
    a_retry_over_budget,
    the_next_command_is_whole,
    the_next_command_names_what_is_secret,
    the_next_command_extends,
    a_folder_with_a_line_end,
    doubts_that_stop_a_platform_are_resubmitted,
    one_of_the_doubts_is_given_up,
    a_held_first_task_is_adopted,
    a_held_first_task_is_given_up,
    a_held_first_task_gets_a_result,
    an_altered_chunk_file_without_the_list,
    an_altered_chunk_file_of_a_pipe,
    a_list_is_extended_once_the_chunk_file_is_back,
    a_list_is_extended_once_the_old_one_was_run,
    a_list_is_extended_once_the_altered_chunk_file_is_removed,
    other_columns_without_the_list,
    an_altered_result_is_fetched_again,
    an_altered_result_is_fetched_again_after_a_retry,
    a_wide_master_is_no_workbook,
    a_wide_master_keeps_fewer_columns,
    a_begun_master_becomes_too_wide,
    a_clock_that_goes_wrong_is_set,
    a_company_certificate_is_named,
    another_port_is_chosen,
    a_host_of_results_is_vouched_for,
    a_newer_ledger_goes_on_with_its_release,
    parquet_is_left_out,
    a_task_type_is_mended,
    a_formula_is_calculated,
    quotes_are_put_around,
    two_numbers_are_written_whole,
    area_codes_are_joined,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_way_out(a_job: Job, scenario: Callable[[Job], None]) -> None:
    """The message comes, what it says is done, and it is accepted."""
    scenario(a_job)


# --- every message that names a way out is in a table ----------------------------------------------------------------

PACKAGE = Path(orchestrator.__file__).parent
STAGES = ("cli", "dispatch", "job", "ledger", "master", "report", "results", "vendor_api")
"""Where messages come from that meet a job underway. What config and list say is typed anew, and the next
call reads it as any other; the mistakes of `test_mistakes` take these, as far as they have a `mend`."""
WAY = re.compile(
    r"orchestrator [a-z]+ |(?<![\w-])--[a-z]|(?:[;,:(] ?|^|and |or |then )(?:set|remove|restore|put|bring|raise|choose|"
    r"check|repair|correct|name|save|top|look|add|begin|start|wait|see|take|give|make|copy|use|leave|go on|install|ask|"
    r"move|decide|settle|run) "
)

TRIED: dict[str, str] = {
    "name the database that has its ledger": (
        "tests/storage/test_staged_jobs.py::test_a_bucket_of_a_job_whose_ledger_is_elsewhere_is_refused"
    ),
    "this names no object": "tests/storage/test_url_inputs.py::test_a_table_comes_back_in_a_bucket",
    "has its ledger here, and [ledger] url names another": (
        "tests/job/test_postgres.py::test_a_directory_with_a_ledger_of_its_own"
    ),
    "in this directory is in a database; set [ledger] url": "tests/job/test_postgres.py::test_a_job_needs_its_url",
    "lies there, of another job than": "tests/job/test_postgres.py::test_a_directory_of_another_job",
    "[ledger] url needs a library that is not here": "tests/job/test_postgres.py::test_without_the_extra",
    "[ledger] url: {}; see orchestrator help postgres": (
        "tests/ledger/test_postgres.py::test_a_url_that_the_library_does_not_understand"
    ),
    "if it was restored from a backup, stop, and name": (
        "tests/ledger/test_postgres.py::test_a_database_that_was_restored"
    ),
    "the database has failed over": "tests/ledger/test_postgres.py::test_a_failover_that_may_lack_commits",
    "see orchestrator help postgres for what its role needs": (
        "tests/ledger/test_postgres.py::test_a_role_that_may_do_no_more"
    ),
    "put the password into the environment variable": "tests/job/test_postgres.py::test_where_a_password_comes_from",
    "set pool_mode of the pooler to": "tests/job/test_pooler.py::test_a_pooler_that_lets_nobody_in",
    "leave it out of [ledger] url and of the environment": (
        "tests/job/test_pooler.py::test_a_pooler_that_lets_nobody_in"
    ),
    "another transaction there holds what this one needs": (
        "tests/storage/test_silent_database.py::test_a_lease_whose_row_is_locked"
    ),
    '[workers] kind = "dask" needs what is not installed': "tests/test_dask_cluster.py::test_without_the_extra",
    "; give -o ": "a_table_comes_back_elsewhere",
    "or give -o another name": "a_table_comes_back_elsewhere",
    "name a file in it": "a_table_comes_back_elsewhere",
    "name a table that can be read": "a_table_comes_back_elsewhere",
    "there is no room for {} more columns": "a_table_is_changed_so_that_it_comes_back",
    " --extend": "the_next_command_extends",
    " --deadline {}": "the_next_command_is_whole",
    " --set {}": "the_next_command_is_whole",
    "orchestrator run {}{}{}": "the_next_command_is_whole",
    " --after {}": "the_next_command_is_whole",
    "next: orchestrator plan -c {}": "what_init_says",
    "orchestrator run {}": "pending_cells_are_run",
    "orchestrator purge --yes {}": "purge_says_how",
    "orchestrator retry {}": "test_the_end_of_a_run_with_a_failed_task",
    "--deadline sets another": "tests/report/test_pipeline.py::test_a_run_on_github",
    "put the id that the vendor shows for the task": "tests/test_cli.py::test_what_stands_for_an_id_is_none",
    'run the workflow with "do" = begin': (
        "tests/pipelines/test_github.py::test_a_job_that_is_stopped_twice_and_loses_a_runner"
    ),
    "start a pipeline with DO = begin": "tests/pipelines/test_gitlab.py::test_a_job_that_loses_a_runner",
    "name the tasks to settle, or give --all": "one_task_or_all",
    "settle exactly one task; name it": "one_task_or_all",
    "status --held": "one_task_or_all",
    "--all --undo takes that back": "all_is_undone",
    "no task id of the vendor is known, so there is nothing to fetch": "nothing_to_fetch",
    "it has a task id, so it was paid for": "all_but_what_was_paid_for",
    "--adopt TASK_ID": "test_what_status_shows_can_be_typed",
    "--result FILE": "test_what_status_shows_can_be_typed",
    "orchestrator resolve {} {} {}": "test_what_status_shows_can_be_typed",
    "orchestrator resolve {} --undo": "tests/test_cli.py::test_a_decision_can_be_exchanged_and_taken_back",
    "withdrew what retry had planned": (
        "tests/job/test_retry.py::test_a_retry_is_taken_back_when_its_numbers_may_come_for_free"
    ),
    "retry planned its numbers again": "what_was_retried",
    "the job has no such task": "a_task_that_is_misspelt",
    "plan the list with which": "a_lost_directory_is_planned_anew",
    "stand in what a run writes": "a_lost_directory_is_planned_anew",
    "--adopt-log FILE": "a_lost_directory_is_planned_anew",
    "; resolve {} --adopt {} looks at this one": "another_id_of_the_log_is_looked_at",
    "{}; see status --held": "a_task_that_is_misspelt",
    "is not in {}; put it back for this": "a_platform_is_put_back",
    "its column is named after": "a_result_with_another_column",
    "is the task id of {}; if it is": "a_result_with_the_wrong_name",
    "take it with --partial": "part_of_a_result",
    "a task id or a result file belongs to": "tests/job/test_resolve.py::test_a_result_for_all_of_none",
    "this can't be a task id of the vendor": "a_mistyped_id",
    "belongs to {}; look at the vendor": "tests/job/test_resolve.py::test_decisions_that_make_no_sense",
    "has named the task id {} for {}": (
        "tests/job/test_resolve.py::test_an_id_that_the_vendor_named_for_another_task_is_not_adopted"
    ),
    "was given to {} since; decide on that one first": (
        "tests/ledger/test_store_transitions.py::test_an_id_that_went_to_another_task_does_not_come_back"
    ),
    "{}: no ledger; if the job ran before": "nothing_planned_is_planned",
    "in its directory; if the job ran before": "without_a_ledger_the_files_are_moved",
    "it is an older copy": "an_older_copy_is_replaced",
    "keep_columns = false for a master without columns of the list": (
        "tests/job/test_damaged_files.py::test_altered_columns_without_the_list"
    ),
    "not the ledger that {} beside it": "tests/job/test_access.py::test_an_older_ledger_beside_a_later_summary",
    "this job was purged": "a_purged_job_begins_anew_elsewhere",
    "goes on with what it began with; put": "a_changed_setting_is_a_new_job",
    "too few for every platform": "too_small_gets_more",
    "this job goes on with the list it began with": "the_longer_list_is_taken_in",
    "rows at least, and this job has": "a_platform_that_joins_is_too_small",
    "accepted numbers, {} takes {} at least": "too_small_gets_more",
    "leave out [platforms.{}]": "too_small_is_left_out",
    "and so is the list that it was built from": "a_chunk_file_and_the_list_are_lost",
    "nothing is planned yet": "a_platform_is_not_planned_yet",
    "no price is known for": "a_price_is_set",
    "[budget] max_cost is not set": "mistake: no budget",
    "the balance is {}, what is left": "mistake: no balance",
    "retry --all plans to pay for them again": "test_the_end_of_a_run_with_a_failed_task",
    "failed for good": "test_the_end_of_a_run_with_a_failed_task",
    "held, which the vendor may or may not have": "test_the_end_of_a_run_with_a_held_task",
    "set [budget] max_cost": "the_budget_is_raised",
    "are missing; set max_cost to {} or more": "the_budget_is_raised",
    "numbers lack a verdict, and it takes {} at least": "too_few_for_a_retry",
    "this run sent nothing": "mistake: no budget",
    "put the key or the balance right": "mistake: a key that the vendor refuses",
    "wait for the other run": "mistake: another run",
    "wait for its end": "mistake: another run",
    "repair the disk": "mistake: a full disk",
    "run the same command again": "mistake: a vendor out of reach",
    "restore the job's directory from its last run": "mistake: a damaged ledger",
    "where the ledger is not safe": "mistake: a network file system",
    "check base_url": "mistake: a name that is not found",
    "there is no such page; check base_url": "a_wrong_path_is_mended",
    "the file is too large for the vendor": "a_changed_setting_is_a_new_job",
    "the vendor wants more rows in a task": "a_changed_setting_is_a_new_job",
    "rows at most, and this job has": "a_changed_setting_is_a_new_job",
    "remove it, and the next run": "an_altered_chunk_file_is_removed",
    "submits are in doubt; see status --held": "doubts_that_stop_a_platform_are_resubmitted",
    "the first task is held, so the rest": "a_held_first_task_is_adopted",
    "lost or altered, and the list that it was built from": "an_altered_chunk_file_without_the_list",
    "before the list can be extended, bring it back": "a_list_is_extended_once_the_old_one_was_run",
    "run once without --extend, with the list as": "a_list_is_extended_once_the_altered_chunk_file_is_removed",
    "put it back as it was, or set keep_columns": "other_columns_without_the_list",
    "resolve {} --refetch has it fetched again": "an_altered_result_is_fetched_again",
    "the master would have {} columns": "a_wide_master_keeps_fewer_columns",
    "does not accept the key": "mistake: a key that the vendor refuses",
    "the balance at the vendor is used up": "tests/job/test_money.py::test_a_balance_that_runs_out_on_the_way",
    "quote it anew with plan --out": "tests/job/test_quote.py::test_anything_else_is_not_sent",
    "orchestrator plan --out {} writes": "tests/job/test_quote.py::test_a_quote_that_was_tampered_with",
    "orchestrator plan --out FILE writes one": "tests/job/test_quote.py::test_a_quote_takes_no_other_files_place",
    "name another place with --out": "tests/job/test_quote.py::test_a_quote_takes_no_other_files_place",
    "see to the clocks of both machines": (
        "tests/job/test_reuse.py::test_what_is_of_a_time_to_come_is_not_young_for_ever"
    ),
    "if they are right, set one_word = true here": (
        "tests/job/test_reuse.py::test_what_came_with_an_alarm_is_asked_again"
    ),
    " --quote {}": "tests/job/test_quote.py::test_a_run_that_was_interrupted_goes_on_with_its_quote",
    "set trial_rows, or run without --trial": "tests/job/test_trial.py::test_a_job_without_a_trial_has_none_to_send",
    "goes on without --trial": "tests/job/test_trial.py::test_a_job_that_has_begun_without_a_trial",
    "run --trial sends it alone": "tests/job/test_trial.py::test_a_plan_tells_of_the_trial",
    "results in a row came to nothing": "tests/job/test_alarms.py::test_one_word_can_be_what_is_right",
    "more, see orchestrator status": ("tests/job/test_alarms.py::test_a_vendor_that_is_blocked_is_noticed_and_stopped"),
    "so they are not asked; if the vendor takes so few": (
        "tests/job/test_only_if.py::test_too_few_are_said_and_asked_once_they_may_be"
    ),
    "name the directory of one, as its [job] directory has it": "tests/job/test_reuse.py::test_jobs_that_say_nothing",
    "is one of [reuse] jobs: put it right": "tests/job/test_reuse.py::test_jobs_that_say_nothing",
    "differ by {} s; set the clock": "a_clock_that_goes_wrong_is_set",
    "the environment variable SSL_CERT_FILE": "a_company_certificate_is_named",
    "sandbox: {}; choose another --port": "another_port_is_chosen",
    "is not https; if that host is safe": "a_host_of_results_is_vouched_for",
    "go on with the release that ran the job last": "a_newer_ledger_goes_on_with_its_release",
    "master.parquet needs pyarrow": "parquet_is_left_out",
    "the vendor does not take this request": "a_task_type_is_mended",
    "open the workbook in a spreadsheet program": "a_formula_is_calculated",
    "put quotes around cells with the delimiter": "quotes_are_put_around",
    "write two numbers whole, with a semicolon": "two_numbers_are_written_whole",
    "name its configuration file instead": (
        "tests/storage/test_staged_jobs.py::test_another_job_is_named_by_its_configuration_file"
    ),
    "if the rest is worth it, quote it anew with orchestrator plan": (
        "tests/job/test_only_if.py::test_what_is_picked_in_parts_stays_within_the_quote"
    ),
    "by what is spent so far the job will cost": (
        "tests/job/test_money.py::test_what_the_vendor_tells_counts_in_the_place_of_the_price"
    ),
}
"""A part of each message, and where its way out is taken: a scenario or a test of this file, a mistake that is mended,
or a test elsewhere."""

NOT_TRIED: dict[str, str] = {
    "a workbook takes {}: of a longer list": "takes ten million numbers; tests/job/test_run.py has smaller workbooks",
    "one that was made with ENCODING 'UTF8'": "of a database; tests/ledger/test_postgres.py has some",
    "a schema {} is there that is not of this program": "of a database; tests/ledger/test_postgres.py has one",
    "the ledger stands at {}, not at {}": "takes a database that was restored while a run was on",
    "its lease is gone": "takes a database of which rows were lost",
    "restore the database from its last backup": "takes a backup of a database",
    "go on with the release that ran a job there last": "takes a release of the future",
    "orchestrator --help": "in the help",
    "the whole job; stop it and run it again": "in the help",
    "has not noted its end": "says who; to wait is tried by the mistake: another run",
    "put off": "the name of an outcome, no message",
    "{}: run {} ": "the headline of a run, no message",
    "{}, run {}": "the headline of a run, no message",
    "orchestrator run .*?": "finds the command within a sentence, no message",
    "ask it to remove them": "of the vendor, by a person",
    "ask the vendor what it is allowed to": "of the vendor, by a person",
    "not a public address; if it is safe": "the test's files lie on this machine, whose addresses are never refused",
    "this file system can't hold a ledger": "takes a file system that has no locks",
    "the job has a ledger already": "a fault of the program alone would say so",
    "the API key holds characters": "said to programs alone; a command says it before: a mistake, a key of two lines",
    "if they are all of one country": "said where numbers of no country fit: else the country is named, by advice",
    "bring it back from a copy": "takes a folder that is altered in the midst of a run",
    "stood inside other text": "of a list; nothing is refused",
}
"""Messages whose way out no test takes, with the reason."""


def named(tree: ast.AST) -> Iterator[str]:
    """Give the texts of a module that name a way out, with {} for what is filled in; no docstrings, and no help."""
    passed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            passed.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            passed.update(id(part) for part in ast.walk(node) if part is not node)
        if isinstance(node, ast.keyword) and node.arg in ("example", "help", "short_help"):
            passed.add(id(node.value))
    for node in ast.walk(tree):
        if id(node) in passed:
            continue
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        if " " in text and WAY.search(text):
            yield text


def messages() -> list[tuple[str, str]]:
    paths = sorted(path for stage in STAGES for path in (PACKAGE / stage).rglob("*.py"))
    return [(str(path.relative_to(PACKAGE)), text) for path in paths for text in named(ast.parse(path.read_text()))]


def test_every_message_with_a_way_out_is_listed() -> None:
    """A new message of this kind has to be listed with the test that takes its way out."""
    known, found = [*TRIED, *NOT_TRIED], messages()
    assert [(path, text) for path, text in found if not any(part in text for part in known)] == []
    assert [part for part in known if not any(part in text for _, text in found)] == []


@pytest.mark.parametrize("place", sorted(set(TRIED.values())))
def test_what_takes_a_way_out_is_there(place: str) -> None:
    """Each place of the table is a test, and a mistake of it is mended."""
    if place.startswith("mistake: "):
        (mistake,) = (mistake for mistake in MISTAKES if mistake.name == place.removeprefix("mistake: "))
        assert mistake.mend is not None
    elif "::" in place:
        path, _, name = place.partition("::")
        assert f"def {name}(" in (PACKAGE.parent / path).read_text()
    else:
        assert place in {*globals(), *(scenario.__name__ for scenario in SCENARIOS)}
