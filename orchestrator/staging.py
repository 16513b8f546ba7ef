"""The job's files where its directory is a URL: staged into a scratch folder, published in the bucket.

All other code reads and writes files in a directory of this machine and does not know. The rules:

- A file is in the bucket before the ledger's commit that relies on it, and that commit notes it.
- An object is named by path and hash and is never another one. The ledger says which one is the file; whatever else
  lies there, of a run that was given up, or of a put that came late, does not count.
- What is not there as it was noted is not there at all: it is made anew like a file that a disk has lost.
- What people look for lies beside it under its own name as a copy, on which nothing relies.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import uuid4

from orchestrator.bucket import NoObjectError
from orchestrator.errors import StorageError
from orchestrator.files import disk_errors, make_private_directory, sha256_of
from orchestrator.jobdir.layout import FOR_PEOPLE, LOG, RECORDS, is_ours, kept_in_bucket
from orchestrator.logger import log
from orchestrator.records import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from orchestrator.bucket import Bucket
    from orchestrator.ledger import Ledger, LedgerWriter

T = TypeVar("T")

OBJECTS: Final = "objects"
CALLS_AT_ONCE: Final = 32
SHOWN_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The files of a job in `directory`, and those in the `bucket` of which it is a part; None for none.

    Without a bucket nothing here does anything. Raises `StorageError`.
    """

    directory: Path
    bucket: Bucket | None = None

    # --- on the event loop, beside a writer of the ledger ------------------------------------------------------------

    async def bring(self, ledger: LedgerWriter, *paths: Path) -> list[str]:
        """Have these files in the directory, as far as there are such; return those that the bucket has lost."""
        if self.bucket is None or not (lacking := [self._name(path) for path in paths if not path.exists()]):
            return []
        stored = await ledger.do(lambda it: it.objects.at(lacking))
        got = await asyncio.gather(*(_in_pool(partial(self._get, file)) for file in stored))
        lost = [file.path for file, is_there in zip(stored, got, strict=True) if not is_there]
        await self._forget(ledger, lost)
        return lost

    async def bring_chunk(self, ledger: LedgerWriter, chunk: Path, *others: Path) -> None:
        """Have a chunk in the directory, and others as far as there are such; `StorageError` when the chunk is lost."""
        if self._name(chunk) in await self.bring(ledger, chunk, *others):
            raise StorageError(f"{chunk}: lost in the bucket; run the same command again, which makes it anew")

    async def bring_below(self, ledger: LedgerWriter, *tops: str) -> None:
        """Have all files in the directory whose paths begin with one of `tops`."""
        if self.bucket is not None:
            stored = await ledger.do(lambda it: list(it.objects.below(*tops)))
            await self._forget(ledger, await asyncio.to_thread(self.fetch, stored))

    async def put(self, *paths: Path) -> list[StoredFile]:
        """Publish those of these files that are there; the commit that relies on them has to note them."""
        if self.bucket is None:
            return []
        there = [path for path in paths if path.exists()]
        return list(await asyncio.gather(*(_in_pool(partial(self._put, path)) for path in there)))

    async def put_new(self, ledger: LedgerWriter, *tops: str) -> None:
        """Publish and note what is in the directory below `tops` and not in the bucket."""
        if self.bucket is not None:
            known = await ledger.do(lambda it: {file.path: file for file in it.objects.below(*tops)})
            there = await asyncio.to_thread(self._publish, known, tops)
            await ledger.do(lambda it: it.objects.note(file for file in there if file != known.get(file.path)))
            if ledger.holds:  # one that was given up shows nothing in the place of what others have made
                await asyncio.to_thread(self._show, there)

    async def names(self, ledger: LedgerWriter, *tops: str) -> frozenset[str]:
        """Return the paths of what is in the bucket below `tops`."""
        if self.bucket is None:
            return frozenset()
        return await ledger.do(lambda it: frozenset(file.path for file in it.objects.below(*tops)))

    async def _forget(self, ledger: LedgerWriter, lost: Sequence[str]) -> None:
        """Note that the bucket has lost files, so that they are made anew."""
        if lost:
            await ledger.do(lambda it: it.objects.forget(lost))

    def left(self) -> list[str]:
        """Return a few of the names that lie in the bucket; none where there is no bucket."""
        return [] if self.bucket is None else sorted(name for name, _ in islice(self.bucket.names(), SHOWN_NAMES))

    # --- where nothing else uses the ledger --------------------------------------------------------------------------

    def bring_all(self, ledger: Ledger, *tops: str) -> None:
        """Have all files in the directory whose paths begin with one of `tops`; the ledger may be open to read."""
        if self.bucket is not None:
            self.fetch(list(ledger.objects.below(*tops)))

    def keep_all(self, ledger: Ledger) -> None:
        """Publish and note all that is new in the directory, and what is for people under its own name, too."""
        if self.bucket is None:
            return
        known = {file.path: file for file in ledger.objects.below("")}
        there = self._publish(known, ("",))
        if made := [file for file in there if file != known.get(file.path)]:
            ledger.change(lambda it: it.objects.note(made))
        if ledger.connection.holds:  # as above
            self._show(there)

    def bring_now(self, ledger: Ledger, *paths: Path) -> None:
        """Have these files in the directory, as far as there are such."""
        if self.bucket is not None:
            self.fetch(ledger.objects.at([self._name(path) for path in paths if not path.exists()]))

    def has(self, ledger: Ledger, path: Path) -> bool:
        """Whether a file is in the directory, or is one that the bucket would give."""
        return path.is_file() or (self.bucket is not None and bool(ledger.objects.at([self._name(path)])))

    def drop_stale(self, ledger: Ledger, *tops: str) -> None:
        """Forget the objects of files that are not in the directory below `tops`: a command has made all there is."""
        if self.bucket is not None:
            stale = [file.path for file in ledger.objects.below(*tops) if not (self.directory / file.path).exists()]
            if stale:
                ledger.objects.forget(stale)
                self.bucket.discard(path for path in stale if _is_for_people(path))

    def copy_under_new_names(self, ledger: Ledger, name: Callable[[str], str]) -> tuple[list[str], list[StoredFile]]:
        """Copy files in the bucket that are to be called otherwise; return what the commit that does so has to note.

        These are the paths that no file has any more, and the files by their new ones. The old objects count no more.
        """
        if self.bucket is None:
            return [], []
        moved = {
            file: file._replace(path=new) for file in ledger.objects.below("") if (new := name(file.path)) != file.path
        }

        def copied(file: StoredFile) -> bool:
            assert self.bucket is not None  # noqa: S101 - narrows the type
            # One that is lost already, or too large, is made anew like any other.
            return self.bucket.copy(object_name(file), object_name(moved[file]), file.size_bytes)

        there = _pool().map(copied, moved)
        return [file.path for file in moved], [
            moved[file] for file, is_there in zip(moved, there, strict=True) if is_there
        ]

    def fetch(self, stored: Iterable[StoredFile]) -> list[str]:
        """Have these files in the directory; return the paths of those that the bucket has not as they were noted."""
        lacking = [file for file in stored if not (self.directory / file.path).exists()]
        got = _pool().map(self._get, lacking)
        return [file.path for file, is_there in zip(lacking, got, strict=True) if not is_there]

    def with_numbers(self) -> dict[str, int]:
        """Return the names, and sizes, of all in the bucket that this program put there and that holds numbers."""
        found = () if self.bucket is None else self.bucket.names()
        return {name: size for name, size in found if name.startswith(f"{OBJECTS}/") or is_ours_in_bucket(name)}

    # --- the records: summary, page and log --------------------------------------------------------------------------

    def bring_records(self) -> None:
        """Have the records in the directory that the last command has left."""
        for name in RECORDS:
            if self.bucket is not None:
                try:
                    self.bucket.get(name, self.directory / name)
                except NoObjectError:
                    continue

    def put_records(self, *names: str) -> None:
        """Publish records under their own names: nothing relies on them, and each is of the last one that wrote."""
        for name in names or RECORDS:
            if self.bucket is not None and (self.directory / name).exists():
                self.bucket.put(name, self.directory / name)

    def put_log_aside(self) -> None:
        """Publish the log of a run that has lost its job to another one, or may have, where it writes over nothing."""
        log_file = self.directory / LOG
        if self.bucket is not None and log_file.exists():
            self.bucket.put(f"{OBJECTS}/logs/{uuid4().hex}.jsonl", log_file)

    # --- one file ----------------------------------------------------------------------------------------------------

    def _get(self, file: StoredFile) -> bool:
        """Fetch a file; return whether it is there as it was noted."""
        assert self.bucket is not None  # noqa: S101 - narrows the type
        target = self.directory / file.path
        make_private_directory(target.parent)
        try:
            found = self.bucket.get(object_name(file), target)
        except NoObjectError:
            log.warning("file_lost_in_bucket", file=file.path)
            return False
        if found != file.sha256:
            log.warning("file_altered_in_bucket", file=file.path)
            with disk_errors(target):
                target.unlink()
        return found == file.sha256

    def _put(self, path: Path) -> StoredFile:
        assert self.bucket is not None  # noqa: S101 - as above
        with disk_errors(path):
            file = StoredFile(self._name(path), sha256_of(path), path.stat().st_size)
        self.bucket.put(object_name(file), path)
        return file

    def _publish(self, known: Mapping[str, StoredFile], tops: Sequence[str]) -> list[StoredFile]:
        """Publish what is in the directory below `tops` and not `known` as it is; return all that is there."""
        paths = [path for path in kept_in_bucket(self.directory) if self._name(path).startswith(tuple(tops))]

        def put_if_new(path: Path) -> StoredFile:
            there = known.get(self._name(path))
            with disk_errors(path):
                if there and path.stat().st_size == there.size_bytes and sha256_of(path) == there.sha256:
                    return there
            return self._put(path)

        return list(_pool().map(put_if_new, paths))

    def _show(self, files: Iterable[StoredFile]) -> None:
        """Put what is for people under its own name, too; one who has lost the job does not come so far."""
        for file in files:
            if self.bucket is not None and _is_for_people(file.path):
                path = self.directory / file.path
                if self.bucket.size_of(object_name(file)) != file.size_bytes:
                    self._put(path)  # lost or cut off since it was noted: what is here is the same file, made anew
                if not self.bucket.copy(object_name(file), file.path, file.size_bytes):
                    self.bucket.put(file.path, path)

    def _name(self, path: Path) -> str:
        # No database and no store can keep the bytes of a name that are no UTF-8.
        return path.relative_to(self.directory).as_posix().encode(errors="backslashreplace").decode()


def object_name(file: StoredFile) -> str:
    """Return what the object of a file is called. The path is in it so that a bucket alone tells what it holds."""
    return f"{OBJECTS}/{file.path}.{file.sha256}"


def is_ours_in_bucket(name: str) -> bool:
    """Whether an object's name is one of a file for people; what else lies there is not ours."""
    return _is_for_people(name) and is_ours(name)


def _is_for_people(path: str) -> bool:
    return path.partition("/")[0] in FOR_PEOPLE


async def _in_pool(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_pool(), work)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CALLS_AT_ONCE, "bucket")
