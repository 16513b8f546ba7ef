"""An event loop whose time is virtual and whose threads are the loop itself: one seed, one course of events.

Sockets are real. Time stands still while there is anything to do, and jumps to the next timer when there is not. What
the program gives to a thread runs on the loop, in its turn, after a delay that the simulation draws: so a commit still
takes time, and a run can be killed before it, between it and its caller, or after it.
"""

from __future__ import annotations

import asyncio
import heapq
import io
import math
import os
import selectors
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

START_S = 1_000.0
APART_S = 1e-4
RESOLUTION_S = 1e-9
SETTLE = 3
"""How often an idle look at the sockets is repeated before time moves: the kernel may deliver a moment later."""


class DeadlockError(Exception):
    """The program waits for what will never come, or turns round and round."""


@dataclass
class Life:
    """Everything that one run of the program started: a process, so to speak. Its tasks in the order of their birth.

    `ports` are those of this machine that it has called from.
    """

    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    files: list[io.IOBase] = field(default_factory=list)
    listening: list[socket.socket] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    killed: bool = False
    frozen: bool = False

    def alive(self) -> list[asyncio.Task[Any]]:
        self.tasks = [task for task in self.tasks if not task.done()]
        return list(self.tasks)


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)

Delay = Callable[[], float]


class _Selector(selectors.DefaultSelector):
    """The system's selector, told by the loop what to do when nothing is ready."""

    idle: Callable[[float | None], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._ready()
        if ready or timeout == 0:
            return ready
        for _ in range(SETTLE):
            os.sched_yield()
            if ready := self._ready():
                return ready
        self.idle(timeout)
        return []

    def _ready(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready, save for what only a frozen process could take."""
        return [found for found in super().select(0) if not any(map(_is_frozen, found[0].data))]


class VirtualLoop(asyncio.SelectorEventLoop):
    """`delay` draws how long a piece of work in a thread takes, in seconds; the half before it, the half after."""

    def __init__(self, delay: Delay = lambda: 0.0) -> None:
        selector = _Selector()
        selector.idle = self._idle
        self._virtual_s = START_S
        self._delay = delay
        self._free_at: dict[Executor, float] = {}
        self._signals: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        self.complaints: list[str] = []
        self.look_up: Callable[[str], Awaitable[str]] | None = None
        self._connects_s = START_S
        self.rounds, self.most_rounds = 0, math.inf
        self._alarm: tuple[float, Callable[[], object]] = (math.inf, lambda: None)
        self._frozen: dict[int, tuple[Life, list[asyncio.Handle]]] = {}
        super().__init__(selector)
        self._clock_resolution = RESOLUTION_S
        self.set_task_factory(_born)  # type: ignore[arg-type]  # a task is a future of the right kind
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        return self._virtual_s

    def _idle(self, timeout: float | None) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # of the base class
        if timeout is None or not scheduled:
            raise DeadlockError("nothing is scheduled, and nothing can arrive any more")
        self._virtual_s = max(self._virtual_s, scheduled[0].when())
        # Due is what is less than this away, and after 194 days a nanosecond is less than a float can tell.
        self._clock_resolution = max(RESOLUTION_S, math.ulp(self._virtual_s))

    def _run_once(self) -> None:
        self.rounds += 1
        if self.rounds > self.most_rounds:
            self.most_rounds = math.inf
            raise DeadlockError(f"still busy after {self.rounds} rounds, at {self._virtual_s - START_S:.3f} s")
        if self.rounds >= self._alarm[0]:
            _, ring = self._alarm
            self._alarm = (math.inf, ring)
            ring()
        if self._frozen:
            self._hold_back()
        super()._run_once()  # type: ignore[misc]  # the one place through which every step goes

    def pass_time(self, until: float) -> None:
        """Let time go on while the loop stands still."""
        self._virtual_s = max(self._virtual_s, until)

    def alarm(self, rounds: int, ring: Callable[[], object]) -> None:
        """Call `ring` between two steps, `rounds` rounds of the loop from now."""
        self._alarm = (self.rounds + rounds, ring)

    # --- frozen processes --------------------------------------------------------------------------------------------

    def freeze(self, life: Life) -> None:
        """Let a process do nothing from the next round on, while the world and its clocks go on."""
        life.frozen = True
        self._frozen[id(life)] = life, []

    def thaw(self, life: Life) -> None:
        """Let it go on where it was; all that it had waited for has come meanwhile."""
        life.frozen = False
        _, held = self._frozen.pop(id(life))
        for handle in held:
            if isinstance(handle, asyncio.TimerHandle):
                heapq.heappush(self._scheduled, handle)  # type: ignore[attr-defined]  # of the base class
            else:
                self._ready.append(handle)  # type: ignore[attr-defined]  # as above

    def let_threads_run(self, life: Life) -> None:
        """Let what a frozen process has on its threads be done now, amid a step of another one."""
        for handle in self.on_threads(life):
            self._frozen[id(life)][1].remove(handle)
            handle._run()

    def on_threads(self, life: Life) -> list[asyncio.Handle]:
        """Return what a frozen process has on its threads."""
        _, held = self._frozen.get(id(life), (life, []))
        return [handle for handle in held if handle._callback == self._work]  # type: ignore[attr-defined]  # an attribute of every handle

    def _hold_back(self) -> None:
        """Take what belongs to frozen processes out of what is to be done, now and later."""
        due: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]  # of the base class
        later: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # as above
        if held := [handle for handle in (*due, *later) if _is_frozen(handle)]:
            for handle in held:
                life = handle._context.get(LIFE)  # type: ignore[attr-defined]  # an attribute of every handle
                self._frozen[id(life)][1].append(handle)
            rest = [handle for handle in due if not _is_frozen(handle)]
            due.clear()
            due.extend(rest)
            later[:] = [handle for handle in later if not _is_frozen(handle)]
            heapq.heapify(later)

    def _complain(self, _loop: object, context: Mapping[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context['message']}: {error!r}")

    # --- threads -----------------------------------------------------------------------------------------------------

    def run_in_executor(  # type: ignore[override]  # the stub's variadic types say no more than this
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Run `func` on the loop, later. Executors of one thread keep their order, others may overtake."""
        future: asyncio.Future[Any] = self.create_future()
        half_s = max(self._delay() / 2, 1e-6)
        begins = self._virtual_s + half_s
        if isinstance(executor, ThreadPoolExecutor) and executor._max_workers == 1:
            begins = max(begins, self._free_at.get(executor, 0.0) + 1e-6)
            self._free_at[executor] = begins + half_s
        self.call_at(begins, self._work, executor, future, half_s, partial(func, *args))
        return future

    def _work(self, executor: Any, future: asyncio.Future[Any], half_s: float, func: Callable[[], Any]) -> None:
        if future.cancelled():
            return
        try:
            result = func()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            if not getattr(executor, "_shutdown", False):  # else its process was killed, and its files are closed
                self.call_later(half_s, _settle, future, None, error)
        else:
            self.call_later(half_s, _settle, future, result, None)

    # --- names -------------------------------------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        if self.look_up is not None:
            host = await self.look_up(host)
        return await super().getaddrinfo(host, port, **options)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect one after the other where names are looked up: of many handshakes, any could end first."""
        if self.look_up is not None:
            self._connects_s = max(self._connects_s, self._virtual_s) + APART_S
            await asyncio.sleep(self._connects_s - self._virtual_s)
        await super().sock_connect(sock, address)
        if (life := LIFE.get()) is not None:
            life.ports.add(sock.getsockname()[1])

    # --- servers -----------------------------------------------------------------------------------------------------

    def _start_serving(self, protocol_factory: Any, sock: socket.socket, *args: Any, **options: Any) -> None:
        life = LIFE.get()
        if life is not None:
            life.listening.append(sock)
        super()._start_serving(protocol_factory, sock, *args, **options)  # type: ignore[misc]  # of the base class

    def stop_listening(self, life: Life) -> None:
        """Close what a process that is gone has listened to; cut off while it starts, a server is nobody's."""
        for sock in life.listening:
            if sock.fileno() >= 0:
                self._stop_serving(sock)  # type: ignore[attr-defined]  # of the base class

    # --- signals -----------------------------------------------------------------------------------------------------

    def add_signal_handler(  # type: ignore[override]  # as above
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        self._signals[sig] = (callback, args)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def deliver(self, sig: int) -> bool:
        """Send a signal to the run that handles it; False when none does."""
        if sig not in self._signals:
            return False
        callback, args = self._signals[sig]
        callback(*args)
        return True


def _is_frozen(handle: asyncio.Handle | None) -> bool:
    """Whether a callback belongs to a process that is frozen."""
    if handle is None:
        return False
    life: Life | None = handle._context.get(LIFE)  # type: ignore[attr-defined]  # an attribute of every handle
    return life is not None and life.frozen


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    life = LIFE.get()
    if life is not None and isinstance(result, io.IOBase):
        life.files.append(result)  # when the run is killed, somebody has to close it, as the system does
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _born(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], context: Context | None = None
) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=loop, context=context)
    life = LIFE.get()
    if life is not None:
        life.tasks.append(task)
    return task
