"""One result file against the chunk it answers: pure but for reading the two.

A file is believed when it can be read, has rows of the chunk, more of them than foreign ones, and about as many as
the vendor reported. Any other one that can be read is suspect: whoever knows that it is what the vendor made asks to
settle for it, and then what it says of the chunk's numbers is taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from orchestrator.errors import DamagedResultError, StorageError, SuspectResultError
from orchestrator.files import disk_errors
from orchestrator.jobdir.chunk_files import ALTERED_CHUNK, read_chunk
from orchestrator.jobdir.verdict_files import Verdicts, verdict_bytes
from orchestrator.jobdir.verdict_words import UNANSWERED, in_order
from orchestrator.pieces import PieceFiles, PieceLimits, on_files
from orchestrator.results.checked_zip import ResultLimits
from orchestrator.results.columns import Wanted
from orchestrator.results.damage import damage
from orchestrator.results.matching import Matcher
from orchestrator.results.result_tables import read_tables
from orchestrator.results.suffix import suffix_of
from orchestrator.results.words import ODD, WordTable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from orchestrator.results.batches import Table

CPU_S: Final = 30.0
CPU_S_A_ROW: Final = 100e-6
MEMORY_BYTES: Final = 512 << 20
MEMORY_BYTES_A_ROW: Final = 1024
MISSING_PERCENT: Final = 1
"""So few numbers may a result lack without a word, of those that the vendor counts or, of a person's file, sent."""


@dataclass(frozen=True, slots=True)
class ResultCheck:
    """What to check: `result` as downloaded, `chunk` as sent; `verdicts` is where what it says belongs.

    `columns` are further names of the verdict column, or of a platform `without_verdict` the columns of which one says
    something where a number was answered; `success` is the vendor's count, None when unknown.
    `chunk_sha256` is what the chunk file must have, "" when that is not known. `settle` takes what a suspect file says.
    `keep_as` is where the file belongs once it is taken, whatever its ending; by default beside itself.
    """

    result: Path
    chunk: Path
    verdicts: Path
    platform: str
    columns: tuple[str, ...]
    task_id: str
    success: int | None
    chunk_sha256: str = ""
    settle: bool = False
    keep_as: Path | None = None
    without_verdict: bool = False


@dataclass(frozen=True, slots=True)
class ResultReport:
    """What was found: `counts` adds up to the chunk, by verdict.

    `rows` is the numbers of the chunk that have a row, `foreign` the rows of other numbers or of none (dropped),
    `doubled` the rows beyond a number's first, `contradictions` the numbers whose rows disagree (`unanswered`),
    `overruled` the rows of further tables that disagree with an earlier one, `odd` the rows in which something stands
    that can't be a verdict (`unanswered`).
    `result_sha256` and `verdicts_sha256` are of the bytes of the two files, as evidence for a later `verify`; `suffix`
    is that of the result file's kind. `finding` says why the file is suspect, "" when it is not. `displaced` are
    another version that was taken before, as its hash and where it lies now. `columns` are those by which it was read:
    the same file read by others may say something else.
    """

    counts: dict[str, int]
    rows: int
    foreign: int
    contradictions: int
    doubled: int
    overruled: int
    odd: int
    result_sha256: str
    verdicts_sha256: str
    suffix: str
    columns: tuple[str, ...]
    without_verdict: bool
    finding: str = ""
    displaced: tuple[tuple[str, Path], ...] = ()

    @property
    def answered(self) -> int:
        """How many numbers have a verdict."""
        return sum(self.counts.values()) - self.counts.get(UNANSWERED, 0)


def check_limits(rows: int) -> PieceLimits:
    """Return what checking a result of a chunk of `rows` may take: ten times the processor time that a slow one does.

    A file that wants more is made to do harm; its process ends, and it counts as damaged.
    """
    return PieceLimits(CPU_S + CPU_S_A_ROW * rows, MEMORY_BYTES + MEMORY_BYTES_A_ROW * rows)


