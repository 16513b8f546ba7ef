"""Tables in a bucket that come back with verdicts: they are read in place, and so fetched first."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.bucket import NoObjectError
from orchestrator.errors import UsageError
from orchestrator.files import make_private_directory
from orchestrator.report import streams

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from orchestrator.intake.sources.find import Input

_SHOWN_CHARACTERS: Final = 50
"""How much of its name an object has as a file: its endings say what it is, and a store allows longer names."""


@asynccontextmanager
async def table_here(found: Input, folder: Path) -> AsyncGenerator[str]:
    """Have a table on this machine, in a new `folder` if it is in a bucket; messages name its URL."""
    if found.object is None:
        yield found.path
        return
    make_private_directory(folder)
    path = folder / Path(found.path).name[-_SHOWN_CHARACTERS:]
    with streams.spelling(str(path), found.path):
        try:
            await asyncio.to_thread(found.object.get, path)
        except NoObjectError as error:
            raise UsageError(f"{found.path}: it was removed while it was read") from error
        yield str(path)
        path.unlink()
