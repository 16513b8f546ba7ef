"""A small job for the embedded vendor, and the program started on it as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orchestrator

LIST = "+41798284651\n+41798284652\n+41798284651\n+393331234567\nno number\n\n+447911123456\n"
CONFIG = """\
[job]
inputs = ["numbers.txt"]
chunk_size = 1

[vendors.main]
base_url = "sandbox"
requests_per_second = inf

[platforms.instagram]
requests_per_second = inf

[polling]
min_interval_s = 0.01

[workers]
count = 1
"""

Child = subprocess.Popen[str]


def write_small_job(folder: Path) -> None:
    (folder / "config.toml").write_text(CONFIG)
    (folder / "numbers.txt").write_text(LIST)


def start(directory: Path, *arguments: str, environ: dict[str, str] | None = None, **options: Any) -> Child:
    environ = os.environ | {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])} | (environ or {})
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "orchestrator", *arguments],
        cwd=directory,
        text=True,
        env=environ,
        **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
    )


def run(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    with start(directory, *arguments, environ=environ) as child:
        out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, child.returncode, out, err)


def in_a_shell(directory: Path, line: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `$ORCHESTRATOR` is the program."""
    environ = os.environ | {"PYTHONPATH": str(Path(orchestrator.__file__).parents[1])} | environ
    environ["ORCHESTRATOR"] = f"{sys.executable} -m orchestrator"
    command = ["/bin/sh", "-c", line]
    return subprocess.run(command, cwd=directory, env=environ, text=True, capture_output=True, check=False)  # noqa: S603 - our own
