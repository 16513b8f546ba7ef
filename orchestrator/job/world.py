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
    """`clock` is the wall clock in seconds since the epoch; `stdin` is read for the input "-"."""

    clock: Callable[[], float]
    random: random.Random
    environ: Mapping[str, str]
    stdin: BinaryIO | None
    stderr: TextIO


def real_world() -> World:
    """Return the world of a process."""
    stdin = sys.stdin.buffer if sys.stdin is not None else None
    return World(time.time, random.Random(), os.environ, stdin, sys.stderr)  # noqa: S311 - jitter is no secret
