"""The job's directory: what is in the way, what was lost, and what is older than it should be."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.errors import LockedError, UsageError
from orchestrator.job.access import ledger_place
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.purge import purge_job
from orchestrator.job.resolve import Resubmit, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions
from orchestrator.job.status import job_status
from orchestrator.job.verify import verify_job
from orchestrator.jobdir.layout import is_ours
from orchestrator.ledger import Ledger, job_lock, ledger_path
from orchestrator.records import Token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.job.conftest import Case


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def inputs(case: Case, *entries: str, directory: str) -> None:
    case.overrides = [f"job.inputs={list(entries)}", f'job.directory="{directory}"', "output.formats=['csv']"]


async def test_everything_that_a_job_writes_is_ours(case: Case) -> None:
    """In every format; so nothing is left open to others, taken for foreign, or left by a purge."""
    case.overrides = ["output.formats=['csv', 'xlsx', 'parquet']"]
    assert await case.run() == 0
    written = content(case.directory)
    assert {"master.parquet", "ledger/ledger.sqlite", "verdicts/instagram/000001.bin"} < set(written)
    assert [name for name in written if not is_ours(name)] == []
    await purge_job(case.settings(), case.world(), yes=True)
    assert set(content(case.directory)) == {".lock", "ledger/ledger.sqlite", "summary.json", "report.html", "run.jsonl"}
    assert not (case.directory / "chunks").exists()


@pytest.mark.parametrize(
    "name", ["master.csv", "chunks/list.txt", "chunks/000001.txt", "results/mine/a.xlsx", "run.jsonl"]
)
async def test_files_of_others_under_our_names(case: Case, name: str) -> None:
    """A directory that has them is refused before anything is written; once they are elsewhere, it is taken."""
    path = case.directory / name
    path.parent.mkdir(parents=True)
    path.write_text("mine\n")
    before = content(case.folder)
    for call in (plan_job(case.settings(), case.world()), case.run()):
        with pytest.raises(UsageError, match=f"no ledger, but {name.partition('/')[0]} lies in its directory"):
            await call
    assert content(case.folder) == before | {"config.toml": (case.folder / "config.toml").read_bytes()}
    path.rename(case.folder / "elsewhere")
    assert await case.run() == 0


@pytest.mark.parametrize(
    ("name", "directory"),
    [("numbers.txt", "linked"), ("master.csv", "."), ("chunks/list.txt", "."), ("chunks/000001.txt", "linked")],
)
async def test_a_list_in_the_jobs_directory(case: Case, name: str, directory: str) -> None:
    """It is refused, and nothing is written; a directory of its own is the way out."""
    (case.folder / "linked").symlink_to(".")
    path = case.folder / name
    path.parent.mkdir(exist_ok=True)
    (case.folder / "numbers.txt").rename(path)
    inputs(case, name, directory=directory)
    case.settings()
    before = content(case.folder)
    for call in (plan_job(case.settings(), case.world()), case.run()):
        with pytest.raises(UsageError, match="move"):
            await call
    assert content(case.folder) == before
    inputs(case, name, directory="own")
    assert await case.run() == 0
    assert {name: content(case.folder)[name] for name in before} == before


async def test_a_list_that_came_into_the_directory_later(case: Case) -> None:
    """A begun job does not take it, and leaves it alone."""
    inputs(case, "lists/*.txt", directory="out")
    (case.folder / "lists").mkdir()
    (case.folder / "numbers.txt").rename(case.folder / "lists/numbers.txt")
    assert (await plan_job(case.settings(), case.world())).counts.accepted == 10
    (case.directory / "mine.txt").write_text("+41790000099\n")
    inputs(case, "lists/*.txt", "out/mine.txt", directory="out")
    with pytest.raises(UsageError, match=r"mine\.txt: it lies in the job's directory"):
        await plan_job(case.settings(), case.world())
    assert (case.directory / "mine.txt").read_text() == "+41790000099\n"


@pytest.mark.parametrize("entry", ["'**/*.txt'", "'*/*.csv'", "'*/**/*.txt', '*/**/*.csv'"])
async def test_a_glob_that_meets_the_jobs_own_files(case: Case, entry: str) -> None:
    """They are no inputs, also where the directory is reached through a link; a longer list keeps them out as well."""
    (case.folder / "real").mkdir()
    (case.folder / "out").symlink_to("real")
    (case.folder / "lists").mkdir()
    (case.folder / "numbers.txt").rename(case.folder / "lists/numbers.txt")
    (case.folder / "lists/numbers.csv").write_text("number\n+41790000005\n")
    case.overrides = [f"job.inputs=['lists/numbers.*', {entry}]", "output.formats=['csv']"]
    assert await case.run() == 0
    assert await case.run() == 0
    charged = case.charged()
    (case.folder / "lists/numbers.csv").write_text("number\n+41790000005\n+41790000777\n")
    assert await case.run(RunOptions(extend=True)) == 0
    assert case.charged() == charged + 1
    assert len(case.cells()) == 11


async def test_a_lost_ledger(case: Case) -> None:
    """No command begins anew beside what a job left; with the ledger back, all go on."""
    assert await case.run() == 0
    charged = case.charged()
    (case.directory / "ledger").rename(case.folder / "lost")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: plan_job(case.settings(), case.world()),
        case.run,
        lambda: merge_job(case.settings(), case.world()),
        lambda: retry_job(case.settings(), case.world()),
        lambda: verify_job(case.settings(), case.world()),
        lambda: purge_job(case.settings(), case.world(), yes=True),
        lambda: resolve_tasks(case.settings(), Resubmit(), None, case.world()),
    ]
    before = content(case.directory)
    for call in calls:
        with pytest.raises(UsageError, match=r"no ledger, but .* lie in its directory; if the job ran before, restore"):
            await call()
    with pytest.raises(UsageError, match="no ledger, but"):
        job_status(case.settings())
    assert content(case.directory) == before
    assert case.charged() == charged
    (case.folder / "lost").rename(case.directory / "ledger")
    assert await case.run() == 0
    assert case.charged() == charged


async def test_what_a_plan_leaves_is_no_dead_end(case: Case) -> None:
    """Neither is what a first run leaves that was killed while it made its ledger."""
    await plan_job(case.settings(), case.world())
    assert await case.run() == 0
    shutil.rmtree(case.directory)
    (case.directory / "ledger").mkdir(parents=True)
    (case.directory / "ledger/ledger.sqlite.part").write_bytes(b"half a ledger")
    (case.directory / ".lock").touch()
    (case.directory / "results").mkdir()
    assert await case.run() == 0


async def test_a_purge_leaves_what_is_not_ours(case: Case) -> None:
    """Files of others stay, in our folders too, and are told."""
    assert await case.run() == 0
    mine = ["master.docx", "results/notes.txt", "results/instagram/my.xlsx", "chunks/list.txt", "lists/a.txt"]
    for name in mine:
        (case.directory / name).parent.mkdir(exist_ok=True)
        (case.directory / name).write_text("mine")
    report = await purge_job(case.settings(), case.world(), yes=True)
    left = set(content(case.directory)) - {".lock", "ledger/ledger.sqlite", "summary.json", "report.html", "run.jsonl"}
    assert left == set(mine)
    assert f"2 files in {case.directory / 'results'} that this program did not write" in report.out_of_reach
    assert (await purge_job(case.settings(), case.world(), yes=True)).files == 0


async def test_a_plan_leaves_what_is_not_ours(case: Case) -> None:
    """A shorter list takes chunk files away, and no others."""
    await plan_job(case.settings(), case.world())
    (case.directory / "chunks/list.txt").write_text("mine")
    case.numbers(4)
    await plan_job(case.settings(), case.world())
    names = {path.name for path in (case.directory / "chunks").iterdir()}
    assert names == {"000001.txt", "000002.txt", "list.txt"}


@pytest.mark.parametrize(
    ("text", "token"),
    [("", (0, 0)), ("0", (0, 0)), (" 3\n", (3, 0)), ("3.157", (3, 157)), ("0.4", (0, 4)), ("12.0", (12, 0))],
)
def test_tokens(text: str, token: tuple[int, int]) -> None:
    """As `summary.json` has them, or a serial alone; nothing is what a pipeline has before the first run."""
    assert Token.parse(text) == token


@pytest.mark.parametrize("text", ["null", "3.", ".3", "-1", "3.1.2", "3,1", "v3", "1e3", "9" * 19, "٣"])
def test_what_is_no_token(text: str) -> None:
    """Is an error that says where tokens come from."""
    with pytest.raises(ValueError, match=r"summary\.json"):
        Token.parse(text)


async def after(case: Case, text: str) -> int:
    return await case.run(RunOptions(after=Token.parse(text)))


def said(case: Case) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((case.directory / "summary.json").read_text())
    return content


async def test_the_pipeline(case: Case) -> None:
    """Each run takes `after` from the summary before it, the first one nothing: none is refused, older copies are."""
    token = ""
    copies: list[tuple[str, Path]] = []
    for _ in range(3):
        assert await after(case, token) == 0
        token = said(case)["after"]
        copies.append((token, case.folder / f"copy{len(copies)}"))
        shutil.copytree(case.directory, copies[-1][1])
    shutil.rmtree(case.directory)
    for text in ("1", token):
        with pytest.raises(UsageError, match="no ledger"):
            await after(case, text)
    for _, copy in copies[:-1]:
        shutil.copytree(copy, case.directory)
        with pytest.raises(UsageError, match=f"less than --after {token} says: it is an older copy"):
            await after(case, token)
        assert (await plan_job(case.settings(), case.world())).exit_code == 0
        shutil.rmtree(case.directory)
    shutil.copytree(copies[-1][1], case.directory)
    assert await after(case, "3") == 0
    assert await after(case, token) == 0
    assert case.charged() == 4


async def test_a_copy_made_during_a_run(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """At whatever moment: it is older than the run's end, and not older than what the summary said by then."""
    copies: list[tuple[Path, str]] = []
    commit = Ledger.seal

    def copying(ledger: Ledger) -> None:
        commit(ledger)
        if (case.directory / "summary.json").exists():
            copies.append((case.folder / f"copy{len(copies)}", said(case)["after"]))
            shutil.copytree(case.directory, copies[-1][0])

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "seal", copying)
        assert await case.run() == 0
    token = said(case)["after"]
    assert len(copies) > 4
    shutil.rmtree(case.directory)
    last = len(copies) - 1
    for number, (copy, own) in enumerate(copies):
        copy.rename(case.directory)
        with Ledger.open_to_read(ledger_path(case.directory)) as ledger:
            assert (ledger.runs.token >= Token.parse(token)) == (number == last), number
            assert ledger.runs.token >= Token.parse(own)
            assert ledger.runs.token.serial == 1
        shutil.rmtree(case.directory)


