"""What speaks to a store: whole objects, bounded waits, and errors that name the thing, behind a network that fails."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from orchestrator import bucket as bucket_module
from orchestrator.bucket import BLOCK_BYTES, MOST_COPIED_BYTES, Bucket, NoObjectError
from orchestrator.errors import StorageError, UsageError
from orchestrator.settings import StorageSettings, StoreEncryption
from tests.stores import Store, guarded

Fate = Callable[[int, bytes], str]
"""What becomes of a connection, by its number and the first line of its request."""


def _carry(client: socket.socket, store: tuple[str, int], fate: Callable[[bytes], str]) -> None:
    with suppress(OSError), client, socket.create_connection(store) as server:
        first = client.recv(65536)
        what = fate(first.partition(b"\r\n")[0])
        if what == "reset":
            return
        if what == "slow":
            time.sleep(1.0)
        if what == "busy":
            client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        server.sendall(first)
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        while data := server.recv(65536):
            if what != "lost":
                client.sendall(data)


def _pump(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)


@contextmanager
def between(endpoint: str, fate: Fate) -> Iterator[str]:
    """Stand between the program and a store: a connection may lose its answer, be reset, or have to wait."""
    host, port = urlsplit(endpoint).hostname or "", urlsplit(endpoint).port or 0
    listener = socket.create_server(("127.0.0.1", 0))
    count = iter(range(1, 1_000_000))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            work = (client, (host, port), lambda first: fate(next(count), first))
            threading.Thread(target=_carry, args=work, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def test_a_file_is_sent_in_no_more_parts_than_a_store_takes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With parts of one size, ten thousand of them are 84 GB, and a sheet of five billion numbers has more."""
    monkeypatch.setattr(bucket_module, "MOST_PARTS", 2)
    large = os.urandom(3 * BLOCK_BYTES)
    (tmp_path / "large").write_bytes(large)
    parts: list[str] = []

    def fate(method: str, path: str) -> str:
        parts.extend([path] * (method == "PUT" and "partNumber" in path))
        return ""

    with guarded(store.endpoint, fate) as address:
        store.open(endpoint=address).put("large", tmp_path / "large")
    assert len(parts) == 2
    assert store.content("large") == large


def test_what_was_put_is_there(store: Store, tmp_path: Path) -> None:
    """Small and large, with odd names; fetched whole, with its hash, and nothing half beside it."""
    bucket = store.open()
    large = os.urandom(2 * BLOCK_BYTES + 17)
    (tmp_path / "large").write_bytes(large)
    bucket.put("folder/größe +1%2F.csv", b"small")
    bucket.put("large", tmp_path / "large")
    bucket.put("empty", b"")
    assert bucket.get("large", tmp_path / "back") == hashlib.sha256(large).hexdigest()
    assert (tmp_path / "back").read_bytes() == large
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    assert bucket.get("empty", tmp_path / "none") == hashlib.sha256(b"").hexdigest()
    assert bucket.read("folder/größe +1%2F.csv") == b"small"
    assert dict(bucket.names()) == {"folder/größe +1%2F.csv": 5, "large": len(large), "empty": 0}
    assert bucket.copy("large", "copy", len(large))
    assert not bucket.copy("large", "too large", MOST_COPIED_BYTES + 1)
    assert not bucket.copy("nowhere", "too large", 1)
    assert (bucket.size_of("copy"), bucket.size_of("nowhere")) == (len(large), None)
    bucket.delete(["copy", "large", "nowhere"])
    with pytest.raises(NoObjectError, match="large"):
        bucket.get("large", tmp_path / "gone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "large", "none"]


@pytest.mark.parametrize("what", ["lost", "reset", "slow", "busy"])
def test_a_call_that_fails_is_repeated(
    store: Store, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that was lost says nothing about the put: it is repeated, and there is one object."""
    monkeypatch.setattr(bucket_module, "ATTEMPT_S", 2)
    failed: list[bytes] = []

    def fate(_number: int, line: bytes) -> str:
        if len(failed) < 2 and (line.startswith(b"PUT") or len(failed) == 1):
            failed.append(line)
            return what
        return ""

    with between(store.endpoint, fate) as address:
        bucket = store.open(endpoint=address)
        bucket.put("a", b"content")
        bucket.get("a", tmp_path / "a")
    assert (len(failed), (tmp_path / "a").read_bytes()) == (2, b"content")
    assert store.names() == ["a"]


def test_a_store_that_is_away_ends_in_an_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a bounded time, and in words that say what to do."""
    monkeypatch.setattr(bucket_module, "REPEATS", 1)
    with between(store.endpoint, lambda *_: "busy") as address, pytest.raises(StorageError, match=r"503.*same command"):
        store.open(endpoint=address).put("a", b"")
    with pytest.raises(StorageError, match=r"does not answer.*same command"):
        store.open(endpoint="http://127.0.0.1:1").put("a", b"")


def test_a_bucket_that_is_not_there_is_no_missing_object(store: Store, tmp_path: Path) -> None:
    """Else all that was paid for would seem to be lost."""
    bucket = store.open("s3://no-such-bucket/job")
    for call in (lambda: bucket.get("a", tmp_path / "a"), lambda: bucket.put("a", b""), lambda: list(bucket.names())):
        with pytest.raises(StorageError, match="no such bucket; make it") as refused:
            call()
        assert not isinstance(refused.value, NoObjectError)


def test_a_store_is_asked_to_encrypt(store: Store) -> None:
    """As the settings say."""
    for encryption, key in ((StoreEncryption.AES256, ""), (StoreEncryption.KMS, "alias/numbers")):
        settings = replace(store.settings(), encryption=encryption, kms_key=key)
        Bucket.open(store.url, settings).put(encryption, b"")
        head = store.client.head_object(Bucket=store.bucket, Key=f"jobs/spring/{encryption}")
        assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId", "")) == (encryption, key)


@pytest.mark.parametrize("url", ["s3://bucket/job", "gs://bucket/job", "az://bucket/job"])
def test_explicit_credentials_are_required(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless the machine's own are meant, no address of the machine is asked for any."""
    for name in os.environ:
        if name.startswith(("AWS_", "GOOGLE_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"no credentials for it; set .* instance_credentials = true"):
        Bucket.open(url, StorageSettings())


def test_without_the_library_one_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    with pytest.raises(UsageError, match=r"pip install 'numbercheck-orchestrator\[storage\]'"):
        Bucket.open("s3://bucket/job", StorageSettings())


def test_objects_behind_one_that_is_gone(tmp_path: Path) -> None:
    """A store that removes one object after the other may stop at one that is not there: the others go all the same."""
    from obstore.store import LocalStore  # noqa: PLC0415 - an extra

    for number in range(30):
        (tmp_path / f"{number:02}").touch()
    Bucket("file://", LocalStore(str(tmp_path))).delete(
        ["gone", *(f"{number:02}" for number in range(30)), "gone, too"]
    )
    assert list(tmp_path.iterdir()) == []
