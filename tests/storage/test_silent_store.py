"""A store that hears nothing, answers nothing, or falls silent in the middle of an answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import bucket as bucket_module
from orchestrator.bucket import Bucket
from orchestrator.errors import ExitCode, StorageError
from orchestrator.job.verify import verify_job
from tests.dispatch.harness import Script, serving
from tests.storage.conftest import Staged
from tests.stores import LOST, Store, guarded

BLOCK_BYTES = 5 << 20
"""The least that S3 takes as a part."""

Call = Callable[[Bucket, Path], object]
CALLS: dict[str, tuple[str, str, Call]] = {
    "put": ("PUT", "/new", lambda bucket, _: bucket.put("new", b"content")),
    "get": ("GET", "/seen", lambda bucket, folder: bucket.get("seen", folder / "got")),
    "read": ("GET", "/seen", lambda bucket, _: bucket.read("seen")),
    "look": ("HEAD", "/seen", lambda bucket, _: bucket.size_of("seen")),
    "list": ("GET", "list-type", lambda bucket, _: list(bucket.names())),
    "copy": ("COPY", "/copied", lambda bucket, _: bucket.copy("seen", "copied", 1_000)),
    "remove": ("POST", "delete", lambda bucket, _: bucket.delete(["gone"])),
    "begin a large one": ("POST", "uploads", lambda bucket, folder: bucket.put("large", folder / "large")),
    "a part of it": ("PUT", "partNumber=2", lambda bucket, folder: bucket.put("large", folder / "large")),
    "end it": ("POST", "uploadId", lambda bucket, folder: bucket.put("large", folder / "large")),
}
"""Each by the method and the words of the path of the call that is lost."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all bounds be short; that there are such is what is tested."""
    monkeypatch.setattr(bucket_module, "ATTEMPT_S", 0.5)
    monkeypatch.setattr(bucket_module, "REPEATS", 1)
    monkeypatch.setattr(bucket_module, "REPEATING_S", 1)
    monkeypatch.setattr(bucket_module, "BLOCK_BYTES", BLOCK_BYTES)


@pytest.fixture(scope="module")
def large() -> bytes:
    return os.urandom(BLOCK_BYTES + 17)


@pytest.mark.parametrize(
    ("call", "how"),
    [*((call, how) for call in CALLS for how in ("unanswered", "cut")), ("put", "unheard"), ("get", "stalled")],
)
def test_a_call_that_is_lost_is_repeated(store: Store, tmp_path: Path, large: bytes, call: str, how: str) -> None:
    """Whatever of it got through: one lost call is no reason to end a command."""
    method, words, do = CALLS[call]
    (tmp_path / "large").write_bytes(large)
    lost: list[str] = []

    def fate(verb: str, path: str) -> str:
        if lost or verb != method or words not in path:
            return ""
        lost.append(path)
        return how

    store.open().put("seen", b"x" * 1_000)
    store.open().put("gone", b"")
    with guarded(store.endpoint, fate) as address:
        do(store.open(endpoint=address), tmp_path)
    assert lost
    content = {"put": b"content", "copy": b"x" * 1_000}.get(call, large)
    for name in {"put": ["new"], "copy": ["copied"]}.get(call, ["large"] if "large" in call or " it" in call else []):
        assert store.content(name) == content
    assert ("gone" in store.names()) == (call != "remove")


@pytest.mark.parametrize(
    ("call", "how"),
    [
        *(("put", "unheard"), ("get", "stalled"), ("list", "stalled"), ("remove", "unanswered"), ("copy", "cut")),
        *(("end it", how) for how in LOST),
    ],
)
def test_a_store_that_stays_silent(store: Store, tmp_path: Path, large: bytes, call: str, how: str) -> None:
    """It ends in an error that says so, within a bounded time; never in one that says that there is no such object."""
    method, words, do = CALLS[call]
    (tmp_path / "large").write_bytes(large)
    store.open().put("seen", b"x" * 1_000)
    with (
        guarded(store.endpoint, lambda verb, path: how * (verb == method and words in path)) as address,
        pytest.raises(
            StorageError, match=r"can't be used \((it does not answer|an upload broke off)\); run the same command"
        ),
    ):
        do(store.open(endpoint=address), tmp_path)


def test_a_listing_that_breaks_off_goes_on_where_it_was(store: Store) -> None:
    """Each name is there once."""
    bucket = store.open()
    names = {f"{number:04}" for number in range(1_050)}
    for name in sorted(names):
        bucket.put(f"below/{name}", b"")
    bucket.put("beside", b"")
    pages: list[str] = []

    def fate(verb: str, path: str) -> str:
        if "list-type" not in path:
            return ""
        pages.append(path)
        return "cut" if len(pages) == 2 else ""

    with guarded(store.endpoint, fate) as address:
        found = [name for name, _ in store.open(endpoint=address).names("below")]
    assert len(pages) == 3
    assert "start-after" in pages[2]
    assert sorted(found) == sorted(f"below/{name}" for name in names)


@pytest.mark.parametrize(("what", "how"), [("chunks", "unheard"), ("results", "unanswered")])
async def test_a_job_whose_store_falls_silent(case: Staged, what: str, how: str) -> None:
    """From some object on nothing comes: the run ends with 74 and says so; once it answers the same command goes on."""
    silent: list[str] = []

    def fate(method: str, path: str) -> str:
        if method == "PUT" and f"/{what}" in path:
            silent.append(path)
        return how if silent else ""

    async with serving(Script(takes_s=0.1)) as vendor:
        case.base_url = vendor.base_url
        with guarded(case.store.endpoint, fate) as case.endpoint:
            try:
                report = await case.outcome()
            except StorageError as error:
                reason = str(error)
            else:
                assert report.exit_code == ExitCode.STORAGE
                reason = report.summary["reason"]
        assert "it does not answer); run the same command again" in reason
        assert silent
        case.endpoint = ""
        assert await case.run() == 0
        assert len(vendor.submits) == 4
        assert max(vendor.charged().values()) == 1
    with case.staged() as settings:
        assert (await verify_job(settings, case.world())).findings == ()
    assert len(case.cells()) == 10
