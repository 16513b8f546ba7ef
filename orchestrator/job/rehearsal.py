"""The rehearsal: before anything is paid for, this machine shows that it can read what it would get.

A limit on memory, a library that lacks a part, a disk that takes no files: whatever keeps a machine from reading
results shows here, by the very piece that reads them later, in the same worker processes, with the same limits.
"""

from __future__ import annotations

import gzip
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError, PieceDiedError, StorageError
from orchestrator.files import failed_machine, make_private_directory, replacing
from orchestrator.jobdir.layout import REHEARSAL
from orchestrator.results import ResultCheck, check_limits, take_results
from orchestrator.sandbox import ApiStyle, ResultFormat, verdict
from orchestrator.sandbox.results import ResultOrder, result_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.workers import Workers

_NUMBERS: Final = [f"+4477009000{i:02d}" for i in range(20)]
"""Numbers that are kept free for films (ofcom.org.uk): nobody has them."""

_NAME: Final = "instagram"
_KINDS: Final = {
    "xlsx": (ApiStyle.SIMPLE, ResultFormat.DOCUMENTED),
    "zip": (ApiStyle.V1, ResultFormat.DOCUMENTED),
    "csv": (ApiStyle.SIMPLE, ResultFormat.CSV),
    "gzip": (ApiStyle.SIMPLE, ResultFormat.CSV),
}
"""What the embedded vendor is to make."""


async def rehearse(workers: Workers, directory: Path) -> None:
    """Read a small result of each kind in the job's `directory`, and leave nothing behind.

    Raises `StorageError` when one of them can't be read.
    """
    folder = directory / REHEARSAL
    expected = Counter(verdict(0, _NAME, number) for number in _NUMBERS)
    shutil.rmtree(folder, ignore_errors=True)  # a killed run left it
    try:
        make_private_directory(folder)
        chunk = folder / "chunk.txt"
        with replacing(chunk) as file:
            file.write("".join(f"{number}\n" for number in _NUMBERS).encode())
        checks = []
        for kind, (style, result_format) in _KINDS.items():
            order = ResultOrder(0, frozenset(), "rehearsal", style, _NAME, chunk, result_format)
            result = folder / f"{kind}.part"
            content = result_bytes(order)
            with replacing(result) as file:
                file.write(gzip.compress(content) if kind == "gzip" else content)
            verdicts = folder / f"{kind}.verdicts"
            checks.append(ResultCheck(result, chunk, verdicts, _NAME, ("activated",), "rehearsal", len(_NUMBERS)))
        outcomes = await workers.run(take_results, checks, limits=check_limits(len(checks) * len(_NUMBERS)))
        for check, outcome in zip(checks, outcomes, strict=True):
            if isinstance(outcome, DamagedResultError):
                raise DamagedResultError(f"{check.result.stem}: {outcome}")
            if isinstance(outcome, StorageError):
                raise outcome
            if outcome.counts != expected:
                raise DamagedResultError(f"{check.result.stem}: its verdicts come out wrong")
    except Exception as error:
        ours = isinstance(error, StorageError | DamagedResultError | PieceDiedError)  # what others say quotes anything
        said = str(error) if ours else type(error).__name__
        reason = said if isinstance(error, StorageError) else failed_machine(error)
        reason = reason or (
            f"this machine can't read a small result ({said}); install the program anew, in an environment of its own, "
            "or use another machine, and run the same command again"
        )
        raise StorageError(f"{reason} (a rehearsal, before anything was sent)") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
