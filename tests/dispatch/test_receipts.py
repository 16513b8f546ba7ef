from __future__ import annotations

import io
import json
import shlex
import textwrap
from typing import TYPE_CHECKING

import pytest

from orchestrator.dispatch.receipts import Receipt, Seal, read_log
from orchestrator.logger import log
from orchestrator.records import Chunk
from orchestrator.report.log import logging_to
from orchestrator.tasks import TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKS = [Chunk(number, (number - 1) * 100, 100, f"{number:064x}") for number in range(1, 6)]
SEAL = Seal.of(CHUNKS)
SENT = [(TaskKey("instagram", 1), "3f1b-77"), (TaskKey("amazon", 1), "an id"), (TaskKey("instagram", 2), "900042")]
GITHUB = "run\tOrchestrate\t2026-11-21T20:15:02.2503841Z "


def fits(receipt: Receipt) -> bool:
    return SEAL.check(receipt.key, f"{receipt.key.chunk:064x}", receipt.task_id) == receipt.check


def written(*, ended: bool = True) -> list[str]:
    """Return what a run has on its console, off a terminal."""
    stream = io.StringIO()
    with logging_to(stream, None, clock=lambda: 1_795_292_102.0, environ={}):
        log.info("run", serial=1, job="spring")
        for key, task_id in SENT:
            check = SEAL.check(key, f"{key.chunk:064x}", task_id)
            log.info("accepted", platform=key.platform, chunk=f"{key.chunk:06d}", check=check, task_id=task_id)
        log.error("in_doubt", task="instagram/000003", reason="connection reset")
        log.error("stalled", task="instagram/000001", task_id="3f1b-77", reason="no progress")
        if ended:
            log.info("run_ended", exit_code=3, reason="1 task held for a decision")
    return stream.getvalue().splitlines()


def as_json(line: str) -> str:
    """Write a line as run.jsonl has it."""
    _, level, name, *fields = shlex.split(line)
    return json.dumps({"level": level, "event": name, **dict(field.split("=", 1) for field in fields)})


DISGUISES: dict[str, Callable[[list[str]], str]] = {
    "as it was": "\n".join,
    "Windows": lambda lines: "\ufeff" + "\r\n".join(lines),
    "GitHub": lambda lines: "\n".join(f"{GITHUB}{line}" for line in lines),
    "GitLab": lambda lines: (
        "section_start:1795292102:step_script\r\x1b[0K\x1b[0K"
        + "\n".join(f"2026-11-21T20:15:02.250384Z 01O \x1b[32;1m{line}\x1b[0;m" for line in lines)
    ),
    "wrapped": lambda lines: "\n".join(part for line in lines for part in textwrap.wrap(line, 50)),
    "wrapped anywhere": lambda lines: "\n".join(line[at : at + 37] for line in lines for at in range(0, len(line), 37)),
    "wrapped in a column": lambda lines: "\n".join(
        f"{GITHUB}{line[at : at + 60]}" for line in lines for at in range(0, len(line), 60)
    ),
    "JSON": lambda lines: "\n".join(map(as_json, lines)),
    "JSON in GitHub": lambda lines: "\n".join(f"{GITHUB}{as_json(line)}" for line in lines),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_log_is_read_in_any_disguise(disguise: str) -> None:
    """Times, colours and names in front, Windows' line ends, wrapped lines, and what programs get."""
    content = read_log(DISGUISES[disguise](written()), fits)
    assert [(receipt.key, receipt.task_id) for receipt in content.receipts] == SENT
    assert (content.odd, content.lately) == ((), ())
    assert content.in_doubt == (TaskKey("instagram", 3),)


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_line_that_is_not_whole_is_odd(cut: int) -> None:
    """Its id would be another task's: the check tells."""
    line = written()[1]
    content = read_log(f"{line[:-cut]}\nsomething else\n", fits)
    assert (content.receipts, content.odd) == ((), (1,))


def test_what_is_of_another_list_does_not_fit() -> None:
    """One chunk that differs makes another list, and its key with it."""
    other = Seal.of([*CHUNKS[:-1], Chunk(5, 400, 100, "f" * 64)])
    content = read_log("\n".join(written()), lambda r: other.check(r.key, f"{r.key.chunk:064x}", r.task_id) == r.check)
    assert (content.receipts, content.odd) == ((), (2, 3, 4))


def test_later_generations_change_no_check() -> None:
    """A job that was extended or retried since still knows what its first runs have said."""
    later = [Chunk(6, 500, 10, "a" * 64, generation=2), Chunk(7, 0, 10, "b" * 64, generation=2, only="amazon")]
    assert Seal.of([*CHUNKS, *later]) == SEAL


def test_a_run_without_an_end_is_told() -> None:
    """What it had on its way nobody knows; a later run that has ended is not meant."""
    assert [receipt.key for receipt in read_log("\n".join(written(ended=False)), fits).lately] == [k for k, _ in SENT]
    content = read_log("\n".join(written(ended=False) + written()), fits)
    assert (content.lately, len(content.receipts)) == ((), 6)


def test_a_short_list_is_not_found_from_its_checks() -> None:
    """A key of one takes a while to make, so that nobody tries a million numbers on it."""
    few = Seal.of([Chunk(1, 0, 1, "0" * 64)])
    many = Seal(few.digest, 10)
    assert few.check(SENT[0][0], "0" * 64, "id") != many.check(SENT[0][0], "0" * 64, "id")
