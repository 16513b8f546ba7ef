"""The ledger's file: made, opened, committed to and closed on a real disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.records import Plan
from orchestrator.tasks import IllegalTransitionError, State, TaskKey
from tests.ledgers import everything, release, sqlite_of

MakePlan = Callable[..., Plan]

KEY = TaskKey("instagram", 1)


@pytest.fixture
def empty_ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Open a ledger in a file: the rules here are those of files."""
    with Ledger.create(ledger_path(tmp_path), "job-1") as opened:
        yield opened


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


# --- opening and closing ---------------------------------------------------------------------------------------------


def test_an_orderly_end_leaves_one_private_file(tmp_path: Path, make_plan: MakePlan) -> None:
    """While open the log is as private as the file; after closing there is only the file."""
    path = ledger_path(tmp_path / "runs" / "spring")
    with Ledger.create(path, "job-1") as ledger:
        ledger.change(lambda it: it.plan.replace(make_plan()))
        assert names(path.parent) == ["ledger.sqlite", "ledger.sqlite-shm", "ledger.sqlite-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert names(path.parent) == ["ledger.sqlite"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with Ledger.open(path) as ledger:
        assert ledger.plan.inputs() == make_plan().listed.inputs


def test_commits_are_synced(ledger: Ledger) -> None:
    """A log with full syncs (2): NORMAL may lose the last commits on power loss."""
    assert ledger.connection.value("PRAGMA journal_mode") == "wal"
    assert ledger.connection.value("PRAGMA synchronous") == 2
    assert ledger.connection.value("PRAGMA foreign_keys") == 1


@pytest.mark.parametrize("remains", ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-journal"])
def test_a_ledger_is_never_begun_anew_over_another(tmp_path: Path, remains: str) -> None:
    """A ledger, or a log whose ledger is missing, is evidence of tasks that were paid: nothing is overwritten."""
    path = ledger_path(tmp_path)
    path.parent.mkdir()
    (path.parent / remains).write_bytes(b"evidence")
    with pytest.raises(StorageError, match=f"{remains}: the job has a ledger already"):
        Ledger.create(path, "job-2")
    assert names(path.parent) == [remains]


def test_what_a_killed_creation_left_is_no_hindrance(tmp_path: Path) -> None:
    """A half-made ledger under its temporary name is replaced."""
    path = ledger_path(tmp_path)
    path.parent.mkdir()
    (path.parent / "ledger.sqlite.part").write_bytes(b"half a ledger")
    with Ledger.create(path, "job-1") as ledger:
        assert ledger.runs.job_id == "job-1"
    assert names(path.parent) == ["ledger.sqlite"]


@pytest.mark.parametrize("opened", [Ledger.open, Ledger.open_to_read])
def test_no_ledger(tmp_path: Path, opened: Callable[[Path], Ledger]) -> None:
    """A missing file is an error that says so, and none is made."""
    with pytest.raises(StorageError, match=r"ledger\.sqlite: .*is the job's directory complete"):
        opened(ledger_path(tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to have a header of 100 bytes" * 9])
@pytest.mark.parametrize("opened", [Ledger.open, Ledger.open_to_read])
def test_a_foreign_file(tmp_path: Path, opened: Callable[[Path], Ledger], content: bytes) -> None:
    """A file that is no ledger is refused and stays as it was."""
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"ledger.sqlite: (this is no ledger of ours|file is not a database)"):
        opened(path)
    assert path.read_bytes() == content
    assert names(tmp_path) == ["ledger.sqlite"]


def test_a_ledger_of_another_version(ledger: Ledger) -> None:
    """The message names both versions and the way out."""
    sqlite_of(ledger)._sql.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="the ledger has version 99, this program knows 2; go on with the release"):
        Ledger.open_to_read(sqlite_of(ledger).path)


def test_a_file_system_without_shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log can't be used a commit would be less durable than promised: refused."""
    path = tmp_path / "ledger.sqlite"
    Ledger.create(path, "job-1").close()
    monkeypatch.setattr("orchestrator.ledger.sqlite._connect", lambda _path, _mode: in_memory_copy(path))
    with pytest.raises(StorageError, match="use a directory on a local disk"):
        Ledger.open(path)


def in_memory_copy(path: Path) -> sqlite3.Connection:
    source, copy = sqlite3.connect(path), sqlite3.connect(":memory:", isolation_level=None)
    source.backup(copy)
    source.close()
    return copy


def test_a_damaged_ledger_is_an_error_of_the_disk(ledger: Ledger, make_plan: MakePlan) -> None:
    """Damage that shows only while reading or writing comes out as `StorageError` too, and closing does not hide it."""
    ledger.change(lambda it: it.plan.replace(make_plan(500)))
    roots = [int(page) for (page,) in ledger.connection.rows("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0")]
    page_bytes = ledger.connection.value("PRAGMA page_size")
    ledger.close()
    content = bytearray(sqlite_of(ledger).path.read_bytes())
    for page in roots:
        content[(page - 1) * page_bytes : page * page_bytes] = b"\xa5" * page_bytes
    sqlite_of(ledger).path.write_bytes(content)
    readings: list[Callable[[Ledger], object]] = [
        lambda ledger: ledger.platforms.standing(),
        lambda ledger: ledger.plan.inputs(),
        lambda ledger: ledger.platforms.fixed(),
        lambda it: list(it.plan.chunks()),
        lambda it: list(it.tasks.events()),
        lambda it: list(it.tasks.states_by_chunk(["instagram"])),
        lambda it: it.tasks.select(State.PLANNED),
        lambda it: it.tasks.planned("instagram", after_chunk=0, limit=5),
        lambda it: it.tasks.get(KEY),
        lambda it: it.tasks.planned_sizes("instagram"),
    ]
    with Ledger.open(sqlite_of(ledger).path) as damaged:
        for reading in readings:
            with pytest.raises(StorageError, match=r"ledger\.sqlite: database disk image is malformed"):
                reading(damaged)
        with pytest.raises(StorageError, match="malformed"):
            damaged.commit([release(1)])


@pytest.mark.parametrize(
    ("damage", "reading"),
    [
        ("UPDATE tasks SET reason = cast(x'fffe' AS TEXT)", lambda it: it.tasks.select(State.PLANNED)),
        ("UPDATE tasks SET reason = cast(x'fffe' AS TEXT)", lambda it: it.tasks.get(KEY)),
        (
            "UPDATE tasks SET submitted_at = 1e300",
            lambda it: it.tasks.planned("instagram", after_chunk=0, limit=5),
        ),
        ("UPDATE tally SET state = 'lost'", lambda ledger: ledger.platforms.standing()),
        ("UPDATE job SET counts = '{'", lambda ledger: ledger.plan.counts()),
        ("UPDATE job SET counts = '[]'", lambda ledger: ledger.plan.counts()),
        ("""UPDATE job SET counts = '{"read": "x"}'""", lambda ledger: ledger.plan.counts()),
        ("""UPDATE job SET counts = '{"read": 1e999}'""", lambda ledger: ledger.plan.counts()),
        ("""UPDATE job SET counts = '{"lines": 1}'""", lambda ledger: ledger.plan.counts()),
        ("UPDATE job SET reading = '5'", lambda ledger: ledger.plan.reading()),
        ("UPDATE job SET reading = replace(hex(zeroblob(50000)), '0', '[')", lambda ledger: ledger.plan.reading()),
        ("UPDATE platforms SET fixed = ''", lambda ledger: ledger.platforms.fixed()),
        ("UPDATE runs SET exit_code = 99", lambda ledger: ledger.runs.last()),
        ("UPDATE runs SET started_at = 1e300", lambda ledger: ledger.runs.last()),
        ("UPDATE runs SET ended_at = 1e12", lambda ledger: ledger.runs.last()),
        ("DELETE FROM job", lambda ledger: ledger.plan.counts()),
        ("DELETE FROM job", lambda it: it.runs.closed),
        ("DELETE FROM chunks WHERE chunk = 3", lambda ledger: ledger.plan.check_chunks()),
    ],
)
def test_records_that_make_no_sense_are_damage(
    ledger: Ledger, damage: str, reading: Callable[[Ledger], object]
) -> None:
    """What SQLite itself takes and this program never wrote comes out as `StorageError`, with the way out."""
    sqlite_of(ledger)._sql.execute("PRAGMA foreign_keys = OFF")
    sqlite_of(ledger)._sql.execute(damage)
    with pytest.raises(StorageError, match=r"ledger\.sqlite: .*; restore the job's directory from its last run"):
        reading(ledger)


def test_the_use_of_a_closed_ledger_is_no_damage(ledger: Ledger) -> None:
    """A fault of the program must not send its user to a copy."""
    ledger.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        ledger.plan.counts()


@pytest.mark.parametrize("evidence", ["{", "[]", "{}", '{"verdicts": ""}', None])
def test_evidence_that_makes_no_sense_is_damage(ledger: Ledger, evidence: str | None) -> None:
    """What was noted at the end of a task has to name the hashes that `verify` compares."""
    sqlite_of(ledger)._sql.execute(
        "UPDATE tasks SET state = 'done', task_id = 'x' WHERE platform = 'instagram' AND chunk = 1"
    )
    sqlite_of(ledger)._sql.execute(
        "UPDATE tasks SET state = 'done', evidence = ? WHERE platform = 'instagram' AND chunk = 1", (evidence,)
    )
    with pytest.raises(StorageError, match="a record is damaged"):
        list(ledger.tasks.evidence())


# --- reading beside a run --------------------------------------------------------------------------------------------


def test_reading_beside_a_writer_and_after_it(ledger: Ledger) -> None:
    """A reader sees each commit once it is made, and nothing of one on its way; it can't write."""
    with Ledger.open_to_read(sqlite_of(ledger).path) as reader:
        sqlite_of(ledger)._sql.execute("BEGIN IMMEDIATE")
        release(1)(ledger)
        assert reader.tasks.select(State.RELEASED) == []
        sqlite_of(ledger)._sql.execute("COMMIT")
        assert [task.key for task in reader.tasks.select(State.RELEASED)] == [KEY]
        with pytest.raises(StorageError, match="readonly"):
            reader.change(release(2))
    ledger.close()
    with Ledger.open_to_read(sqlite_of(ledger).path) as reader:
        assert [task.key for task in reader.tasks.select(State.RELEASED)] == [KEY]
    assert names(sqlite_of(ledger).path.parent) == ["ledger.sqlite"]


def test_a_reader_does_not_keep_the_end_of_a_run_from_the_file(ledger: Ledger, tmp_path: Path) -> None:
    """Closed while a reader is there the log remains, but the main file is whole: a copy of it alone is the ledger."""
    ledger.change(release(1))
    with Ledger.open_to_read(sqlite_of(ledger).path) as reader:
        assert reader.runs.serial == 1
        ledger.close()
        copy = tmp_path / "copy.sqlite"
        shutil.copy(sqlite_of(ledger).path, copy)
        with Ledger.open_to_read(copy) as copied:
            assert [task.key for task in copied.tasks.select(State.RELEASED)] == [KEY]
    Ledger.open(sqlite_of(ledger).path).close()
    assert names(sqlite_of(ledger).path.parent) == ["ledger.sqlite"]


def test_a_reader_in_the_middle_of_reading_does_not_hold_up_the_end_for_long(ledger: Ledger) -> None:
    """The log stays then, which is as durable: the next run opens it with everything in it."""
    ledger.change(release(1))
    with Ledger.open_to_read(sqlite_of(ledger).path) as reader:
        rows = reader.plan.chunks()
        next(rows)
        ledger.change(release(2))
        ledger.close()
        del rows
    with Ledger.open(sqlite_of(ledger).path) as again:
        assert [task.key.chunk for task in again.tasks.select(State.RELEASED)] == [1, 2]


@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_reading_in_a_directory_that_takes_no_files(tmp_path: Path, ledger: Ledger, ending: str) -> None:
    """Status works on a directory mounted read-only, after an orderly end and after a crash that left the log."""
    ledger.change(release(1))
    directory = tmp_path / "mounted"
    if ending == "closed":
        ledger.close()
    shutil.copytree(tmp_path / "ledger", directory / "ledger")
    mount = ["mount", "--bind", str(directory), str(directory)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:  # noqa: S603
        pytest.skip("mounting a directory read-only needs root and the right to mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(directory)], check=True)  # noqa: S603, S607 - see above
        with Ledger.open_to_read(ledger_path(directory)) as reader:
            assert [task.key for task in reader.tasks.select(State.RELEASED)] == [KEY]
    finally:
        subprocess.run(["umount", str(directory)], check=True)  # noqa: S603, S607 - mounted above


def test_reading_after_a_power_loss_in_the_middle_of_closing(tmp_path: Path) -> None:
    """A change that was cut off inside the file is taken back first: reading needs no run before it."""
    path = ledger_path(tmp_path / "job")
    Ledger.create(path, "job-1").close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # so the unfinished change is in the file, not in memory
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE job SET job_id = 'job-2'")
        connection.execute("CREATE TABLE filling (text)")
        connection.executemany("INSERT INTO filling VALUES (?)", [("x" * 5000,)] * 50)
        shutil.copytree(path.parent, tmp_path / "left" / "ledger")
        connection.execute("ROLLBACK")
    left = ledger_path(tmp_path / "left")
    assert names(left.parent) == ["ledger.sqlite", "ledger.sqlite-journal"]
    assert left.read_bytes() != path.read_bytes()

    with Ledger.open_to_read(left) as ledger:
        assert ledger.runs.job_id == "job-1"
    assert left.read_bytes() == path.read_bytes()
    assert names(left.parent) == ["ledger.sqlite"]


# --- transactions ----------------------------------------------------------------------------------------------------


def test_a_failing_change_is_undone_alone(ledger: Ledger) -> None:
    """Changes of one commit stand or fall by themselves; each gets its own result or exception, in order."""

    def half(it: Ledger) -> None:
        release(2)(it)
        raise KeyError("mine")

    def again(it: Ledger) -> str:
        release(2)(it)
        return "well"

    outcomes = ledger.commit([release(1), half, release(1), again])
    assert [type(outcome) for outcome in outcomes] == [type(None), KeyError, IllegalTransitionError, str]
    assert [task.key.chunk for task in ledger.tasks.select(State.RELEASED)] == [1, 2]
    assert ledger.platforms.spent_nano() == 2
    assert len(list(ledger.tasks.events())) == 2


def test_a_violated_constraint_is_an_error_of_its_change(ledger: Ledger, make_plan: MakePlan) -> None:
    """An error of the program is not taken for one of the disk, and does not take other changes with it."""
    twice = make_plan().chunks[:1]
    platform = make_plan().platforms[0]
    first, second = ledger.commit([lambda it: it.plan_retry(platform, twice, at=1.0), release(1)])
    assert isinstance(first, sqlite3.IntegrityError)
    assert second is None
    assert len(ledger.tasks.select(State.RELEASED)) == 1


def test_an_error_of_the_disk_in_one_change_undoes_all(ledger: Ledger) -> None:
    """After a failed read or write nothing can be trusted: no change of the commit happened."""

    def failing(_: Ledger) -> None:
        raise StorageError("the disk is gone")

    before = everything(ledger)
    with pytest.raises(StorageError, match="the disk is gone"):
        ledger.commit([release(1), failing, release(2)])
    assert everything(ledger) == before
    ledger.change(release(1))


def test_a_cancelled_commit_undoes_all(ledger: Ledger) -> None:
    """What is no `Exception` ends the commit as a whole, and the ledger stays usable."""

    def interrupted(_: Ledger) -> None:
        raise KeyboardInterrupt

    before = everything(ledger)
    with pytest.raises(KeyboardInterrupt):
        ledger.commit([release(1), interrupted])
    assert everything(ledger) == before
    ledger.change(release(1))


def test_a_full_ledger_changes_nothing(ledger: Ledger) -> None:
    """When the file can't grow, the commit is a `StorageError` that names it, and what was there is there."""
    pages = ledger.connection.value("PRAGMA page_count")
    sqlite_of(ledger)._sql.execute(f"PRAGMA max_page_count = {pages}")
    before = everything(ledger)
    with pytest.raises(StorageError, match=r"ledger\.sqlite: database or disk is full; repair the disk"):
        ledger.commit([release(2), grow])
    assert everything(ledger) == before
    sqlite_of(ledger)._sql.execute(f"PRAGMA max_page_count = {10 * pages}")
    ledger.change(grow)


def grow(ledger: Ledger) -> None:
    reason = "long " * 10_000
    ledger.transitions.release(KEY, cost_nano=1, max_cost_nano=None, at=1.0)
    ledger.transitions.doubt(KEY, reason, at=1.0)


def test_a_second_writer_is_an_error_that_changes_nothing(ledger: Ledger) -> None:
    """Should the job's lock fail, SQLite's own still keeps two writers apart."""
    with Ledger.open(sqlite_of(ledger).path) as other:
        sqlite_of(other)._sql.execute("PRAGMA busy_timeout = 0")
        sqlite_of(ledger)._sql.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            other.change(release(1))
        sqlite_of(ledger)._sql.execute("ROLLBACK")
        assert other.tasks.select(State.RELEASED) == []
