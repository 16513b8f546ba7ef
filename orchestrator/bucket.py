"""A place in a bucket of an object store: objects below a URL such as s3://bucket/job.

The rules:

- A put is whole or not there. It replaces what has the name, so that one whose answer was lost may be repeated.
- Every call ends within a bounded time: attempts have a time-out, and repeats have an end. What is large goes in
  blocks, each a call of its own. Every call may be repeated, so each is where the library gives up on an answer that
  broke off in its middle.
- No machine's own address is asked for credentials unless the settings say so: where there are none, that would wait
  for an address that nobody has, or act in the name of the machine.

Calls block: the event loop makes them in threads. The library keeps threads of its own, which no fork survives; worker
processes are started anew, and know nothing of it.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from orchestrator.errors import StorageError, UsageError
from orchestrator.files import PART_SUFFIX, disk_errors, open_private
from orchestrator.logger import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Future

    from _typeshed import WriteableBuffer

    from orchestrator.settings import StorageSettings

T = TypeVar("T")

SCHEMES: Final = ("s3", "gs", "az")
EXTRA: Final = "pip install 'numbercheck-orchestrator[storage]'"

BLOCK_BYTES: Final = 8 << 20
"""What one call carries: a part of an upload, a range of a download."""
SMALL_BYTES: Final = 1 << 20
"""A file of up to this is put whole, in one call."""
UPLOADS_AT_ONCE: Final = 4
"""Parts of one file on their way."""
ATTEMPT_S: Final = 30.0
MOST_COPIED_BYTES: Final = 1 << 30
"""S3 copies up to 5 GiB in one call, and answers once it has: that has to be within an attempt's time."""
MOST_PARTS: Final = 10_000
"""So many S3 takes for one object."""
CONNECT_S: Final = 10.0
REPEATS: Final = 6
REPEATING_S: Final = 120.0
TRIES: Final = 3
"""Of a call whose answer broke off, beside the library's own repeats of a request that has none."""
DELETED_AT_ONCE: Final = 1_000

_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"status code: (\d{3}[ \w]{0,40})")
_PATH: Final = re.compile(r'Path ("[^"\n]{0,200}")')
_HAS_RETENTION: Final = ("MissingUploadObjectWithObjectLockHeaders", "Content-MD5 OR x-amz-checksum-")
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")
_TAKING_BACK: Final = "performing DELETE"
"""In what the library says of an upload that broke off, where it could not take that back: of the end, nothing."""

CREDENTIALS: Final[Mapping[str, tuple[str, ...]]] = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    "az": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
    ),
}
"""The variables of which each says that credentials are meant for a kind of store."""

_FILES_OF_CREDENTIALS: Final = {
    "s3": ("~/.aws/credentials", "~/.aws/config"),
    "gs": ("~/.config/gcloud/application_default_credentials.json",),
    "az": (),
}

SECRETS: Final = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_CLIENT_SECRET",
)
"""The variables whose values no output may show."""


class NoObjectError(StorageError):
    """There is no object with this name."""


class NoRightError(StorageError):
    """The credentials have no right to this."""


class _NoAnswerError(StorageError):
    """Nobody knows what became of a call."""


