"""Runs pieces on a Dask cluster that is there already: the coordinator is a client of its scheduler, no part of it.

The rules:

- Inside each Dask worker stand worker processes of ours, the same as on one machine: a piece that aborts, hoards or
  never ends costs that piece alone, and no Dask worker. They come with the first piece, and go with the worker.
- What goes to and fro is packed: the scheduler and the worker see bytes, and no log of theirs shows what is in them.
- Every wait of the coordinator has a bound: the scheduler is asked all the time whether it is there.
- A worker that dies or freezes costs its pieces' time: Dask has them done by another one. So a piece may be done twice,
  even at once, by somebody who was long given up: what it writes, it writes whole, and the same each time.
- Who does pieces has the same versions as the coordinator and sees the same directory. Both are looked at when the run
  begins, of all workers, and once more of any that comes later. Where the job is in a bucket, those that don't see the
  directory do with what is staged through that (`staged_pieces`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import platform
import secrets
import shutil
import socket
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from orchestrator.engines.processes import Processes
from orchestrator.engines.staged_pieces import PieceStage, StagedAnswer, StagedPiece, StagePlace, WorkerStage
from orchestrator.errors import EngineError, PieceDiedError, StorageError, UsageError
from orchestrator.files import DIRECTORY_MODE, make_private_directory, replacing
from orchestrator.logger import log

_was_there = "distributed" in sys.modules

from distributed import Client, KilledWorker, Worker, WorkerPlugin, get_worker  # noqa: E402
from distributed.client import FutureCancelledError  # noqa: E402
from distributed.versions import VersionMismatchWarning  # noqa: E402

if not _was_there:  # its own way to standard error, which takes no heed of a terminal's bars
    for _name in ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "bokeh"):
        logging.getLogger(_name).handlers.clear()

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from orchestrator.pieces import Order, PieceFiles
    from orchestrator.settings import StorageSettings

CONNECT_S: Final = 20.0
WORKERS_S: Final = 120.0
"""How long the first worker may take to come, as where machines are started together."""
ANSWER_S: Final = 30.0
"""How long the scheduler, or a worker that is looked at, may take to answer."""
WATCH_S: Final = 5.0
NO_WORKER_S: Final = 600.0
CLOSE_S: Final = 5.0
PATIENCE_S: Final = 120.0
"""For how long Dask may take a frozen worker to be alive; from there on it is worth a word."""

_MARKER: Final = "coordinator"

PROGRAM: Final = "numbercheck-orchestrator"
_EVERYWHERE: Final = ("dask", "distributed", PROGRAM)
_ON_WORKERS: Final = (*_EVERYWHERE, "phonenumbers", "numpy", "python-calamine", "pyarrow")
"""What decides about the bytes that a piece writes."""

_START_AGAIN: Final = "start it again, and run the same command again"


@dataclass(frozen=True, slots=True)
class Session:
    """One coordinator: what it is made of, and the folder in the job's directory where others show that they see it.

    `place` is where files are staged, None where there is no bucket; `is_staged` says that all pieces do so.
    """

    token: str
    meeting: str
    versions: dict[str, str]
    place: StagePlace | None = None
    is_staged: bool = False


@dataclass(frozen=True, repr=False, slots=True)
class Parcel:
    """What Dask is given to carry. Its text shows nothing: Dask logs that of a task that fails."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a worker can do no pieces, in words; whether it could with what it needs staged."""

    reason: str
    is_blind: bool = False


