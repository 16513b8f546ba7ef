"""Pieces of the work, and the inside of a worker process: it takes one after the other, and answers each.

A piece is a module-level function from files to files. What it reads and writes, it says by `on_files`; one that says
nothing needs more than files (the ledger, a file that several write to), and is done beside the coordinator.

The rules of the process, the other end of which is `engines.processes`:

- It ends when its parent is gone, also when that was killed: the line between them is the only thing both hold.
- A piece may take so much *more* than its process has when it begins. What a process has is not ours to foresee:
  libraries keep a stack a thread and a thread a core, and the size of a stack is the machine's setting.
- What a piece may take is not always there: the process inherits limits. A piece that fails for want of what it was
  promised is the machine's failure (`StorageError`), never the file's.
- It imports little: each worker process waits for it.
"""

from __future__ import annotations

import errno
import os
import pickle
import resource
import select
import signal
import socket
import threading
import traceback
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from orchestrator import files
from orchestrator.errors import PieceDiedError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

NICE: Final = 5
READY: Final = b"ready"
GO: Final = b""
"""Instead of a call: end in good order."""
NARROW: Final = b"narrow "
"""Before the answer to a call, with a limit behind it: this leaves the process less room than was promised."""

SPENT: Final = b"spent"
"""Before an answer as well: memory ran out, amid an import perhaps, so this process does no further piece."""

OUT_OF_TIME: Final = signal.SIGPROF
STOOD_STILL: Final = signal.SIGALRM
"""Their default action ends the process, in whatever foreign code that is stuck; no exception could."""

_STATM = Path("/proc/self/statm")
_TOTAL, _DATA = 0, 5
"""Fields of /proc/self/statm, in pages: proc_pid_statm(5)."""

_INHERITED = ((resource.RLIMIT_DATA, _DATA, "ulimit -d"), (resource.RLIMIT_AS, _TOTAL, "ulimit -v"))
"""The limits on memory that a process gets from outside, what counts against each, and how a shell calls it."""

_NOT_MAPPED = ("failed to map", "cannot map", "annot allocate")
"""What the loader of shared objects says where memory is short: elf/dl-load.c of glibc."""

_SIZE_BYTES = 8
_READER_STACK_BYTES = 1 << 20
_KILL_FIRST = "500"


@dataclass(frozen=True, slots=True)
class PieceLimits:
    """What one piece may take: seconds of processor time, and memory, where less than any piece may.

    Processor time and not the clock's: a machine that was suspended, or a slow disk, is no piece's fault.
    """

    cpu_s: float
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One piece to do. `work` is pickled by itself: what it needs is imported while the limits are known already."""

    name: str
    work: bytes
    cpu_s: float | None
    memory_bytes: int
    attempt: str


@dataclass(frozen=True, slots=True)
class PieceFiles:
    """What a piece reads and writes: whole paths, of files, or of folders with all that is in them.

    A name that ends in `*` stands for all that begin like it; a file that is read may turn out not to be there. A file
    is replaced and never written into. What is `handed_on` is read by other pieces only.
    """

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    handed_on: bool = False


_FILES: Final[dict[object, Callable[..., PieceFiles]]] = {}


def on_files(files_of: Callable[..., PieceFiles]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Say of a piece what it reads and writes, given its arguments: whoever has these files may do it then."""

    def say(piece: Callable[P, T]) -> Callable[P, T]:
        _FILES[piece] = files_of
        return piece

    return say


@dataclass(frozen=True, slots=True)
class Order:
    """A piece that is to be done, with what it may take; for `attempt`, see `files`."""

    piece: Callable[..., object]
    args: tuple[object, ...]
    cpu_s: float | None
    memory_bytes: int
    attempt: str = ""

    @property
    def name(self) -> str:
        return str(getattr(self.piece, "__name__", "a piece"))

    def files(self) -> PieceFiles | None:
        """Return what it reads and writes; None where that is more than files."""
        piece, named = (self.piece.func, self.piece.keywords) if isinstance(self.piece, partial) else (self.piece, {})
        files_of = _FILES.get(piece)
        return None if files_of is None else files_of(*self.args, **named)

    def packed(self) -> bytes:
        """Return it as the call that a worker process takes."""
        return pickle.dumps(
            Call(self.name, pickle.dumps((self.piece, self.args)), self.cpu_s, self.memory_bytes, self.attempt)
        )


