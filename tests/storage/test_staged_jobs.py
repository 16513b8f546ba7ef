"""Whole jobs whose directory is in a bucket: as on a disk, and every command begins with an empty one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator import bucket as bucket_module
from orchestrator.bucket import Bucket
from orchestrator.errors import ExitCode, StorageError, UsageError
from orchestrator.job.diff import diff_jobs
from orchestrator.job.enrich import enrich_file
from orchestrator.job.merge import merge_job
from orchestrator.job.plan import plan_job
from orchestrator.job.purge import purge_job
from orchestrator.job.resolve import Refetch, UseResult, resolve_tasks
from orchestrator.job.retry import retry_job
from orchestrator.job.run import RunOptions, run_job
from orchestrator.job.scratch import on_scratch
from orchestrator.job.verify import verify_job
from orchestrator.ledger.connection import Connection
from tests.dispatch.harness import Script, serving
from tests.job.conftest import Case
from tests.postgres import Server
from tests.storage.conftest import Staged
from tests.stores import Store, guarded, new_store


async def test_a_job_in_a_bucket_gives_what_one_on_a_disk_gives(case: Staged, tmp_path: Path) -> None:
    """The same master, byte for byte; nothing stays on this machine, and a second run sends nothing."""
    local = Case(tmp_path)
    async with serving(Script(takes_s=0.1)) as vendor:
        local.base_url = case.base_url = vendor.base_url
        assert await local.run() == 0
        assert await case.run() == 0
        assert len(vendor.submits) == 8
        assert case.store.content("master.csv") == (local.directory / "master.csv").read_bytes()
        assert await case.run() == 0
        assert len(vendor.submits) == 8
    assert list((case.folder / "scratch").iterdir()) == []
    names = case.store.names()
    assert {"master.csv", "rejected.csv", "duplicates.csv", "summary.json", "report.html", "run.jsonl"} <= {*names}
    assert sum(name.startswith("objects/results/instagram/") for name in names) == 4
    assert len(case.store.content("run.jsonl").splitlines()) > 10


async def test_other_commands_work_from_another_machine(case: Staged) -> None:
    """verify, merge, enrich and retry find in the bucket what they need."""
    assert await case.run() == 0
    master = case.store.content("master.csv")
    with case.staged() as settings:
        report = await verify_job(settings, case.world())
        assert (report.findings, report.right["verdict files"]) == ((), 4)
    case.store.remove("master.csv")
    with case.staged() as settings:
        assert [file.path for file in (await merge_job(settings, case.world())).files] == ["master.csv"]
    assert case.store.content("master.csv") == master
    with case.staged() as settings:
        await enrich_file(settings, case.world(), case.folder / "numbers.txt", case.folder / "back.csv")
    assert len((case.folder / "back.csv").read_text().splitlines()) == 11
    with case.staged() as settings:
        assert (await retry_job(settings, case.world())).planned


async def test_a_run_that_writes_no_master_tells_of_the_one_in_the_bucket(case: Staged) -> None:
    """The disk is empty, and the master lies there still."""
    before = (await case.outcome()).summary
    case.overrides = ["job.chunk_size=4"]
    assert await case.run() == 2
    told = json.loads(case.store.content("summary.json"))
    assert (told["master"], told["master_of_earlier_run"]) == (before["master"], True)


async def test_what_a_run_left_at_the_vendor_is_fetched_by_one_on_an_empty_disk(case: Staged) -> None:
    """Submitted by one, fetched by the next: its chunk files come out of the bucket, and nothing is sent again."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run(RunOptions(submit_only=True)) == 75
        assert len(vendor.submits) == 4
        (case.folder / "numbers.txt").unlink()  # its chunks are in the bucket
        assert await case.run() == 0
        assert len(vendor.submits) == 4
    assert len(case.cells()) == 10


