"""A real PgBouncer before a test's PostgreSQL server, with whatever settings it is to have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from tests.postgres import DATABASE, ROLE

if TYPE_CHECKING:
    from tests.postgres import Server


class Pooler:
    """One PgBouncer; as it comes, it hands every transaction to another backend. Used with `with`."""

    port = 6432

    def __init__(self, server: Server, **settings: object) -> None:
        found = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        if not Path(found).exists():
            pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")
        self.program = found
        self.server = server
        self.folder = Path(tempfile.mkdtemp(prefix="pooler-"))
        (self.folder / "users").write_text(f'"{ROLE}" ""\n')
        self.settings: dict[str, object] = {
            "pool_mode": "transaction",
            "listen_addr": "",
            "listen_port": self.port,
            "unix_socket_dir": self.folder,
            "auth_type": "trust",
            "auth_file": self.folder / "users",
            "admin_users": ROLE,
            "server_round_robin": 1,
            "min_pool_size": 3,
            "logfile": self.folder / "log",
        } | settings
        self.process: subprocess.Popen[bytes] | None = None
        self.write()

    def write(self, **settings: object) -> None:
        """Write the settings, with some that change; a running pooler takes them with RELOAD."""
        self.settings |= settings
        lines = [f"{name} = {value}\n" for name, value in self.settings.items()]
        target = f"host={self.server.folder} port={self.server.port} dbname={DATABASE}"
        (self.folder / "ini").write_text(f"[databases]\n{DATABASE} = {target}\n[pgbouncer]\n{''.join(lines)}")
        if who := self.server._as_whom:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, who["user"], who["group"])

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        command = [self.program, "-q", str(self.folder / "ini")]
        process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the pooler
            command, cwd="/", stderr=subprocess.DEVNULL, **self.server._as_whom
        )
        self.process = process
        until = time.monotonic() + 20
        while not self.socket.exists():
            assert time.monotonic() < until, (self.folder / "log").read_text()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGTERM at once, SIGINT once every transaction is over."""
        if self.process is not None:
            self.process.send_signal(kind)
            self.process.wait(30)
            self.process = None
            self.socket.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)

    @property
    def socket(self) -> Path:
        return self.folder / f".s.PGSQL.{self.port}"

    def url(self, database: str = DATABASE, role: str = ROLE) -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}&port={self.port}"

    def tell(self, command: str) -> list[tuple[object, ...]]:
        """Say something on its console; return the rows of the answer."""
        import psycopg  # noqa: PLC0415 - its extra may be missing

        with psycopg.connect(self.url("pgbouncer"), autocommit=True, prepare_threshold=None) as console:
            cursor = console.execute(command.encode())
            return cursor.fetchall() if cursor.description else []
