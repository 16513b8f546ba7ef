"""Object stores for tests: real servers over HTTP, and what may lie between them and the program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from orchestrator.bucket import Bucket
from orchestrator.settings import StorageSettings

KEYS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"}
"""What s3rver knows; moto's server takes any."""
S3RVER = Path(__file__).parents[1] / ".ci" / "node_modules" / ".bin" / "s3rver"


@dataclass(frozen=True)
class Store:
    """A bucket of its own at an S3 server, which is looked at past the program."""

    endpoint: str
    bucket: str

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
            endpoint_url=self.endpoint,
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
    store = Store(endpoint, f"bucket-{uuid.uuid4().hex[:12]}")
    store.client.create_bucket(Bucket=store.bucket)
    if versioned:
        store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    return store