def versions(names: tuple[str, ...] = _ON_WORKERS) -> dict[str, str]:
    """Return what this interpreter is, and what of some packages is installed for it."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


class PieceKeeper(WorkerPlugin):
    """What this program has inside a Dask worker: its processes, and which of them does what."""

    def __init__(self, worker: Worker) -> None:
        self._processes = Processes(max(1, worker.state.nthreads))
        self._doing: dict[object, asyncio.Task[bytes | StagedAnswer]] = {}
        self._looked: dict[tuple[str, bool], Unfit | None] = {}
        self._folder = Path(worker.local_directory) / "staged"  # which goes with the worker, or when the next begins
        self._stage: WorkerStage | None = None
        self._lock = threading.Lock()

    async def do(self, session: Session, content: bytes, key: str) -> bytes | StagedAnswer:
        """Have a piece done in a process; what it died of comes packed, like what it raised."""
        task = self._doing[key] = asyncio.create_task(self._do(session, pickle.loads(content)))  # noqa: S301 - from our coordinator
        try:
            return await task
        except (PieceDiedError, StorageError) as error:
            return pickle.dumps((None, error, ""))
        finally:
            self._doing.pop(key, None)

    async def _do(self, session: Session, what: Order | StagedPiece) -> bytes | StagedAnswer:
        attempt = f".{secrets.token_hex(4)}"
        if not isinstance(what, StagedPiece):
            return await self._processes.do(replace(what, attempt=attempt))
        assert session.place is not None  # noqa: S101 - else nothing is staged
        stage = self.stage()
        beginning = asyncio.ensure_future(asyncio.to_thread(stage.begin, session.place, what))
        try:
            order, folder, fetched = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            beginning.add_done_callback(lambda it: None if it.exception() else stage.end(it.result()[1]))
            raise
        try:
            answer = await self._processes.do(replace(order, attempt=attempt))
            told = await asyncio.to_thread(stage.publish, session.place, what, folder, answer)
            return replace(told, fetched_bytes=fetched)
        finally:
            await asyncio.shield(asyncio.to_thread(stage.end, folder))

    def stage(self) -> WorkerStage:
        with self._lock:  # a worker that came later is looked at by all of its first pieces at once
            if self._stage is None:
                self._stage = WorkerStage(self._folder)
        return self._stage

    def why_unfit(self, session: Session) -> Unfit | None:
        """Look at this worker, once for each coordinator."""
        looked = session.token, session.is_staged
        if looked not in self._looked:
            reason = unlike = _unlike(session.versions, versions())
            if not unlike:
                reason = _shut_out(session, self, "later") if session.is_staged else _blind(session)
            is_blind = not unlike and not session.is_staged
            self._looked[looked] = Unfit(reason, is_blind) if reason else None
        return self._looked[looked]

    def transition(self, key: object, start: str, finish: str, **_: object) -> None:  # noqa: ARG002 - as Dask calls it
        """End a piece that nobody waits for any more: its coordinator was stopped, or is gone."""
        if finish in {"cancelled", "released", "forgotten", "error"} and (task := self._doing.get(key)) is not None:
            task.cancel()

    async def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - as Dask calls it
        await self._processes.__aexit__(None, None, None)


async def keeper_of(worker: Worker) -> PieceKeeper:
    """Return what we have inside a worker; it is not told to the scheduler, which would give it to all, for ever."""
    known = worker.plugins.get(PROGRAM)
    if not isinstance(known, PieceKeeper):
        known = PieceKeeper(worker)
        await worker.plugin_add(known, name=PROGRAM)
    return known


async def do_piece(session: Session, parcel: Parcel, key: str) -> Parcel:
    """Do a piece, in a Dask worker. Raises nothing: what is raised there is written into logs of Dask's."""
    try:
        keeper = await keeper_of(get_worker())
        answered: object = await asyncio.to_thread(keeper.why_unfit, session)
        if answered is None:
            answered = await keeper.do(session, parcel.content, key)
    except Exception as error:  # noqa: BLE001 - see above
        answered = Unfit(f"{type(error).__name__} before the piece began")
    return Parcel(pickle.dumps(answered))


@dataclass(frozen=True, slots=True)
class Met:
    """What a worker has shown: its versions, why it can't use the directory and the bucket, and what it wrote there."""

    versions: dict[str, str]
    blind: str
    shut_out: str
    name: str


async def meet(session: Session, dask_worker: Worker) -> Met:
    """Show, in a Dask worker, its versions, and that it sees and writes the job's directory, or else the bucket."""
    found, name = versions(), f"{socket.gethostname()}-{os.getpid()}"
    if _unlike(session.versions, found):
        return Met(found, "", "", name)
    keeper = await keeper_of(dask_worker)
    blind = await asyncio.to_thread(_blind, session, name)
    shut_out = await asyncio.to_thread(_shut_out, session, keeper, name) if session.place else ""
    return Met(found, blind, shut_out, name)