class MessageLine:
    """One end of the line between the two processes: whole messages. Raises `OSError`, or `EOFError` at its end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, message: bytes) -> None:
        self._end.sendall(len(message).to_bytes(_SIZE_BYTES) + message)

    def comes(self, within_s: float) -> bool:
        """Wait for the next message, or the end, and tell whether it has come by then."""
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def receive(self) -> bytes:
        """Wait for the next message."""
        return self._exactly(int.from_bytes(self._exactly(_SIZE_BYTES)))

    def close(self) -> None:
        self._end.close()

    def _exactly(self, size_bytes: int) -> bytes:
        content = bytearray(size_bytes)
        left = memoryview(content)
        while left:  # not buffered: what lies in a buffer, `comes` would not see
            if not (came := self._end.recv_into(left)):
                raise EOFError
            left = left[came:]
        return bytes(content)


def serve(descriptor: int) -> None:
    """Do what comes over the line until its other end says that it is enough."""
    line = MessageLine(socket.socket(fileno=descriptor))
    os.nice(NICE)
    for ending in (OUT_OF_TIME, STOOD_STILL):  # whoever started the program may have ignored it
        signal.signal(ending, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (OUT_OF_TIME, STOOD_STILL))
    with suppress(OSError):  # where memory is short, the kernel should end a piece, not the run
        Path("/proc/self/oom_score_adj").write_text(_KILL_FIRST, "ascii")
    calls: SimpleQueue[bytes] = SimpleQueue()
    threading.stack_size(_READER_STACK_BYTES)
    threading.Thread(target=_receive, args=(line, calls), daemon=True).start()
    threading.stack_size(0)
    line.send(READY)
    while (call := calls.get()) != GO:
        answer(pickle.loads(call), line.send)  # noqa: S301 - from our own parent


def _receive(line: MessageLine, calls: SimpleQueue[bytes]) -> None:
    """Take what comes, also while a piece is being done: that is how the end of the parent is noticed in time."""
    try:
        while (call := line.receive()) != GO:
            calls.put(call)
    except (EOFError, OSError):
        os._exit(1)
    calls.put(GO)


def answer(call: Call, send: Callable[[bytes], None]) -> None:
    """Do one piece, and send what came of it: its value, or else the exception and the way to it as text."""
    narrow = _narrow(call.memory_bytes)
    if narrow:
        send(NARROW + narrow.encode())
    try:
        files.attempt = call.attempt
        piece, args = pickle.loads(call.work)  # noqa: S301 - from our own parent
        with _limited(call):
            value = piece(*args)
        answered = pickle.dumps((value, None, ""))
    except Exception as error:  # noqa: BLE001 - whatever it is belongs to the one who asked
        if (lacks_memory := _lacks_memory(error)) or isinstance(error, SystemError):
            send(SPENT)
            died = PieceDiedError(f"{call.name} breaks the code that reads it")
            answered = pickle.dumps((None, out_of_memory(call.name, narrow) if lacks_memory else died, ""))
        else:
            if isinstance(error, ImportError):  # of a library that failed halfway, an earlier piece's perhaps
                send(SPENT)
            answered = pickle.dumps((None, _portable(error), "".join(traceback.format_exception(error))))
    send(answered)


def out_of_memory(name: str, narrow: str) -> PieceDiedError | StorageError:
    """Say whose fault it is that a piece did not get the memory that it asked for."""
    if not narrow:
        return PieceDiedError(f"{name} needs more memory than it may have")
    return StorageError(
        f"no memory for {name}: the limit on the memory of a process ({narrow}) leaves less than it may need; "
        "raise that limit and run the same command again"
    )


def _lacks_memory(error: Exception) -> bool:
    """Whether this is a lack of memory, or what foreign code may have made of one."""
    if isinstance(error, SystemError):  # what else is wrong with it lies with what it read
        hidden = isinstance(error.__cause__ or error.__context__, MemoryError)
        return hidden or "without setting an exception" in str(error)
    if isinstance(error, ImportError):  # of a library that is imported late
        return any(word in str(error) + str(error.__cause__ or error.__context__) for word in _NOT_MAPPED)
    # The second is of a module that is imported late, again.
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


def _portable(error: Exception) -> Exception:
    """Return the exception, or what can be said of one that can't travel: foreign classes fail in their own ways."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    except Exception:  # noqa: BLE001 - see above
        return RuntimeError(f"{type(error).__name__}, which can't be sent between processes")
    return error


def _used() -> dict[int, int]:
    """Return the bytes that count against each limit on memory by now; nothing where the system does not say."""
    try:
        pages = _STATM.read_text("ascii").split()
    except OSError:
        return {}
    return {kind: int(pages[field]) * resource.getpagesize() for kind, field, _ in _INHERITED}


def _narrow(memory_bytes: int) -> str:
    """Return the limit because of which this process has less room for a piece than promised; "" if none does."""
    used = _used()
    for kind, _, name in _INHERITED:
        limit = resource.getrlimit(kind)[kind == resource.RLIMIT_DATA]  # that on data is raised as far as it may be
        if limit != resource.RLIM_INFINITY and limit < used.get(kind, 0) + memory_bytes:
            return f"{name} {limit >> 10}"
    return ""


@contextmanager
def _limited(call: Call) -> Iterator[None]:
    """Keep this process within the limits of one piece.

    Without /proc there is no limit on memory: such systems (macOS) would not keep it either.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if used := _used():
        wish, hard = used[resource.RLIMIT_DATA] + call.memory_bytes, before[1]
        resource.setrlimit(resource.RLIMIT_DATA, (wish if hard == resource.RLIM_INFINITY else min(wish, hard), hard))
    signal.setitimer(signal.ITIMER_PROF, call.cpu_s or 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_DATA, before)
