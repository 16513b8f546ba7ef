"""What a job gets from outside: time, chance, environment and streams. Tests hand in their own."""

from __future__ import annotations

import os
import random
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class World:
    """`clock` is the wall clock in seconds since the epoch; `stdin` is read for the input "-".

    Without `stderr` nothing is said to people. A process that it does not own keeps its signals and its log handlers.
    """

    clock: Callable[[], float]
    random: random.Random
    environ: Mapping[str, str]
    stdin: BinaryIO | None
    stderr: TextIO | None
    owns_process: bool = True


def real_world() -> World:
    stdin = sys.stdin.buffer if sys.stdin is not None else None
    return World(time.time, random.Random(), os.environ, stdin, sys.stderr)  # noqa: S311 - jitter is no secret


def of_another_program() -> World:
    """Return the world of a call in a process that belongs to its caller, streams and signals included."""
    return World(time.time, random.Random(), os.environ, None, None, owns_process=False)  # noqa: S311 - see above