@pytest.mark.parametrize("kind", ["chunks/000002.txt", "verdicts/instagram/000002.bin", "results/instagram/000002"])
@pytest.mark.parametrize("how", ["lost", "altered"])
async def test_a_bucket_that_forgets_is_a_disk_that_forgets(case: Staged, kind: str, how: str) -> None:
    """A file that is gone, or another one, is made anew: of the list, of the result, or fetched from the vendor."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
        master = case.store.content("master.csv")
        names = [name for name in case.store.names() if name.startswith(f"objects/{kind}")]
        names += [name for name in case.store.names() if name.startswith("objects/verdicts/instagram/000002")]
        for name in names:
            if how == "lost":
                case.store.remove(name)
            else:
                case.store.replace(name, case.store.content(name)[:-1] + b"?")
        assert await case.run() == 0
        assert len(vendor.submits) == 4
    assert case.store.content("master.csv") == master
    with case.staged() as settings:
        assert (await verify_job(settings, case.world())).findings == ()


async def test_another_job_is_named_by_its_configuration_file(
    tmp_path: Path, store: Store, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one with its ledger in a database and its files in a bucket the yes and no are reused, and compared."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with serving(Script(takes_s=0.1)) as vendor:
        earlier = Case(tmp_path / "earlier", base_url=vendor.base_url)
        earlier.folder.mkdir()
        earlier.numbers(10)
        # The vendor knows jobs of one name, which another test's has as well: so this one has a database of its own.
        postgres.sql("CREATE DATABASE another OWNER orchestrator", database="postgres")
        earlier.config += f'[ledger]\nurl = "{postgres.url(database="another")}"\n'
        earlier.config += f'[storage]\nendpoint = "{store.endpoint}"\nregion = "us-east-1"\n'
        earlier.config = earlier.config.replace('"out"', f'"{store.url}"')
        with on_scratch(earlier.settings()) as settings:
            report = await run_job(settings, RunOptions(), earlier.world())
            assert report.exit_code == 0, report.summary["reason"]
        config = earlier.folder / "config.toml"
        later = Case(tmp_path / "later", base_url=vendor.base_url, overrides=[f'reuse.jobs=["{config}"]'])
        later.folder.mkdir()
        later.numbers(13)
        sent = len(vendor.submits)
        assert await later.run() == 0
        assert len(vendor.submits) == sent + 1
        changes = await diff_jobs(config, later.directory, None)
        assert (changes.new, changes.gone, changes.changed, changes.same) == (3, 0, 0, 10)
        for jobs in ([store.url], [str(later.directory), store.url]):
            later.overrides = [f"reuse.jobs={jobs}", 'job.directory="third"']
            refused = await later.outcome()
            assert refused.exit_code == ExitCode.USAGE
            assert "name its configuration file instead" in refused.summary["reason"]
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("orchestrator-*"))) == []


async def test_an_object_that_came_late_does_not_count(case: Staged) -> None:
    """One that was given up may put what it likes: the ledger does not name it."""
    assert await case.run() == 0
    master = case.store.content("master.csv")
    case.store.replace(f"objects/verdicts/instagram/000001.bin.{'0' * 64}", b"of a zombie")
    assert await case.run() == 0
    assert case.store.content("master.csv") == master


async def test_a_result_that_a_person_brought_is_in_the_bucket(case: Staged) -> None:
    """And so is the one that it displaced."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 0
    name = next(name for name in case.store.names() if name.startswith("objects/results/instagram/000001"))
    brought = case.folder / "brought.csv"
    brought.write_text("number,instagram\n" + "".join(f"+{41_790_000_000 + n},ban\n" for n in range(3)))
    with case.staged() as settings:
        await resolve_tasks(settings, Refetch(), ["instagram/000001"], case.world())
    with case.staged() as settings:
        await resolve_tasks(settings, UseResult(brought), ["instagram/000001"], case.world())
    with case.staged() as settings:
        await merge_job(settings, case.world())
        assert (await verify_job(settings, case.world())).findings == ()
    assert case.cells()[:3] == ["ban"] * 3
    assert name in case.store.names()
    assert any(name.startswith("objects/results/quarantine/instagram-000001") for name in case.store.names())


