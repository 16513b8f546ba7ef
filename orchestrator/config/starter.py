"""The files that `init` writes: a short commented configuration and a sample list."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from orchestrator.errors import UsageError
from orchestrator.files import make_private_directory, replacing

if TYPE_CHECKING:
    from pathlib import Path

STARTER_FILES = ("config.toml", "numbers.txt")


def write_starter(directory: Path) -> tuple[Path, ...]:
    """Write `config.toml` and `numbers.txt` into `directory`, which is made as needed, and return their paths.

    Raises `UsageError`, and writes nothing, when one of them exists; `StorageError` when the disk fails.
    """
    paths = tuple(directory / name for name in STARTER_FILES)
    if taken := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        raise UsageError(f"{', '.join(taken)}: already there, and not overwritten; choose another directory")
    make_private_directory(directory)
    sample = resources.files("orchestrator.config") / "sample"
    for path in paths:
        with replacing(path) as file:
            file.write((sample / path.name).read_bytes())
    return paths
