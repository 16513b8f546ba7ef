"""Opening files from a coroutine that may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiofiles

from orchestrator.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@asynccontextmanager
async def opened(path: Path, mode: str, opener: Callable[[str, int], int] | None = None) -> AsyncIterator[Any]:
    """Open a binary file for the block; raises `StorageError`.

    A thread opens it, and a cancellation does not stop that thread: without the wait here the file would stay open
    with nobody knowing.
    """

    async def open_it() -> Any:
        with disk_errors(path):
            return await aiofiles.open(path, mode, opener=opener)  # type: ignore[call-overload] # no literal mode

    opening = asyncio.create_task(open_it())
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await (await opening).close()
        raise
    try:
        yield file
    finally:
        with disk_errors(path):  # what a full disk did not take before, it refuses again here
            await file.close()
