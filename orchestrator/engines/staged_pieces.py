"""Pieces whose files go to and fro through a bucket: for workers that don't see the job's directory.

A piece, and what it returns, names whole paths. Beside a worker each piece has a folder that stands for the root of the
coordinator's files: what is /tmp/job/chunks/1.txt here is FOLDER/tmp/job/chunks/1.txt there. Its code does not know.
The rules:

- An object is named by its hash, in a place of this run: whoever puts it once more, however late, puts the same. What
  counts is what the coordinator takes of an answer; it removes the place when it ends, and that of one that was killed
  when the next begins.
- What a piece has written is published whole before it is told, or not at all. Of a piece that raises nothing is.
- What a worker has fetched or made stays beside it, by its hash, for the next piece, in half of the room that is there.
- Credentials are those of the machine where the call is made.

Everything here blocks: it is for threads.
"""

from __future__ import annotations

import io
import os
import pickle
import secrets
import shutil
import socket
import threading
from collections import OrderedDict, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from orchestrator.bucket import Bucket
from orchestrator.errors import OrchestratorError, StorageError
from orchestrator.files import DIRECTORY_MODE, disk_errors, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.pieces import Order
    from orchestrator.settings import StorageSettings

PLACES: Final = "objects/staged"
"""Below the name of every object of a job, so that a purge finds what a killed one has left."""
CALLS_AT_ONCE: Final = 8
ROOM_SHARE: Final = 0.5
"""How much of the room beside a worker may hold what some later piece might read."""


@dataclass(frozen=True, slots=True)
class StagePlace:
    """Where the pieces of one run find one another's files: below a URL, under a `token` of that run."""

    url: str
    storage: StorageSettings
    token: str

    def open(self) -> Bucket:
        return Bucket.open(self.url, self.storage)

    def name_of(self, name: str) -> str:
        return f"{PLACES}/{self.token}/{name}"


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file of the coordinator's, by its whole path, which is an object in the bucket."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StagedPiece:
    """An order on its way: packed, with what it reads, the folders that it expects, and the names that it writes."""

    order: bytes
    reads: tuple[StagedFile, ...]
    folders: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StagedAnswer:
    """What came of a piece: what is there now of the names that it writes, None if it raised; bytes that were moved."""

    answer: bytes
    written: tuple[StagedFile, ...] | None
    fetched_bytes: int
    put_bytes: int


@dataclass(slots=True)
class Moved:
    """How many bytes went through the bucket, from here and to here, and to and from the workers."""

    put_bytes: int = 0
    fetched_bytes: int = 0
    workers_fetched_bytes: int = 0
    workers_put_bytes: int = 0


class _Packer(pickle.Pickler):
    """Writes paths so that they can be read as those of another folder: without `root`, which all of them begin with.

    Of texts only those are paths that `is_path` says.
    """

    def __init__(self, file: io.BytesIO, root: str, is_path: Callable[[str], bool]) -> None:
        super().__init__(file)
        self._root = root
        self._is_path = is_path

    def persistent_id(self, obj: Any) -> tuple[bool, bytes] | None:
        if isinstance(obj, PurePath):
            if (text := str(obj)).startswith(f"{self._root}/"):
                return True, os.fsencode(text[len(self._root) :])  # a text would be asked for here as well
        elif type(obj) is str and self._is_path(obj):
            return False, os.fsencode(obj[len(self._root) :])
        return None


class _Unpacker(pickle.Unpickler):
    def __init__(self, content: bytes, root: str) -> None:
        super().__init__(io.BytesIO(content))
        self._root = root

    def persistent_load(self, pid: Any) -> Path | str:
        is_path, name = pid
        text = self._root + os.fsdecode(name)
        return Path(text) if is_path else text


def _packed(value: object, root: str, is_path: Callable[[str], bool]) -> bytes:
    file = io.BytesIO()
    _Packer(file, root, is_path).dump(value)
    return file.getvalue()


