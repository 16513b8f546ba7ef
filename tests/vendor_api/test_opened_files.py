"""Opening files while being cancelled."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import pytest

from orchestrator.errors import StorageError
from orchestrator.vendor_api.opened_files import opened

if TYPE_CHECKING:
    from pathlib import Path


async def test_closed_after_the_block(tmp_path: Path) -> None:
    """The file is open in the block and closed after it."""
    path = tmp_path / "a"
    async with opened(path, "wb") as file:
        await file.write(b"x")
    assert file.closed
    assert path.stat().st_size == 1


async def test_no_such_file(tmp_path: Path) -> None:
    """A file that can't be opened is the disk's trouble, and is named."""
    with pytest.raises(StorageError, match="gone"):
        async with opened(tmp_path / "gone", "rb"):
            pass


async def test_cancelled_while_opening(tmp_path: Path) -> None:
    """Cancelled while a thread is opening the file, the file is closed all the same."""
    go = threading.Event()
    descriptors: list[int] = []

    def opener(path: str, flags: int) -> int:
        go.wait()
        descriptors.append(os.open(path, flags, 0o600))
        return descriptors[-1]

    async def use() -> None:
        async with opened(tmp_path / "a", "wb", opener):
            pytest.fail("a cancelled block must not begin")

    task = asyncio.create_task(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])
