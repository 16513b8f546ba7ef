"""What a person types in the life of a job that goes wrong: every command, in every form."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from tests.privacy.baits import KEY, NATIONAL, spellings
from tests.privacy.stage import Stage

JSON, PLAIN = ("--json",), ()
COMMANDS = frozenset(
    {"init", "plan", "run", "status", "resolve", "retry", "merge", "verify", "purge", "sandbox"},
)


def whole_life(stage: Stage, *, swapped: bool = False, to_the_end: bool = True) -> None:
    """Type every command while the faults last, and `to_the_end` after them; `swapped` has --json where none was."""
    one, other = (PLAIN, JSON) if swapped else (JSON, PLAIN)
    stage.type("init", str(stage.folder / "started"))
    stage.type("sandbox", "--directory", str(stage.folder / "served"), stop_after_s=1.0)
    stage.job("plan", *one)
    stage.job("run", "--deadline", "2m", *other)
    stage.search_all()
    stage.job("status", *one)
    stage.job("status", "--held", *other)
    stage.job("merge", *one)
    stage.job("verify", *one)
    stage.job("retry", *one)
    _resolve(stage)
    if to_the_end:
        stage.heal()
        for command in ("run", "retry", "merge", "verify", "status"):
            stage.job(command, *other)
    stage.search_all()
    stage.job("purge", *one)
    stage.job("purge", "--yes", *other)
    stage.job("run", *one)
    stage.search_all(purged=True)


def _resolve(stage: Stage) -> None:
    """Decide in every form: on held tasks, on tasks that are not, and on what is no task at all."""
    ids = [record.id for record in stage.vendor.tasks] or ["none"]
    held = iter(stage.held() or ["instagram/000001"])
    result = a_result(stage.folder, stage.directory)
    for words in (("--adopt", ids[-1]), ("--result", str(result)), ("--give-up",), ("--resubmit",)):
        stage.job("resolve", next(held, "amazon/000002"), *words)
    stage.job("resolve", spellings(NATIONAL[2])[4], "--adopt", spellings(NATIONAL[2])[0])
    stage.job("resolve", "instagram/000001", "--adopt", KEY)
    stage.job("resolve", "--all", "--resubmit", "--json")


def every_command(stage: Stage, broken: AbstractContextManager[Any] | None = None) -> None:
    """Type every command inside of `broken`: on a new job, and on one with held and finished tasks."""
    at_first = broken if broken is not None else nullcontext()
    with at_first:
        stage.type("init", str(stage.folder / "another"))
        stage.type("sandbox", "--directory", str(stage.folder / "served"), stop_after_s=1.0)
        stage.job("plan")
        stage.job("run", "--json", "--deadline", "2m")
    stage.job("run", "--deadline", "2m")
    result = a_result(stage.folder, stage.directory)
    with at_first:
        stage.job("status")
        stage.job("status", "--held", "--json")
        stage.job("resolve", "instagram/000001", "--result", str(result))
        stage.job("resolve", "--all", "--resubmit")
        stage.job("run", "--deadline", "2m")
        stage.job("retry", "--json")
        stage.job("merge")
        stage.job("verify")
        stage.job("purge")
        stage.search_all()
        stage.job("purge", "--yes", "--json")
    stage.search_all()


def a_result(folder: Path, directory: Path) -> Path:
    """Write a result of the first chunk, as fetched by hand."""
    chunk = directory / "chunks" / "000001.txt"
    numbers = chunk.read_text().split() if chunk.exists() else []
    path = folder / "by-hand.csv"
    path.write_text("\n".join(["Number,instagram,amazon", *(f"{number},yes,no" for number in numbers), ""]))
    return path
