"""Runs tests of a copy of the package, each call in a process of its own.

Most of what a short test takes is imports. So one process imports the libraries, nothing of ours, and forks for each
call: that halves the time of the whole.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TIME_LIMIT_S: Final = 180
"""Of one test; a call has two seconds more for each of its arguments."""
ELSEWHERE: Final = 99
"""The exit code when the package that is imported is not the copy's."""

UNNEEDED: Final = ("cacheprovider", "xdist", "cov", "hypothesispytest")
"""Plugins that cost more than most of these tests."""

_SERVER: Final = f"""
import json, os, signal, sys, traceback
import pytest
import aiohttp.web, hypothesis.strategies, numpy, openpyxl, structlog, trustme

def run(copy, said, arguments):
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = copy
    sys.path.insert(0, copy)
    import orchestrator
    return pytest.main(arguments) if orchestrator.__file__.startswith(copy + os.sep) else {ELSEWHERE}

for line in sys.stdin:
    child = os.fork()
    if not child:
        code = {ELSEWHERE}
        try:
            code = int(run(*json.loads(line)))
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(code)
    # Not every safeguard leaves a test an end, nor a loop that lets a time limit through.
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm({TIME_LIMIT_S} + 2 * len(json.loads(line)[2]))
    ended = os.waitpid(child, 0)[1]
    signal.alarm(0)
    print(os.waitstatus_to_exitcode(ended), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: pytest's exit code, negative for a signal, and what it printed."""

    code: int
    said: str


class Runner:
    """A context manager; `run` is one call."""

    def __enter__(self) -> Self:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV", "PYTHON"))}
        self._server = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-P", "-c", _SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=kept | {"COLUMNS": "300", "OPENBLAS_NUM_THREADS": "1"},
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def run(self, copy: Path, nodes: Iterable[str]) -> Ended:
        """Run tests of `copy`, an absolute path without links, and none of an installed package."""
        said, scratch = (copy.with_name(f"{copy.name}-{what}") for what in ("said", "scratch"))
        arguments = ["-q", "-x", f"--timeout={TIME_LIMIT_S}", f"--basetemp={scratch}"]
        arguments += [f"-pno:{plugin}" for plugin in UNNEEDED]
        arguments += ["-Wignore::pytest.PytestAssertRewriteWarning"]  # of libraries that are imported already
        arguments += [f"tests/{node}" for node in nodes]
        if self._server.stdin is None or self._server.stdout is None:
            raise AssertionError("both are pipes")
        self._server.stdin.write(json.dumps([str(copy), str(said), arguments]) + "\n")
        self._server.stdin.flush()
        return Ended(int(self._server.stdout.readline()), said.read_text())
