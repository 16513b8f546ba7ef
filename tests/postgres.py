"""A real PostgreSQL server on a unix socket in a folder of its own, for tests."""

from __future__ import annotations

import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

DATABASE = "jobs"
ROLE = "orchestrator"
"""A role that may connect, and make a schema in this one database."""


def binaries() -> Path | None:
    """Return the folder of the server's programs: Debian has it beside the path, other systems in it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


class Server:
    """One cluster; `port` names its socket."""

    port = 5432

    def __init__(self, folder: Path | None = None, *, settings: tuple[str, ...] = ()) -> None:
        programs = binaries()
        if programs is None:
            pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
        pytest.importorskip("psycopg", reason="psycopg is not installed (pip install -e '.[postgres]')")
        self.programs = programs
        self.settings = settings
        # Not below the runner's own folders: those of root let nobody else in, and the server refuses to be root.
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-")) if folder is None else folder
        self.data = self.folder / "data"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def _as_whom(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        names = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = names.get("postgres") or names["nobody"]
        return {"user": entry.pw_uid, "group": entry.pw_gid}

    def command(self, program: str, *arguments: str | Path) -> None:
        """Run one of the server's programs as the server's user."""
        subprocess.run(  # noqa: S603 - a program of the server's
            [self.programs / program, *arguments], check=True, capture_output=True, cwd="/", **self._as_whom
        )

    def make(self) -> Self:
        """Make the cluster, its database, and the role of the program."""
        if who := self._as_whom:
            os.chown(self.folder, who["user"], who["group"])
        self.command(
            "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
        )
        self.start()
        self.sql(f"CREATE ROLE {ROLE} LOGIN", database="postgres")
        self.sql(f"CREATE DATABASE {DATABASE}", database="postgres")
        self.sql(f"REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT CREATE ON DATABASE {DATABASE} TO {ROLE}")
        return self

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        options = {
            "unix_socket_directories": str(self.folder),
            "listen_addresses": "",
            "port": str(self.port),
            "fsync": "off",  # its user kills processes, not machines
            "max_connections": "40",
            "shared_buffers": "16MB",
            "logging_collector": "off",
        } | dict(setting.split("=", 1) for setting in self.settings)
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - a program of the server's
                [self.programs / "postgres", "-D", self.data, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as_whom,
            )
        for _ in range(200):
            ready = subprocess.run(  # noqa: S603 - a program of the server's
                [self.programs / "pg_isready", "-h", self.folder, "-p", str(self.port), "-t", "5"],
                check=False,
                capture_output=True,
            )
            if ready.returncode == 0:
                return
            if self.process.poll() is not None:
                raise AssertionError((self.folder / "log").read_text())
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("the server does not come up")

    def stop(self, kind: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT ends its connections first, SIGQUIT ends it as a crash would."""
        if self.process is not None:
            self.process.send_signal(kind)
            self.process.wait(30)
            self.process = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    def url(self, role: str = ROLE, database: str = DATABASE) -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"

    def sql(self, statements: str, *, role: str = "postgres", database: str = DATABASE) -> list[tuple[object, ...]]:
        """Run statements, and return the rows of the last one that has any."""
        import psycopg  # noqa: PLC0415 - its extra may be missing

        with psycopg.connect(self.url(role, database), autocommit=True) as connection:
            cursor = connection.execute(statements)
            return cursor.fetchall() if cursor.description else []


class Proxy:
    """Stands between a client and a server's socket: it can be slow, cut what passes it, and let nobody in.

    `cut_at` is the number of the message of a client, counted from 1 on, before which its connection is broken off;
    with `answer_lost` the server still gets that one and what follows it, and only what it says is lost. What
    `swallows` says yes to, for a connection by its number from 0 on, is lost without a word, as behind a router that
    has forgotten the connection: neither end hears of the other one's end.
    """

    def __init__(self, target: Path, *, delay_s: float = 0.0) -> None:
        self.target = target
        self.delay_s = delay_s
        self.cut_at: int | None = None
        self.answer_lost = False
        self.closed = False
        self.swallows: Callable[[int, bool, bytes], bool] = lambda _number, _of_client, _data: False
        self.messages = 0
        self._muted = False
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, role: str = ROLE, database: str = DATABASE) -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}?sslmode=disable&gssencmode=disable"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.closed:
                    raise ConnectionRefusedError
                server.connect(str(self.target))
            except OSError:
                client.close()
                server.close()
                continue
            number = len(self._pairs)
            self._pairs.append((client, server))
            for source, sink, of_client in ((client, server, True), (server, client, False)):
                passed: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                take = partial(self._take, source, passed, of_client, number)
                for work in (take, partial(self._give, sink, source, passed)):
                    thread = threading.Thread(target=work, daemon=True)
                    thread.start()
                    self._threads.append(thread)

    def _take(
        self,
        source: socket.socket,
        passed: queue.SimpleQueue[tuple[float, bytes]],
        of_client: bool,  # noqa: FBT001
        number: int,
    ) -> None:
        try:
            self._pass_on(source, passed, of_client=of_client, number=number)
        finally:
            passed.put((0.0, b""))

    def _pass_on(
        self, source: socket.socket, passed: queue.SimpleQueue[tuple[float, bytes]], *, of_client: bool, number: int
    ) -> None:
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if data and of_client:
                with self._lock:
                    self.messages += 1
                    is_cut = self.cut_at is not None and self.messages >= self.cut_at
                    if is_cut:
                        self.cut_at = None
                if is_cut and not self.answer_lost:
                    self.cut()
                    return
                if is_cut:
                    self._muted = True
                    timer = threading.Timer(0.5, self.cut)
                    self._threads.append(timer)
                    timer.start()
            if self.swallows(number, of_client, data):
                if not data:
                    self._closing.wait()
                    return
                continue
            if data and self._muted and not of_client:
                continue
            if not data:
                return
            passed.put((time.monotonic() + self.delay_s / 2, data))

    @staticmethod
    def _give(sink: socket.socket, source: socket.socket, passed: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            due, data = passed.get()
            wait_s = due - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            try:
                if not data:
                    raise OSError
                sink.sendall(data)
            except OSError:
                for one in (sink, source):
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                return

    def cut(self) -> None:
        """Break off every connection there is, and none that is made because of it."""
        self._muted = False
        for pair in tuple(self._pairs):
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for pair in self._pairs:
            for one in pair:
                one.close()