class Bucket:
    """The objects below a URL; names are relative to it. Raises `StorageError`, which names the URL."""

    def __init__(self, url: str, store: Any) -> None:
        import obstore  # noqa: PLC0415 - an extra, and few jobs need it

        self.url = url
        self._store = store
        self._calls = obstore

    @classmethod
    def open(cls, url: str, settings: StorageSettings) -> Bucket:
        """Make what speaks to the store; nothing is sent. `UsageError` without the library, or without credentials."""
        try:
            from obstore import store  # noqa: PLC0415 - as above
        except ImportError:
            raise UsageError(f"{url}: buckets need a further library; {EXTRA}") from None
        parts = urlsplit(url)
        kind, bucket, prefix = parts.scheme, parts.netloc, parts.path.strip("/")
        options = _options(url, kind, settings)
        try:
            if kind == "s3":
                return cls(url, store.S3Store(bucket, prefix=prefix or None, **options))
            if kind == "gs":
                return cls(url, store.GCSStore(bucket, prefix=prefix or None, **options))
            return cls(url, store.AzureStore(bucket, prefix=prefix or None, **options))
        except Exception as error:
            raise UsageError(
                f"{url}: the store can't be used as it is set up ({type(error).__name__}); see the variables of its "
                "credentials, and [storage] in the configuration"
            ) from error

    def put(self, name: str, content: bytes | Path) -> None:
        """Put an object, whole, in the place of one that is there; a small file goes in one call."""
        part_bytes = BLOCK_BYTES
        if isinstance(content, Path):
            with disk_errors(content):
                size_bytes = content.stat().st_size
                part_bytes = max(BLOCK_BYTES, -(-size_bytes // MOST_PARTS))
                content = content if size_bytes > SMALL_BYTES else content.read_bytes()
        how = {"chunk_size": part_bytes, "max_concurrency": UPLOADS_AT_ONCE, "mode": "overwrite"}

        def send() -> None:
            try:
                self._calls.put(self._store, name, content, **how)
            except (self._calls.exceptions.BaseError, OSError) as error:
                if _TAKING_BACK in str(error):
                    raise self._no_use(name, "an upload broke off", _NoAnswerError) from error
                raise

        self._repeated(name, send)

    def read(self, name: str) -> bytes:
        """Return a small object; `NoObjectError` when there is none."""
        return self._repeated(name, lambda: bytes(self._calls.get(self._store, name).bytes()))

    def get(self, name: str, target: Path) -> str:
        """Write an object to `target`, whole or not at all, and return its hash; `NoObjectError` when there is none.

        It need not be durable: what is fetched can be fetched again.
        """
        return self._by_hash(name).get(target)

    def _by_hash(self, name: str) -> FoundObject:
        """Find an object whose hash is compared behind it: one that is put anew in the middle is as good."""
        return replace(self.found(name), tag="")

    def found(self, name: str) -> FoundObject:
        """Look at an object, which is read later; `NoObjectError` when there is none."""

        def look() -> Any:
            try:
                return self._calls.head(self._store, name)
            except FileNotFoundError:
                # That answer has no words: only this one tells a bucket that is not there from an object that is not.
                return self._calls.get(self._store, name).meta

        meta = self._repeated(name, look)
        return FoundObject(self, name, int(meta["size"]), _tag(meta))

    def found_below(self, below: str = "") -> Iterator[FoundObject]:
        """Yield the objects that are there, in no order; `below` is a whole folder."""
        pages: Iterator[Any] | None = None
        last: str | None = None

        def page() -> Any:
            nonlocal pages
            going, pages = pages or iter(self._calls.list(self._store, below or None, offset=last)), None
            got = next(going, ())
            pages = going  # one that broke off gives nothing more: the next one begins behind what there was
            return got

        while found := self._repeated(below, page):
            yield from (FoundObject(self, meta["path"], int(meta["size"]), _tag(meta)) for meta in found)
            last = found[-1]["path"]

    def block(self, found: FoundObject, start: int, end: int) -> bytes:
        """Return a part of an object; `StorageError` when it is not the one any more that was found.

        It is compared here: some stores take no heed of a condition.
        """
        told = f"{self.url}/{found.name}"

        def read() -> bytes:
            got = self._calls.get(self._store, found.name, options={"range": (start, end)})
            if found.tag and _tag(got.meta) not in ("", found.tag):
                raise StorageError(f"{told}: it was replaced while it was read; run the same command again")
            return bytes(got.bytes())

        block = self._repeated(found.name, read)
        if len(block) != end - start:
            raise StorageError(f"{told}: cut short while it was read; run the same command again")
        return block

    def size_of(self, name: str) -> int | None:
        """Return the size of an object, None when there is none."""
        with suppress(NoObjectError):
            return self._repeated(name, lambda: int(self._calls.head(self._store, name)["size"]))
        return None

    def copy(self, source: str, target: str, size_bytes: int) -> bool:
        """Copy an object of a size within the store, in the place of one that is there; return whether that could be.

        It can't where there is no such object, nor where it is too large for one call.
        """
        if size_bytes > MOST_COPIED_BYTES:
            return False
        try:
            self._repeated(source, lambda: self._calls.copy(self._store, source, target))
        except NoObjectError:
            return False
        return True

    def names(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Yield the names of the objects that are there, and their sizes, in no order; `below` is a whole folder."""
        return ((found.name, found.size_bytes) for found in self.found_below(below))

    def delete(self, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is none that has to go."""
        names = list(names)
        for first in range(0, len(names), DELETED_AT_ONCE):
            batch = names[first : first + DELETED_AT_ONCE]
            try:
                self._repeated(batch[0], partial(self._calls.delete, self._store, batch))
            except NoObjectError:  # a store that removes one by one may have left what comes behind the missing one
                for name in batch:
                    with suppress(NoObjectError):
                        self._repeated(name, partial(self._calls.delete, self._store, [name]))

    def discard(self, names: Iterable[str]) -> None:
        """Remove objects on which nothing relies; those that the bucket keeps, by a policy or a lock, stay."""
        try:
            self.delete(names)
        except NoRightError as error:
            log.warning("objects_not_removed", reason=str(error))

    def _repeated(self, name: str, call: Callable[[], T]) -> T:
        """Make a call, and make it anew where nobody knows what became of it."""
        until = time.monotonic() + REPEATING_S
        for tries_left in reversed(range(TRIES)):
            try:
                with self._errors(name):
                    return call()
            except _NoAnswerError:
                if not tries_left or time.monotonic() > until:
                    raise
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn the library's errors into ours: it quotes answers, in which anything may stand."""
        kinds = self._calls.exceptions
        try:
            yield
        except FileNotFoundError as error:
            if any(code in str(error) for code in _NO_BUCKET):
                raise self._no_bucket() from None
            raise NoObjectError(f"{self.url}/{name}: not in the bucket") from None
        except (kinds.PermissionDeniedError, kinds.UnauthenticatedError, PermissionError):
            raise NoRightError(
                f"{self.url}/{name}: the store denies it; give the credentials the right to list, read, write and "
                "remove below this URL, and run the same command again"
            ) from None
        except (kinds.InvalidPathError, ValueError) as error:
            told = _PATH.search(str(error))
            found = told[1] if told else "unknown"
            raise StorageError(
                f"{self.url}/{name}: there, or below, is a name that can't be used ({found}): an empty "
                'part, ".", ".." or a line end in it; call that object otherwise, or use another URL'
            ) from None
        except kinds.BaseError as error:
            text = str(error)
            if any(code in text for code in _NO_BUCKET):
                raise self._no_bucket() from None
            if any(word in text for word in _HAS_RETENTION):
                raise StorageError(
                    f"{self.url}/{name}: the bucket locks every object by default, and refuses to be written to; name "
                    "one without a default retention, and run the same command again"
                ) from error
            found = _CODE.search(text) or _STATUS.search(text)
            if not found:
                raise self._no_use(name, "it does not answer", _NoAnswerError) from error
            raise self._no_use(name, found[1]) from error

    def _no_use(self, name: str, reason: str, kind: type[StorageError] = StorageError) -> StorageError:
        return kind(
            f"{self.url}/{name}: the store can't be used ({reason}); run the same command again, and if that does "
            "not help, see address, region and credentials"
        )

    def _no_bucket(self) -> StorageError:
        return StorageError(f"{self.url}: there is no such bucket; make it, or name another one, and run again")


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object as it was found, and none that has taken its name since. `tag` is "" where a store gives none.

    All reading goes by blocks: one that was cut off is asked for again, and not all that came before it.
    """

    bucket: Bucket = field(repr=False)
    name: str
    size_bytes: int
    tag: str

    @property
    def url(self) -> str:
        return f"{self.bucket.url}/{self.name}"

    def blocks(self) -> Iterator[bytes]:
        """Yield the content, the next block being on its way while one is worked on."""
        starts = range(0, self.size_bytes, BLOCK_BYTES)
        if len(starts) < 2:  # noqa: PLR2004 - nothing comes behind it
            yield from map(self._block, starts)
            return
        ahead: Future[bytes] | None = None
        with ThreadPoolExecutor(1, "ahead") as thread:
            for start in starts:
                coming = ahead or thread.submit(self._block, start)
                ahead = thread.submit(self._block, start + BLOCK_BYTES) if start != starts[-1] else None
                yield coming.result()

    def opened(self) -> io.BufferedReader:
        """Return the content as a stream. Reading it raises `StorageError`."""
        return io.BufferedReader(_ObjectStream(self.blocks()), SMALL_BYTES)

    def hash(self) -> str:
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return digest.hexdigest()

    def get(self, target: Path) -> str:
        """Write it to `target`, whole or not at all, and return its hash."""
        digest = hashlib.sha256()
        # Two may want the same file at once.
        part = target.with_name(f"{target.name}.{threading.get_ident()}{PART_SUFFIX}")
        with disk_errors(target):
            try:
                with open(part, "wb", opener=open_private) as file:
                    for block in self.blocks():
                        file.write(block)
                        digest.update(block)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        return digest.hexdigest()

    def _block(self, start: int) -> bytes:
        return self.bucket.block(self, start, min(start + BLOCK_BYTES, self.size_bytes))


class _ObjectStream(io.RawIOBase):
    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what is there, at most the length of `buffer`; 0 is the end. Raises `StorageError`."""
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _tag(meta: Any) -> str:
    """Return what tells an object from another one of its name; a list and an answer differ in its quotes."""
    return (meta.get("e_tag") or "").strip('"')


def is_bucket_url(text: str) -> bool:
    """Whether a text is the URL of something in a bucket."""
    return text.partition("://")[0] in SCHEMES and "://" in text


def split_name(url: str) -> tuple[str, str]:
    """Return the URL of a bucket, and the name in it, of the URL of an object."""
    scheme, _, rest = url.partition("://")
    bucket, _, name = rest.partition("/")
    return f"{scheme}://{bucket}", name


def _options(url: str, kind: str, settings: StorageSettings) -> dict[str, Any]:
    """Return what the library is told: times, address, encryption, and who we are."""
    options: dict[str, Any] = {
        "client_options": {
            "timeout": timedelta(seconds=ATTEMPT_S),
            "connect_timeout": timedelta(seconds=CONNECT_S),
            **({"allow_http": True} if settings.endpoint.startswith("http://") else {}),
        },
        "retry_config": {
            "max_retries": REPEATS,
            "retry_timeout": timedelta(seconds=REPEATING_S),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
        },
    }
    if settings.endpoint:
        options["endpoint" if kind != "gs" else "base_url"] = settings.endpoint
    if kind == "s3":
        if settings.region:
            options["region"] = settings.region
        if settings.encryption:
            options["server_side_encryption"] = settings.encryption
        if settings.kms_key:
            options["sse_kms_key_id"] = settings.kms_key
    if settings.instance_credentials or any(map(os.environ.get, CREDENTIALS[kind])):
        return options
    if any(Path(name).expanduser().is_file() for name in _FILES_OF_CREDENTIALS[kind]):
        forbid_metadata(settings)
        return options | (_of_profile(url) if kind == "s3" else {})
    raise UsageError(
        f"{url}: no credentials for it; set {CREDENTIALS[kind][0]} and what belongs to it, or, where the machine "
        "itself has a role, set [storage] instance_credentials = true"
    )


def forbid_metadata(settings: StorageSettings) -> None:
    """Keep AWS's own library from asking the machine's address for credentials, unless that is meant."""
    if not settings.instance_credentials:
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")


def _of_profile(url: str) -> dict[str, Any]:
    """Return what asks AWS's own chain for credentials, as profiles name them; never the machine's address."""
    try:
        import boto3  # noqa: PLC0415 - part of the extra, and few have profiles
        from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415
    except ImportError:
        raise UsageError(f"{url}: credentials in a profile need a further library; {EXTRA}") from None
    try:
        return {"credential_provider": Boto3CredentialProvider(boto3.Session())}
    except Exception as error:
        raise UsageError(
            f"{url}: no credentials in the profile ({type(error).__name__}); see `aws sts get-caller-identity`, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