async def test_an_older_ledger_beside_a_later_summary(case: Case) -> None:
    """A directory that was put together of two copies is refused, whatever the command."""
    assert await case.run(RunOptions(submit_only=True)) == 75
    path = ledger_path(case.directory)
    older = path.read_bytes()
    assert await case.run() == 0
    later = path.read_bytes()
    path.write_bytes(older)
    for command in (case.run, lambda: merge_job(case.settings(), case.world())):
        with pytest.raises(UsageError, match="beside it was written from, but an older copy"):
            await command()
    path.write_bytes(later)
    assert await case.run() == 0
    path.write_bytes(older)
    (case.directory / "summary.json").unlink()
    assert await case.run() == 0
    assert case.charged() == 4


async def test_what_comes_after_a_run(case: Case) -> None:
    """The summary keeps up with the ledger, so that a copy from before a decision or a retry is an older one."""
    case.numbers(600)
    case.overrides = ["sandbox.faults=['missing_rows']", "job.chunk_size=300"]
    await case.run()
    before = said(case)["after"]
    copy = case.folder / "copy"
    shutil.copytree(case.directory, copy)
    await merge_job(case.settings(), case.world())
    assert said(case)["after"] == before
    await retry_job(case.settings(), case.world())
    token = said(case)["after"]
    assert Token.parse(token) > Token.parse(before)
    await plan_job(case.settings(), case.world())
    assert said(case)["after"] == token
    assert await after(case, token) in {0, 1}
    shutil.rmtree(case.directory)
    copy.rename(case.directory)
    with pytest.raises(UsageError, match="older copy"):
        await after(case, token)
    assert await after(case, before) in {0, 1}