def scheduler_facts(dask_scheduler: Any) -> tuple[dict[str, str], float]:
    """Return, of the scheduler, its versions, and after how many seconds a silent worker counts as dead."""
    return versions(_EVERYWHERE), dask_scheduler.worker_ttl or float("inf")


def _unlike(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Say in what somebody else's versions differ from ours; nothing of what is not looked at there."""
    unlike = [f"{name} {theirs[name]} and not {ours[name]}" for name in theirs if theirs[name] != ours.get(name)]
    return f"has {', '.join(unlike)}" if unlike else ""


def _shut_out(session: Session, keeper: PieceKeeper, name: str) -> str:
    """Say why a worker can't use the bucket; nothing if it can."""
    assert session.place is not None  # noqa: S101 - asked for where there is one
    try:
        return keeper.stage().show(session.place, _MARKER, name)
    except StorageError as error:
        return f"has no place for files ({error})"


def _blind(session: Session, name: str = "") -> str:
    """Say why this process does not see the job's directory, or can't write there; nothing if it does."""
    folder = Path(session.meeting)
    try:
        if (folder / _MARKER).read_text("ascii") != session.token:
            return f"sees another {folder.parent}"
        if name:
            with replacing(folder / name) as file:
                file.write(session.token.encode())
    except (OSError, StorageError) as error:
        return f"does not see {folder.parent}, or may not write there ({getattr(error, 'strerror', None) or error})"
    return ""


@dataclass(slots=True)
class DaskCluster:
    """The workers of the scheduler at `address`, which see the folder `meeting` as this process does.

    Where some don't, files go to and fro through `bucket`, if there is one: a URL, and how it is spoken to.
    """

    address: str
    meeting: Path
    bucket: tuple[str, StorageSettings] | None = None
    count: int = 1
    _client: Any = None
    _stage: PieceStage | None = None
    _in_flight: int = 0
    _session: Session = field(init=False)
    _watch: asyncio.Task[None] | None = None
    _lost: asyncio.Future[None] = field(init=False)

    async def __aenter__(self) -> Self:
        self._lost = asyncio.get_running_loop().create_future()
        token = secrets.token_hex(8)
        place = StagePlace(*self.bucket, token) if self.bucket else None
        self._session = Session(token, str(self.meeting), versions(), place)
        try:
            await self._connect()
            await asyncio.to_thread(self._open_meeting)
            await self._look_at_all()
        except BaseException:
            await self._close()
            raise
        self._watch = asyncio.create_task(self._keep_watch())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    def takes(self, files: PieceFiles | None) -> bool:
        """Whether a piece with these files is for workers elsewhere: to have files staged to look at them is not."""
        return files is not None and not (self._session.is_staged and files.reads and not files.writes)

    async def do(self, order: Order) -> bytes:
        """Have a piece done by some worker; `workers.Engine` has the rest."""
        while True:
            self._raise_if_lost()
            session, stage = self._session, self._stage if self._session.is_staged else None
            what = await asyncio.to_thread(stage.pack, order) if stage else order
            answered = await self._sent(session, order.name, await asyncio.to_thread(pickle.dumps, what))
            if isinstance(answered, StagedAnswer) and isinstance(what, StagedPiece) and stage:
                return await asyncio.to_thread(stage.take, order, what, answered)
            if not isinstance(answered, Unfit):
                assert isinstance(answered, bytes)  # noqa: S101 - the rest of what a worker answers
                return answered
            if not answered.is_blind or session.place is None:
                raise EngineError(
                    f"a Dask worker has come that {answered.reason}; end it, or give it what the coordinator has, and "
                    "run the same command again"
                )
            self._session = replace(session, is_staged=True)  # from here on: it is here to stay

    async def _sent(self, session: Session, name: str, content: bytes) -> object:
        """Hand over a piece, and return what a worker answers."""
        key = f"{name}-{secrets.token_hex(8)}"
        future = self._client.submit(do_piece, session, Parcel(content), key, key=key, pure=False)
        result = asyncio.ensure_future(future.result())
        self._in_flight += 1
        try:
            await asyncio.wait({result, self._lost}, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                self._raise_if_lost()
            return self._answer(name, result)
        finally:
            self._in_flight -= 1
            result.cancel()
            future.release()  # what is not done yet is ended there, see `PieceKeeper.transition`

    def _answer(self, name: str, result: asyncio.Future[Parcel]) -> object:
        try:
            return pickle.loads(result.result().content)  # noqa: S301 - from our own workers
        except (FutureCancelledError, asyncio.CancelledError, OSError):  # what was at a scheduler that is gone
            self._raise_if_lost()
            raise EngineError(f"the Dask scheduler at {self.address} is gone; {_START_AGAIN}") from None
        except KilledWorker as error:
            raise StorageError(
                f"{name}: {error.allowed_failures + 1} Dask workers have died while they did it; look at what they "
                "say, give them more memory, and run the same command again"
            ) from None
        except Exception as error:
            raise EngineError(
                f"a Dask worker can't do {name} ({type(error).__name__}); install the same release of this program on "
                "all of them, and run the same command again"
            ) from error

    async def _connect(self) -> None:
        """Become a client of the scheduler, which has at least one worker."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", VersionMismatchWarning)  # versions are compared below
                async with asyncio.timeout(CONNECT_S + CLOSE_S):
                    self._client = await Client(  # type: ignore[no-untyped-call]
                        self.address, asynchronous=True, timeout=CONNECT_S, set_as_default=False, name=PROGRAM
                    )
        except (OSError, ValueError, TypeError, TimeoutError, ImportError) as error:  # a TypeError: no certificates
            raise EngineError(
                f"no Dask scheduler answers at {self.address} ({_reason(error)}); start it, or put right [workers] "
                "address, and run the same command again"
            ) from error
        if not await self._threads():
            log.info("waiting_for_workers", scheduler=self.address, at_most_s=WORKERS_S)
            wanted = self._client.submit(versions, pure=False)  # a cluster that adapts begins workers for work alone
            try:
                async with asyncio.timeout(WORKERS_S + CLOSE_S):
                    await self._client.wait_for_workers(1, timeout=WORKERS_S)
            except TimeoutError:
                raise EngineError(
                    f"no worker has come to the Dask scheduler at {self.address}; start some, and run the same command "
                    "again"
                ) from None
            finally:
                wanted.release()
        self.count = max(1, sum((await self._threads()).values()))

    async def _look_at_all(self) -> None:
        """Compare scheduler and workers with this process; those that say nothing are left to Dask."""
        theirs, ttl_s = await self._asked(self._client.run_on_scheduler(scheduler_facts), "the Dask scheduler")
        if unlike := _unlike(self._session.versions, theirs):
            raise UsageError(f"the Dask scheduler at {self.address} {unlike}; {_install()}")
        if ttl_s > PATIENCE_S:
            log.warning("frozen_workers_are_noticed_late", after_s=ttl_s, help="see the manual: dask")
        workers = list(await self._threads())
        met = dict(zip(workers, await asyncio.gather(*(self._look_at(worker) for worker in workers)), strict=True))
        silent = [worker for worker, found in met.items() if found is None]
        blind = {worker: found for worker, found in met.items() if found is not None and found.blind}
        if blind and self._session.place is None:
            worker, first = next(iter(blind.items()))
            raise UsageError(
                f"the Dask worker at {worker} {first.blind}; all workers need the same file system there as this "
                "process, for the same user, or a job whose directory is in a bucket (see: orchestrator help storage)"
            )
        for worker, found in met.items():
            if blind and found is not None and found.shut_out:
                raise UsageError(
                    f"the Dask worker at {worker} {found.shut_out}. It does not see {self.meeting.parent} either; give "
                    "the workers the storage extra, and credentials of their own for the bucket, or a file system "
                    "that they share with this process ([storage] scratch)"
                )
        self._session = replace(self._session, is_staged=bool(blind))
        if silent:
            log.warning("workers_say_nothing", workers=silent)
        if len(silent) == len(workers):
            raise EngineError(
                f"no worker of the Dask scheduler at {self.address} answers; end them, start others, and run the same "
                "command again"
            )
        log.info(
            "workers", scheduler=self.address, workers=len(workers), pieces_at_a_time=self.count, staged=bool(blind)
        )

    async def _look_at(self, worker: str) -> Met | None:
        """Return what a worker has shown, None when it does not answer; `UsageError` for one that is not like us."""
        who = f"the Dask worker at {worker}"
        try:
            met: Met = await self._asked(self._client.run(meet, self._session, workers=[worker]), who, only=worker)
        except EngineError:
            return None
        if unlike := _unlike(self._session.versions, met.versions):
            raise UsageError(f"{who} {unlike}; {_install()}")
        return await asyncio.to_thread(self._seen, met)

    def _seen(self, met: Met) -> Met:
        """Look at what a worker has written, too."""
        blind, shut_out = met.blind, met.shut_out
        if self._stage is not None and not shut_out:
            try:
                self._stage.read(met.name)
            except StorageError as error:
                shut_out = f"puts objects that this process can't read: {error}"
        if not blind:
            try:
                (self.meeting / met.name).read_text("ascii")
            except OSError as error:
                blind = f"writes files that this process can't read ({error.strerror})"
        return replace(met, blind=blind, shut_out=shut_out)

    async def _asked(self, call: Any, who: str, *, only: str = "") -> Any:
        """Return what a call to the cluster gives. What fails there for want of the program is the user's to mend."""
        try:
            async with asyncio.timeout(ANSWER_S):
                answered = await call
        except (ImportError, AttributeError) as error:
            raise UsageError(f"{who} lacks this program ({_reason(error)}); {_install()}") from error
        except Exception as error:
            raise EngineError(f"{who} does not answer ({_reason(error)}); {_START_AGAIN}") from error
        if not only:
            return answered
        if only not in answered:
            raise EngineError(f"{who} is gone; {_START_AGAIN}")
        return answered[only]

    async def _threads(self) -> dict[str, int]:
        """Return the addresses of all workers, with how many pieces each takes at a time."""
        threads: dict[str, int] = await self._asked(self._client.nthreads(), f"the Dask scheduler at {self.address}")
        return threads

    async def _keep_watch(self) -> None:
        """Ask the scheduler for its workers, for as long as it answers, and has some where there is something to do."""
        loop = asyncio.get_running_loop()
        had_some_at = loop.time()
        while True:
            try:
                threads = await self._threads()
            except (EngineError, UsageError) as error:
                self._lose(str(error))
                return
            if threads or not self._in_flight:
                had_some_at = loop.time()
            elif loop.time() - had_some_at > NO_WORKER_S:
                self._lose(
                    f"the Dask scheduler at {self.address} has had no worker for {NO_WORKER_S / 60:.0f} minutes; start "
                    "some, and run the same command again"
                )
                return
            self.count = max(1, sum(threads.values()))
            await asyncio.sleep(WATCH_S)

    def _lose(self, reason: str) -> None:
        log.error("cluster_lost", reason=reason)
        if not self._lost.done():
            self._lost.set_exception(EngineError(reason))
            self._lost.exception()  # it may be that nobody waits

    def _raise_if_lost(self) -> None:
        if self._lost.done() and (error := self._lost.exception()) is not None:
            raise EngineError(str(error)) from error

    def _open_meeting(self) -> None:
        """Make the places in which others show what they see, a folder and one in the bucket; what was left goes."""
        shutil.rmtree(self.meeting, ignore_errors=True)
        make_private_directory(self.meeting.parent)
        self.meeting.mkdir(mode=DIRECTORY_MODE)
        with replacing(self.meeting / _MARKER) as file:
            file.write(self._session.token.encode())
        if self._session.place is not None:
            self._stage = PieceStage(self._session.place)
            self._stage.open(_MARKER, self._session.token.encode())

    async def _close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._client is not None:
            with suppress(Exception):  # of a scheduler that is gone: it was said
                async with asyncio.timeout(CLOSE_S):
                    await self._client.close(timeout=CLOSE_S)
        await asyncio.to_thread(shutil.rmtree, self.meeting, ignore_errors=True)
        if self._stage is not None:
            if self._session.is_staged:
                log.info("staged", **asdict(self._stage.moved))
            with suppress(StorageError):  # the next run removes it
                await asyncio.to_thread(self._stage.close)


def _install() -> str:
    ours = versions(_EVERYWHERE)
    return (
        f"everybody needs what the coordinator has: Python {ours['Python']}, dask and distributed "
        f"{ours['distributed']}, and this program {ours[PROGRAM]} with the same packages"
    )


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
