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


@on_files(lambda source, target: PieceFiles((source,), (source, target)))
def turn(source: Path, target: Path) -> Path:
    """Write a file backwards, and remove it."""
    with files.disk_errors(source):
        content = source.read_bytes()[::-1]
    with files.replacing(target) as file:
        file.write(content)
    source.unlink()
    return target


@on_files(lambda source, target: PieceFiles((source,), (target,), handed_on=True))
def pass_on(source: Path, target: Path) -> int:
    """Write a file backwards for another piece."""
    content = source.read_bytes()[::-1]
    with files.replacing(target) as file:
        file.write(content)
    return len(content)


@on_files(lambda folder: PieceFiles((folder,)))
def look(folder: Path) -> int:
    """Read, and write nothing: return the process that this one was started by."""
    assert folder.is_dir()
    return os.getppid()


@on_files(lambda _size: PieceFiles())
def much(size_bytes: int) -> bytes:
    """Return a lot."""
    return b"x" * size_bytes