class PieceStage:
    """The coordinator's side. Raises `StorageError`."""

    def __init__(self, place: StagePlace) -> None:
        self.moved = Moved()
        self._place = place
        self._bucket = place.open()
        self._put: set[str] = set()
        self._known: dict[str, tuple[tuple[int, int, int], str]] = {}
        self._elsewhere: dict[str, StagedFile] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def open(self, marker: str, content: bytes) -> None:
        """Remove what runs before have left, and put what workers have to see."""
        self._bucket.discard([name for name, _ in self._bucket.names(PLACES)])
        self._bucket.put(self._place.name_of(marker), content)

    def read(self, name: str) -> bytes:
        """Return what a worker has put beside it, to show that it can."""
        return self._bucket.read(self._place.name_of(name))

    def close(self) -> None:
        """Remove all that was staged."""
        self._bucket.discard([name for name, _ in self._bucket.names(self._place.name_of("").rstrip("/"))])

    def pack(self, order: Order) -> StagedPiece:
        """Have in the bucket what a piece reads, and return what travels."""
        files = order.files()
        assert files is not None  # noqa: S101 - others are not for workers elsewhere
        folders = {str(path.parent) for path in (*files.reads, *files.writes)}
        folders |= {str(path) for path in files.reads if path.is_dir()}
        here = _present(files.reads)
        folders |= {str(path.parent) for path in here}
        elsewhere = [self._elsewhere[str(path)] for path in files.reads if str(path) in self._elsewhere]
        reads = (*filter(None, _pool().map(self._staged, here)), *elsewhere)
        texts = {*(one.path for one in reads), *map(str, files.writes)}
        packed = _packed(order, "", texts.__contains__)
        return StagedPiece(packed, reads, tuple(sorted(folders)), tuple(map(str, files.writes)))

    def take(self, order: Order, sent: StagedPiece, told: StagedAnswer) -> bytes:
        """Have on this machine under the names that a piece writes what it has left there; return its answer."""
        self.moved.workers_fetched_bytes += told.fetched_bytes
        self.moved.workers_put_bytes += told.put_bytes
        files = order.files()
        if told.written is not None and files is not None:
            self._put |= {one.sha256 for one in told.written}
            if files.handed_on:
                self._elsewhere |= {one.path: one for one in told.written}
            else:
                list(_pool().map(self._fetch, told.written))
                left = {one.path for one in told.written}
                for gone in (one.path for one in sent.reads if one.path not in left and _is_written(one.path, sent)):
                    with disk_errors(Path(gone)):
                        Path(gone).unlink(missing_ok=True)
        return pickle.dumps(_Unpacker(told.answer, "").load())

    def _staged(self, path: Path) -> StagedFile | None:
        """Have a file of this machine in the bucket; None for one that is gone by now, as in a folder of many jobs."""
        with disk_errors(path):
            try:
                stat = path.stat()
                seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
                known = self._known.get(str(path))
                sha256 = known[1] if known and known[0] == seen else sha256_of(path)
            except FileNotFoundError:
                return None
        self._known[str(path)] = seen, sha256
        with self._locks[sha256]:
            if sha256 not in self._put:
                self._bucket.put(self._place.name_of(sha256), path)
                self._put.add(sha256)
                self.moved.put_bytes += stat.st_size
        return StagedFile(str(path), sha256, stat.st_size)

    def _fetch(self, file: StagedFile) -> None:
        path = Path(file.path)
        with disk_errors(path):
            if path.is_file() and path.stat().st_size == file.size_bytes and sha256_of(path) == file.sha256:
                return
            path.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        if self._bucket.get(self._place.name_of(file.sha256), path) != file.sha256:
            with disk_errors(path):
                path.unlink()
            raise StorageError(f"{path}: the store gives another content than a worker put; run the same command again")
        self.moved.fetched_bytes += file.size_bytes


