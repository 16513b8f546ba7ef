"""Object stores for tests: real servers over HTTP, and what may lie between them and the program."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient

from orchestrator.bucket import Bucket
from orchestrator.settings import StorageSettings

KEYS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
"""What s3rver knows; moto's server takes any."""
AZURE_KEYS = {
    "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
    "AZURE_STORAGE_ACCOUNT_KEY": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    ),
}
"""What azurite knows, and publishes."""
PROGRAMS = Path(__file__).parents[1] / ".ci" / "node_modules" / ".bin"
S3RVER = PROGRAMS / "s3rver"
AZURITE = PROGRAMS / "azurite-blob"


@dataclass(frozen=True)
class Store:
    """A bucket of its own at an S3 server, which is looked at past the program, at the address `behind`."""

    endpoint: str
    bucket: str
    behind: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """What the environment says of it."""
        return KEYS

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/jobs/spring"

    def settings(self, endpoint: str = "") -> StorageSettings:
        return StorageSettings(endpoint=endpoint or self.endpoint, region="us-east-1")

    def open(self, url: str = "", endpoint: str = "") -> Bucket:
        return Bucket.open(url or self.url, self.settings(endpoint))

    @property
    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.behind or self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())
        return [one["Key"].removeprefix("jobs/spring/") for one in found]

    def content(self, name: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=f"jobs/spring/{name}")["Body"].read())

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"jobs/spring/{name}")

    def replace(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=f"jobs/spring/{name}", Body=content)


@dataclass(frozen=True)
class GoogleStore(Store):
    """The same bucket, spoken to as Google's."""

    @property
    def url(self) -> str:
        return f"gs://{self.bucket}/jobs/spring"

    @property
    def keys(self) -> dict[str, str]:
        account = {"gcs_base_url": self.endpoint, "disable_oauth": True}
        unused = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(account | unused)}


@dataclass(frozen=True)
class AzureStore(Store):
    """A container at azurite."""

    @property
    def keys(self) -> dict[str, str]:
        return AZURE_KEYS

    @property
    def url(self) -> str:
        return f"az://{self.bucket}/jobs/spring"

    @property
    def client(self) -> ContainerClient:
        account, key = AZURE_KEYS.values()
        return ContainerClient(self.endpoint, self.bucket, {"account_name": account, "account_key": key})

    def names(self) -> list[str]:
        found = self.client.list_blob_names(name_starts_with="jobs/spring/")
        return [name.removeprefix("jobs/spring/") for name in found]

    def content(self, name: str) -> bytes:
        return bytes(self.client.download_blob(f"jobs/spring/{name}").readall())

    def remove(self, name: str) -> None:
        with suppress(ResourceNotFoundError):
            self.client.delete_blob(f"jobs/spring/{name}")

    def replace(self, name: str, content: bytes) -> None:
        self.client.upload_blob(f"jobs/spring/{name}", content, overwrite=True)


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's server in a process of its own, and yield its address."""
    with _server([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p"]) as endpoint:
        yield endpoint


@contextmanager
def another_s3_server(folder: Path) -> Iterator[str]:
    """Run s3rver, which shares nothing with moto, in a process of its own, and yield its address."""
    with _server([str(S3RVER), "--silent", "-a", "127.0.0.1", "-d", str(folder), "-p"]) as endpoint:
        yield endpoint


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Run Azure's emulator in a process of its own, and yield the address of its account."""
    command = [str(AZURITE), "--silent", "--skipApiVersionCheck", "--location", str(folder)]
    with _server([*command, "--blobPort"]) as endpoint:
        yield f"{endpoint}/{AZURE_KEYS['AZURE_STORAGE_ACCOUNT_NAME']}"


@contextmanager
def as_google(endpoint: str) -> Iterator[str]:
    """Yield an address at which an S3 server speaks as Google's does: the calls are the same, names of headers differ.

    Google's own emulators know nothing of the calls that put an object in parts.
    """
    store = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def carry(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = {
                name.replace("x-goog-", "x-amz-"): value
                for name, value in self.headers.items()
                if name.lower() not in {"authorization", "host"}
            }
            if "x-amz-copy-source" in asked:  # s3rver finds nothing by a name with encoded slashes
                asked["x-amz-copy-source"] = asked["x-amz-copy-source"].replace("%2F", "/")
            upstream = HTTPConnection(store)
            upstream.request(self.command, self.path, body, asked)
            with upstream.getresponse() as answer:
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in {"transfer-encoding", "content-length", "connection", "date"}:
                        self.send_header(name.replace("x-amz-", "x-goog-"), value)
                size = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(content))
            upstream.close()
            if size is not None:
                self.send_header("Content-Length", size)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = carry  # noqa: N815 - the names it has

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


Fate = Callable[[str, str], str]
"""What becomes of a call, by its method, COPY for a PUT of another object, and path: a word of `LOST`, the code of a
refusal, "" to let it through."""

LOST = {"unheard": 1.0, "unanswered": 1.0, "stalled": 0.5, "cut": 0.5}
"""How much of an answer does not come, and neither does the end of the connection, save for `cut`; `unheard`, the store
has not got the call either."""


class _Guard(BaseHTTPRequestHandler):
    store: str
    says: Fate
    protocol_version = "HTTP/1.1"

    def handle_call(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = type(self).says("COPY" if "x-amz-copy-source" in self.headers else self.command, self.path)
        if what == "unheard":
            self.close_connection = True
            self.rfile.read(1)  # until the other one gives up
            return
        if what and what not in LOST:
            self.answer(403, {"Content-Type": "application/xml"}, f"<Error><Code>{what}</Code></Error>".encode())
            return
        store = http.client.HTTPConnection(self.store, timeout=60)
        try:
            store.request(self.command, self.path, body, dict(self.headers))
            got = store.getresponse()
            content, lost = got.read(), LOST.get(what, 0.0)
            if lost < 1.0:
                self.answer(got.status, dict(got.getheaders()), content, lost)
            if what in LOST:
                self.close_connection = True
                if what != "cut":
                    self.rfile.read(1)  # as above
        finally:
            store.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes, lost: float = 0.0) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in {"transfer-encoding", "connection"} and (
                name.lower() != "content-length" or self.command == "HEAD"
            ):
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: int(len(content) * (1.0 - lost))])

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_call  # noqa: N815 - as the library calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def guarded(endpoint: str, fate: Fate) -> Iterator[str]:
    """Stand before a store, and say of every call what becomes of it."""

    class GuardOfThisOne(_Guard):
        store = urlsplit(endpoint).netloc
        says = staticmethod(fate)

    server = ThreadingHTTPServer(("127.0.0.1", 0), GuardOfThisOne)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _server(command: list[str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(  # noqa: S603 - what tests install
        [*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | KEYS
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except OSError:
                if time.monotonic() > until or server.poll() is not None:
                    raise
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def new_store(endpoint: str, *, versioned: bool = False) -> Store:
    """Make a bucket that nobody else has."""
    store = Store(endpoint, _new_name())
    store.client.create_bucket(Bucket=store.bucket)
    if versioned:
        store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    return store


def new_container(endpoint: str) -> AzureStore:
    store = AzureStore(endpoint, _new_name())
    store.client.create_container()
    return store


def _new_name() -> str:
    return f"bucket-{uuid.uuid4().hex[:12]}"