async def test_a_bucket_of_a_job_whose_ledger_is_elsewhere_is_refused(case: Staged) -> None:
    """With another database everything would be paid again; with an older copy of it, some."""
    assert await case.run() == 0
    case.ledger.rename(case.folder / "elsewhere")
    with pytest.raises(UsageError, match=r"no ledger, but .* lie below s3://.*would be paid again"):
        await case.run()
    (case.folder / "elsewhere").rename(case.ledger)
    assert await case.run() == 0
    newer = case.store.content("summary.json").replace(b'"after": "2.', b'"after": "9.')
    case.store.replace("summary.json", newer)
    with pytest.raises(UsageError, match="an older copy of it"):
        await case.run()


async def test_messages_name_the_bucket(case: Staged) -> None:
    """Nobody knows the scratch folder: it is gone when the message is read."""
    assert await case.run() == 0
    summary = case.store.content("summary.json").decode()
    log = case.store.content("run.jsonl").decode()
    assert "orchestrator-" not in summary + log + case.said
    async with serving(Script(takes_s=0.1)):
        case.overrides = ["job.chunk_size=2"]
        with pytest.raises(UsageError) as refused, case.staged() as settings:
            await plan_job(settings, case.world())
        assert "scratch" not in str(refused.value)


async def test_what_is_stale_leaves_the_bucket_too(case: Staged) -> None:
    """A final master takes the place of the partial one, and lists that nobody wants any more go."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run(RunOptions(submit_only=True)) == 75
        with case.staged() as settings:
            await merge_job(settings, case.world())
        assert "master.partial.csv" in case.store.names()
        case.overrides = ['output.lists=["yes", "no"]']
        assert await case.run() == 0
        assert "master.partial.csv" not in case.store.names()
        lists = [name for name in case.store.names() if name.startswith("lists/")]
        assert lists
        case.overrides = []
        with case.staged() as settings:
            await merge_job(settings, case.world())
    assert not [name for name in case.store.names() if name.startswith("lists/")]


async def test_a_result_is_recorded_only_once_it_is_in_the_bucket(
    case: Staged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes no more ends the run with 74 and leaves the task at the vendor: it is fetched again, free."""
    really_put = Bucket.put
    refused: list[str] = []

    def put(bucket: Bucket, name: str, content: bytes | Path) -> None:
        if name.startswith("objects/results/") and not refused:
            refused.append(name)
            raise StorageError("the store takes no more")
        really_put(bucket, name, content)

    monkeypatch.setattr(Bucket, "put", put)
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == 74
        assert await case.run() == 0
        assert len(vendor.submits) == 4
    assert len(case.cells()) == 10


