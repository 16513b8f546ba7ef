"""A job that is right, a vendor that remembers, and what was said when something was made wrong."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Self

from orchestrator import sandbox
from orchestrator.cli import main

KEY = "k-0123456789abcdef"
CONFIG = """\
[job]
inputs = ["numbers.txt"]
directory = "out"

[vendors.main]
base_url = "VENDOR"
requests_per_second = inf

[platforms.instagram]
requests_per_second = inf

[polling]
min_interval_s = 0.01
max_interval_s = 0.05

[backoff]
base_delay_s = 0.01
max_delay_s = 0.02
give_up_after_s = 0.2

[budget]
max_cost = 1.0

[output]
formats = ["csv"]

[workers]
count = 1
"""
LIST = "+41798284651\n+41798284652\n+393331234567\n"

_TOKEN = re.compile(r"--after [0-9]+\.[0-9]+")
_PORT = re.compile(r"(?<=:)\d{4,5}\b")


async def end_the_rest() -> None:
    """End what is left on a loop that is about to be closed: a server stops waiting for handlers, and leaves them."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


class Vendor:
    """The embedded vendor on a thread of its own, as a real one would stand elsewhere."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.server = self._make()

    def _make(self) -> sandbox.Sandbox:
        return sandbox.Sandbox(self.directory, pace=1e9, **self._options)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self.server.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self.server.stop())
        self._wait(end_the_rest())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def become(self, **options: Any) -> None:
        """Start anew, at the same address, as a vendor that was told something else."""
        port = int(self.server.base_url.rpartition(":")[2])
        self._wait(self.server.stop())
        self._options = options | {"port": port}
        self.server = self._make()
        self._wait(self.server.start())

    def _wait(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def charged(self) -> list[sandbox.TaskRecord]:
        return sandbox.read_tasks(self.directory)

    def submits(self) -> int:
        """Count the requests that could have made a task."""
        return sum(request["kind"] in ("submit", "other") for request in sandbox.read_requests(self.directory))


@dataclass
class Job:
    """A job in a folder of its own, which is also the current one. `undo` is run at the end, last thing first."""

    folder: Path
    vendor: Vendor
    undo: list[Callable[[], object]] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.folder / "out"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def list(self) -> Path:
        return self.folder / "numbers.txt"

    def begin(self) -> None:
        """Write what a careful user would have written."""
        self.config.write_text(CONFIG.replace("VENDOR", self.vendor.server.base_url))
        self.list.write_text(LIST)

    def edit(self, old: str, new: str) -> None:
        """Replace text in the configuration."""
        text = self.config.read_text()
        assert old in text, old
        self.config.write_text(text.replace(old, new))

    def add(self, text: str) -> None:
        """Write further lines at the end of the configuration."""
        self.config.write_text(self.config.read_text() + text)

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a file beside the configuration."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def serve(self, page: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None) -> int:
        """Have a web server until the end, and return its port."""
        server = HTTPServer(("127.0.0.1", 0), page)
        if tls is not None:
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a refused handshake is the point
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        self.undo += [thread.join, server.server_close, server.shutdown]
        return int(server.server_address[1])

    def call(self, *command: str) -> tuple[int, str]:
        """Type a command; return its exit code and its messages, the same on every machine."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(command)
        said = out.getvalue() + err.getvalue()
        assert "Traceback" not in said, said
        assert KEY not in said
        lines = err.getvalue().splitlines()
        first = next((i for i, line in enumerate(lines) if line.startswith(("orchestrator: ", "Error: "))), len(lines))
        findings = out.getvalue().partition("\nfindings\n")[2].splitlines()
        return code, self._same_everywhere("\n".join([*findings, *lines[first:]]))

    def _same_everywhere(self, text: str) -> str:
        text = text.replace(str(self.folder), "FOLDER").replace(str(self.folder.parent / "disk"), "DISK")
        text = _TOKEN.sub("--after TOKEN", text)  # how many commits there were is a matter of time
        return _PORT.sub("PORT", text.replace(self.vendor.server.base_url, "VENDOR"))


@dataclass(frozen=True)
class Mistake:
    """One mistake: how it is made, the command that meets it, and the exit code; `mend` is the way out, taken.

    `sent` says that a submit reaches the vendor, which refuses it; nothing is ever charged.
    """

    name: str
    code: int
    make: Callable[[Job], object]
    command: tuple[str, ...] = ("run",)
    mend: Callable[[Job], object] | None = None
    sent: bool = False
    needs: str = ""

    def __str__(self) -> str:
        return self.name