@on_files(lambda check: PieceFiles((check.result, check.chunk)))
def check_result(check: ResultCheck) -> tuple[ResultReport, bytes]:
    """Read the result file; return what was found, and the verdict file, which is the caller's to write.

    Raises `DamagedResultError` when the result can't be read, `SuspectResultError` when it may not be settled for, and
    `StorageError` when a file of ours is missing or altered.
    """
    chunk = read_chunk(check.chunk)
    if check.chunk_sha256 not in ("", chunk.sha256):
        raise StorageError(f"{check.chunk}: altered since it was planned; {ALTERED_CHUNK}")
    matcher = Matcher(chunk.numbers)
    found = _read(check, matcher, limits=ResultLimits.for_rows(len(chunk.numbers)))
    finding = _finding(check, matcher, rows=len(chunk.numbers))
    if finding and not check.settle:
        raise SuspectResultError(finding)
    # Words that only foreign rows had are left out, and the others sorted: the same verdicts give the same bytes,
    # however they were written. `unanswered` stays word 0.
    used = np.flatnonzero(np.bincount(matcher.codes, minlength=len(found.words))).tolist()
    words = (UNANSWERED, *sorted(found.words[code] for code in used if code))
    renumbered = {word: code for code, word in enumerate(words)}
    codes = np.array([renumbered.get(word, 0) for word in found.words], np.uint8)[matcher.codes]
    content = verdict_bytes(Verdicts(words, codes.tobytes(), check.task_id, chunk.sha256))
    counts = np.bincount(codes, minlength=len(words)).tolist()
    report = ResultReport(
        counts=in_order({word: count for word, count in zip(words, counts, strict=True) if count}),
        rows=matcher.matched,
        foreign=matcher.foreign,
        contradictions=matcher.contradictions,
        doubled=matcher.doubled,
        overruled=matcher.overruled,
        odd=found.odd,
        result_sha256=found.sha256,
        verdicts_sha256=hashlib.sha256(content).hexdigest(),
        suffix=found.suffix,
        # Its own name leads, also when the platform has another one by the time the file is read once more.
        columns=check.columns if check.without_verdict else tuple(dict.fromkeys((check.platform, *check.columns))),
        without_verdict=check.without_verdict,
        finding=finding,
    )
    return report, content


class _Read(NamedTuple):
    """What was read: the hash of those very bytes, the suffix of their kind, the words of the codes, odd rows."""

    sha256: str
    suffix: str
    words: list[str]
    odd: int


def _read(check: ResultCheck, matcher: Matcher, *, limits: ResultLimits) -> _Read:
    """Match the rows of the result. A table whose verdicts can't be such counts only if there is no other."""
    if check.without_verdict:
        wanted = Wanted(check.platform, extras=check.columns, without_verdict=True, chunk=matcher.sorted)
    else:
        wanted = Wanted(check.platform, check.columns, chunk=matcher.sorted)
    words, odd, found, stumble = WordTable(), 0, False, None
    with disk_errors(check.result), check.result.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        for together in read_tables(file, limits, wanted):
            for table in together:
                more = words.copy()
                try:
                    coded, odd_here = _coded(table, more)
                except DamagedResultError as error:
                    stumble = stumble or error
                    continue
                found, words, odd = True, more, odd + odd_here
                for batch, codes in zip(table, coded, strict=True):
                    matcher.place(batch.numbers, codes)
            if matcher.complete:
                break
            matcher.next_table()
        with damage():
            suffix = suffix_of(file, limits)
    if not found:
        raise stumble or DamagedResultError(f"no table with {wanted.shown}")
    return _Read(sha256, suffix, words.words, odd)


def _coded(table: Table, words: WordTable) -> tuple[list[NDArray[np.uint8]], int]:
    """Return the codes of each batch of a table, 0 for what can't be a verdict, and how many rows have that."""
    coded, rows, odd = [], 0, 0
    for batch in table:
        codes = words.codes(batch.cells)[batch.which]
        rows += len(codes)
        odd += int(np.count_nonzero(codes == ODD))
        coded.append(np.where(codes == ODD, np.uint8(0), codes))
    if odd > rows // 2:
        raise DamagedResultError(f"{odd:,} of {rows:,} rows have no verdict where it should be: {words.oddity}")
    return coded, odd


def _finding(check: ResultCheck, matcher: Matcher, *, rows: int) -> str:
    """Say why the rows are not those of the task; the vendor's count may exceed the chunk a little."""
    if not matcher.own:
        return f"holds no number of the chunk, and {matcher.foreign:,} others"
    if matcher.foreign > matcher.own:
        return f"mostly foreign: {matcher.foreign:,} rows against {matcher.own:,} of the chunk"
    promised = 0 if check.success is None else min(check.success, rows)
    if matcher.matched * 100 < promised * (100 - MISSING_PERCENT):
        return f"holds {matcher.matched:,} numbers of the chunk; the vendor reported {promised:,}"
    return ""