async def test_a_run_that_lost_its_lease_writes_over_nothing(case: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another one has put since stays: of the lost run its log is kept, under a name of its own."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run(RunOptions(submit_only=True)) == 75
        records = ("summary.json", "report.html", "run.jsonl")
        before = [case.store.content(name) for name in records]
        monkeypatch.setattr(Connection, "holds", property(lambda _: False))
        await case.run()
    assert [case.store.content(name) for name in records] == before
    (log,) = [name for name in case.store.names() if name.startswith("objects/logs/")]
    assert b'"run_ended"' in case.store.content(log)


@pytest.mark.parametrize("how", ["lost", "cut off"])
async def test_a_lost_master_is_put_anew(case: Staged, how: str) -> None:
    """It comes out with the same bytes, which the ledger knows; that the bucket has them no more is no end of it."""
    assert await case.run() == 0
    master = case.store.content("master.csv")
    for name in case.store.names():
        if "master.csv" in name and how == "lost":
            case.store.remove(name)
        elif "master.csv" in name:
            case.store.replace(name, master[:100])
    assert await case.run() == 0
    assert case.store.content("master.csv") == master


async def test_a_master_that_is_too_large_to_be_copied(case: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 refuses more than 5 GiB, and takes its time: the file is sent once more, and so at every end of a run."""
    monkeypatch.setattr(bucket_module, "MOST_COPIED_BYTES", 150)
    copied: list[str] = []

    def fate(method: str, path: str) -> str:
        if method == "COPY":
            copied.append(path.rpartition("/")[2])
        return "InvalidRequest" * (method == "COPY" and "master" in path)

    with guarded(case.store.endpoint, fate) as case.endpoint:
        assert await case.run() == 0
        assert len(case.store.content("master.csv")) > 150
        assert copied
        case.store.replace("master.csv", b"altered")
        assert await case.run() == 0
    assert case.store.content("master.csv") == next(
        case.store.content(name) for name in case.store.names() if name.startswith("objects/master.csv.")
    )


async def test_a_purge_leaves_no_version_of_anything(case: Staged, endpoint: str) -> None:
    """Of a bucket that keeps versions, too: neither numbers nor hashes are left, and the records are."""
    case.store = new_store(endpoint, versioned=True)
    assert await case.run() == 0
    upload = case.store.client.create_multipart_upload(Bucket=case.store.bucket, Key="jobs/spring/objects/half")
    case.store.client.put_object(Bucket=case.store.bucket, Key="jobs/other/objects/theirs", Body=b"")
    case.store.replace("notes.txt", b"somebody's own")
    chunk = next(name for name in case.store.names() if name.startswith("objects/chunks/"))
    with case.staged() as settings:
        said = await purge_job(settings, case.world(), yes=False)
    assert (said.done, chunk in case.store.names()) == (False, True)
    with case.staged() as settings:
        report = await purge_job(settings, case.world(), yes=True)
    assert report.files == said.files > 12
    assert not [line for line in report.out_of_reach if "earlier versions" in line]
    listed = case.store.client.list_object_versions(Bucket=case.store.bucket)
    keys = {one["Key"] for kind in ("Versions", "DeleteMarkers") for one in listed.get(kind, ())}
    records = {f"jobs/spring/{name}" for name in ("summary.json", "run.jsonl", "report.html")}
    assert keys == records | {"jobs/other/objects/theirs", "jobs/spring/notes.txt"}
    sha256 = chunk.rpartition(".")[2]
    assert not [name for name in ("summary.json", "run.jsonl") if sha256.encode() in case.store.content(name)]
    assert not case.store.client.list_multipart_uploads(Bucket=case.store.bucket).get("Uploads"), upload
    with pytest.raises(UsageError, match="was purged"):
        await case.run()


async def test_a_chunk_that_is_lost_in_the_middle_of_a_run(case: Staged) -> None:
    """That run ends, with the way out, and sends it in no other form; the same command makes it anew of the list."""

    async def stop(chunk: int, _nth: int) -> web.Response | None:
        return web.json_response({"error": "balance"}, status=402) if chunk > 1 else None

    async def forget(_chunk: int, _nth: int) -> None:
        if lost in case.store.names():
            case.store.remove(lost)

    case.overrides = ["platforms.instagram.max_in_flight=1"]
    async with serving(Script(takes_s=0.1, on_submit=stop)) as vendor:
        case.base_url = vendor.base_url
        assert await case.run() == ExitCode.VENDOR_STOP
        (lost,) = [name for name in case.store.names() if name.startswith("objects/chunks/000003")]
        vendor.on_submit = forget
        report = await case.outcome()
        assert report.exit_code == ExitCode.STORAGE
        assert report.summary["reason"].endswith(
            "chunks/000003.txt: lost in the bucket; run the same command again, which makes it anew"
        )
        assert 3 not in vendor.submits
        vendor.on_submit = None
        assert await case.run() == 0
        assert lost in case.store.names()
        assert max(vendor.charged().values()) == 1
    assert len(case.cells()) == 10


async def test_a_chunk_that_is_lost_before_its_result_comes(case: Staged) -> None:
    """The result can't be compared with it: the run ends in the same way, and the next one pays for nothing again."""
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        await case.run(RunOptions(submit_only=True))
        (lost,) = [name for name in case.store.names() if name.startswith("objects/chunks/000003")]
        case.store.remove(lost)
        report = await case.outcome()
        assert report.exit_code == ExitCode.STORAGE
        assert report.summary["reason"].endswith(
            "chunks/000003.txt: lost in the bucket; run the same command again, which makes it anew"
        )
        assert await case.run() == 0
        assert max(vendor.charged().values()) == 1
    assert len(case.cells()) == 10
