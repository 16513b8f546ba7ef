"""A store that says no for a while, or always to some calls: nothing is lost, nothing is paid twice, and it is said."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from orchestrator import bucket as bucket_module
from orchestrator.errors import ExitCode, StorageError
from orchestrator.job.merge import merge_job
from orchestrator.job.run import RunOptions
from orchestrator.job.verify import verify_job
from tests.dispatch.harness import Script, serving
from tests.storage.conftest import Staged
from tests.stores import Store, guarded, new_store


def is_removal(method: str, path: str) -> bool:
    return method == "DELETE" or (method == "POST" and "delete" in urlsplit(path).query.split("=")[0])


@pytest.mark.parametrize("what", ["chunks", "results", "verdicts", "master.csv", "summary.json"])
async def test_credentials_that_expire_and_are_renewed(case: Staged, what: str) -> None:
    """From some object on everything is denied: the run ends with 74; with new ones the same command goes on."""
    expired: list[str] = []

    def deny(method: str, path: str) -> str:
        if method == "PUT" and f"/{what}" in path and not any(word == what for word in expired):
            expired.append(what)
        return "ExpiredToken" if expired and expired[-1] == what else ""

    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        with guarded(case.store.endpoint, deny) as case.endpoint:
            try:
                report = await case.outcome()
                code, reason = report.exit_code, report.summary["reason"]
            except StorageError as error:  # the records, which are put last, were denied as well
                code, reason = error.exit_code, str(error)
            assert code == ExitCode.STORAGE
            assert "the store denies it; give the credentials the right to" in reason
            expired.append("renewed")
            assert await case.run() == 0
        assert len(vendor.submits) == 4
    case.endpoint = ""
    with case.staged() as settings:
        assert (await verify_job(settings, case.world())).findings == ()
    assert len(case.cells()) == 10


async def test_a_bucket_that_lets_nothing_be_removed(case: Staged) -> None:
    """A policy, or a lock: the job ends all the same, and what stays is said; only a purge can't be."""
    with guarded(case.store.endpoint, lambda *call: "AccessDenied" if is_removal(*call) else "") as case.endpoint:
        async with serving(Script(takes_s=0.1)) as vendor:
            case.base_url = vendor.base_url
            assert await case.run(RunOptions(submit_only=True)) == ExitCode.AGAIN
            with case.staged() as settings:
                await merge_job(settings, case.world())
            assert "master.partial.csv" in case.store.names()
            report = await case.outcome()
            assert report.exit_code == 0, report.summary["reason"]
            assert "objects_not_removed" in case.said
            assert len(case.cells()) == 10
            assert await case.run() == 0
            assert len(vendor.submits) == 4


async def test_a_bucket_that_locks_every_object(case: Staged, endpoint: str) -> None:
    """It is named before anything is sent."""
    case.store = Store(endpoint, f"locked-{new_store(endpoint).bucket}")
    client = case.store.client
    client.create_bucket(Bucket=case.store.bucket, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket=case.store.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        report = await case.outcome()
        assert (report.exit_code, vendor.submits) == (ExitCode.STORAGE, [])
    assert "name one without a default retention, and run the same command again" in report.summary["reason"]


def test_an_upload_that_is_cut_off_leaves_no_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a file is none: the name has what it had before, or nothing."""
    monkeypatch.setattr(bucket_module, "REPEATS", 1)
    monkeypatch.setattr(bucket_module, "BLOCK_BYTES", 5 << 20)
    denied = ("partNumber=2", "partNumber=3")
    with guarded(
        store.endpoint, lambda _method, path: "AccessDenied" if any(part in path for part in denied) else ""
    ) as address:
        bucket = store.open(endpoint=address)
        bucket.put("a", b"before")
        with pytest.raises(StorageError, match="the store denies it"):
            bucket.put("a", bytes(12 << 20))
    assert (store.names(), store.content("a")) == (["a"], b"before")