class WorkerStage:
    """A worker's side. What is kept in `folder` serves all runs that it does pieces for."""

    def __init__(self, folder: Path) -> None:
        self._kept = folder / "kept"
        self._pieces = folder / "pieces"
        self._buckets: dict[StagePlace, Bucket] = {}
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        with _errors_here():
            shutil.rmtree(folder, ignore_errors=True)
            for one in (folder, self._kept, self._pieces):
                one.mkdir(DIRECTORY_MODE, parents=True)

    def show(self, place: StagePlace, marker: str, name: str) -> str:
        """Say why this worker can't use the bucket; nothing if it can, and has put an object `name` there."""
        try:
            bucket = self._bucket(place)
            if bucket.read(place.name_of(marker)) != place.token.encode():
                return f"sees another {place.url}"
            bucket.put(place.name_of(name), place.token.encode())
        except OrchestratorError as error:
            return f"can't use the bucket: {error}"
        return ""

    def begin(self, place: StagePlace, piece: StagedPiece) -> tuple[Order, Path, int]:
        """Have beside this worker what a piece reads; return the order as it is here, its folder, and bytes fetched.

        Raises `StorageError`, and leaves nothing then.
        """
        folder = self._pieces / secrets.token_hex(8)
        try:
            with _errors_here():
                for name in ("", *piece.folders):
                    Path(f"{folder}{name}").mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
                fetched = sum(_pool().map(partial(self._bring, place, folder), piece.reads))
            return _Unpacker(piece.order, str(folder)).load(), folder, fetched
        except BaseException:
            self.end(folder)
            raise

    def publish(self, place: StagePlace, piece: StagedPiece, folder: Path, answer: bytes) -> StagedAnswer:
        """Put what a piece has written; return what is told of it. Raises `StorageError`."""
        root = str(folder)
        value, error, told = pickle.loads(answer)  # noqa: S301 - from a process of ours
        known = {one.sha256 for one in piece.reads}
        put: list[int] = []

        def publish(path: Path) -> StagedFile:
            sha256, size = sha256_of(path), path.stat().st_size
            if sha256 not in known:
                self._bucket(place).put(place.name_of(sha256), path)
                put.append(size)
                self._make_room(size)
                self._keep(path, sha256, size)
            return StagedFile(str(path).removeprefix(root), sha256, size)

        written = None
        if error is None:
            with _errors_here():
                written = tuple(_pool().map(publish, _present(Path(f"{root}{name}") for name in piece.writes)))
        else:
            error.args = tuple(said.replace(root, "") if isinstance(said, str) else said for said in error.args)
        packed = _packed((value, error, told.replace(root, "")), root, lambda text: text.startswith(f"{root}/"))
        return StagedAnswer(packed, written, 0, sum(put))

    def end(self, folder: Path) -> None:
        """Remove a piece's folder."""
        shutil.rmtree(folder, ignore_errors=True)

    def _bucket(self, place: StagePlace) -> Bucket:
        if (bucket := self._buckets.get(place)) is None:
            bucket = self._buckets[place] = place.open()
        return bucket

    def _bring(self, place: StagePlace, folder: Path, file: StagedFile) -> int:
        """Have a file in a piece's folder; return how many bytes were fetched for that."""
        kept, target = self._kept / file.sha256, Path(f"{folder}{file.path}")
        with self._locks[file.sha256]:
            with suppress(FileNotFoundError):
                # A piece replaces files and never writes into one, so it may have the very file that is kept.
                os.link(kept, target)
                with self._lock, suppress(KeyError):
                    self._sizes.move_to_end(file.sha256)
                return 0
            self._make_room(file.size_bytes)
            bucket = self._bucket(place)
            if bucket.get(place.name_of(file.sha256), target) != file.sha256:
                raise StorageError(f"{bucket.url}: it has altered {file.path}; run the same command again")
            self._keep(target, file.sha256, file.size_bytes)
        return file.size_bytes

    def _keep(self, path: Path, sha256: str, size_bytes: int) -> None:
        with suppress(FileExistsError):
            os.link(path, self._kept / sha256)
            with self._lock:
                self._sizes[sha256] = size_bytes

    def _make_room(self, size_bytes: int) -> None:
        """Let go what was read longest ago, so that what is kept leaves as much room as it takes."""
        with self._lock:
            held = sum(self._sizes.values())
            room = shutil.disk_usage(self._kept).free + held
            while self._sizes and held + size_bytes > ROOM_SHARE * room:
                sha256, size = self._sizes.popitem(last=False)
                (self._kept / sha256).unlink(missing_ok=True)
                held -= size


def _present(names: Iterable[Path]) -> list[Path]:
    """Return the files that are there of what a piece reads or writes, as `pieces.PieceFiles` names them."""
    found: dict[Path, None] = {}
    for name in names:
        for path in sorted(name.parent.glob(name.name)) if name.name.endswith("*") else [name]:
            inside = sorted(path.rglob("*")) if path.is_dir() else [path]
            found |= dict.fromkeys(one for one in inside if one.is_file())
    return list(found)


def _is_written(path: str, piece: StagedPiece) -> bool:
    return any(
        path.startswith(name[:-1]) if name.endswith("*") else path == name or path.startswith(f"{name}/")
        for name in piece.writes
    )


@contextmanager
def _errors_here() -> Iterator[None]:
    """Say of a failure of the disk, or of the store, on which machine it is."""
    here = f"on the worker {socket.gethostname()}: "
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{here}{error}") from error
    except OSError as error:
        raise StorageError(
            f"{here}{error.filename or 'its local directory'}: {error.strerror}; give it more room, or another "
            "--local-directory, and run the same command again"
        ) from error


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(CALLS_AT_ONCE, "staged")
