"""Pieces for workers that are elsewhere: small, and imported there with next to nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from orchestrator import files
from orchestrator.pieces import PieceFiles, on_files


@on_files(lambda *_: PieceFiles())
def add(a: int, b: int) -> int:
    return a + b


@on_files(lambda _s, path, *_: PieceFiles(writes=(path,)))
def nap(nap_s: float, path: Path) -> int:
    """Take a while, then write a file that says in which process."""
    time.sleep(nap_s)
    with files.replacing(path) as file:
        file.write(b"done")
    return os.getpid()


@on_files(lambda folder: PieceFiles(writes=(folder,)))
def linger(folder: Path) -> None:
    """Say that this process is there, and never end."""
    (folder / str(os.getpid())).touch()
    time.sleep(600)


@on_files(PieceFiles)
def abort() -> None:
    os.abort()


@on_files(PieceFiles)
def hoard() -> int:
    return len(bytearray(1 << 30))


@on_files(lambda _word: PieceFiles())
def spin(word: str) -> None:
    while word:
        pass


@on_files(lambda _word: PieceFiles())
def refuse(word: str) -> None:
    raise ValueError(f"can't read {word}")


def parent() -> int:
    """Do what says nothing of files: return the process that this one was started by."""
    return os.getppid()
