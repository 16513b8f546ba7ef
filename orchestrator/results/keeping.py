"""Result files that are believed are kept: a piece, from files to files.

Everything is read first, then written, then synced, then named: a disk syncs many files together faster than one after
the other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from orchestrator.errors import DamagedResultError, StorageError
from orchestrator.files import disk_errors, keep_together, replace_together, sync_directory
from orchestrator.results.check import check_result

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orchestrator.results.check import ResultCheck, ResultReport


def take_results(checks: Sequence[ResultCheck]) -> list[ResultReport | DamagedResultError | StorageError]:
    """Check result files; write the verdicts of the good ones, and keep these under the names of their kinds, synced.

    What was found, or what is wrong with a file, comes in the order of `checks`. Raises `StorageError` when the disk
    does not take what was found.
    """
    outcomes: list[ResultReport | DamagedResultError | StorageError] = []
    verdicts: dict[Path, list[tuple[str, bytes]]] = defaultdict(list)
    kept: list[tuple[Path, Path]] = []
    for check in checks:
        try:
            report, content = check_result(check)
        except (DamagedResultError, StorageError) as error:
            outcomes.append(error)
            continue
        outcomes.append(report)
        verdicts[check.verdicts.parent].append((check.verdicts.name, content))
        kept.append((check.result, check.result.with_suffix(report.suffix)))
    for folder, contents in verdicts.items():
        replace_together(folder, contents)
        with disk_errors(folder):
            sync_directory(folder)
    keep_together(kept)
    return outcomes