async def test_the_whole_next_command(case: Case) -> None:
    """With the overrides, the deadline and the token; it goes on as it stands there."""
    case.overrides = ["job.chunk_size=4", "output.formats=['csv']"]
    outcome = await case.outcome(RunOptions(deadline_s=19_805.0, submit_only=True, extend=True))
    assert outcome.exit_code == 75
    _, command, _, config, *rest = shlex.split(outcome.summary["next"])
    assert (command, config) == ("run", str(case.folder / "config.toml"))
    expected = "--set job.chunk_size=4 --set output.formats=['csv'] --deadline 5h30m5s --after"
    assert rest == [*expected.split(), outcome.summary["after"]]
    assert said(case)["next"] == outcome.summary["next"]
    assert await after(case, rest[-1]) == 0


async def test_whoever_is_locked_out_reads_by_whom(case: Case) -> None:
    """Host, process and start of the other run, when it is a run; nothing that may be wrong otherwise."""
    assert await case.run() == 0
    with job_lock(case.directory), pytest.raises(LockedError, match=r"wait for its end, or stop it first$"):
        await case.run()
    with ledger_place(case.settings()).open() as ledger:
        ledger.change(lambda it: it.begin_run(at=1_763_756_102.0, host="runner-7", pid=4711))
    said = "run 2 on runner-7 as process 4711 since 2025-11-21T20:15:02Z, has not noted its end"
    with job_lock(case.directory), pytest.raises(LockedError, match=said):
        await case.run()
