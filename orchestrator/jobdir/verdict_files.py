r"""The verdict file: what one task said about the numbers of its chunk, one byte a number, in chunk order.

One line of ASCII, then the codes:

    numbercheck-verdicts 1 {"words": ["unanswered", "yes"], "rows": 20000, "sha256": "…", "task_id": "…", …}\n
    <rows bytes, each an index into words>

`sha256` is that of the codes, so a torn or altered file is noticed; `task_id` and `chunk_sha256` say which task and
which numbers the verdicts belong to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.errors import StorageError
from orchestrator.files import disk_errors
from orchestrator.jobdir.verdict_words import UNANSWERED

if TYPE_CHECKING:
    from pathlib import Path

MAGIC: Final = b"numbercheck-verdicts 1 "
_MAX_HEADER_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdicts:
    """`codes[i]` indexes `words` and belongs to number i of the chunk; `words[0]` is `unanswered`."""

    words: tuple[str, ...]
    codes: bytes
    task_id: str = ""
    chunk_sha256: str = ""


def verdict_bytes(verdicts: Verdicts) -> bytes:
    header = {
        "words": verdicts.words,
        "rows": len(verdicts.codes),
        "sha256": hashlib.sha256(verdicts.codes).hexdigest(),
        "task_id": verdicts.task_id,
        "chunk_sha256": verdicts.chunk_sha256,
    }
    return MAGIC + json.dumps(header).encode() + b"\n" + verdicts.codes


def read_verdicts(path: Path) -> Verdicts:
    """Read a verdict file; raises `StorageError` when it is missing, torn or altered."""
    with disk_errors(path), path.open("rb") as file:
        line = file.readline(_MAX_HEADER_BYTES)
        codes = file.read()
    try:
        header = json.loads(line.removeprefix(MAGIC)) if line.startswith(MAGIC) else {}
        verdicts = Verdicts(tuple(header["words"]), codes, header["task_id"], header["chunk_sha256"])
        "".join((*verdicts.words, verdicts.task_id, verdicts.chunk_sha256)).encode()  # text that can be written again
        whole = header["rows"] == len(codes) and header["sha256"] == hashlib.sha256(codes).hexdigest()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StorageError(f"{path}: not a verdict file; {_WAY_OUT}") from None
    known = bytes(range(min(256, len(verdicts.words))))
    if not whole or verdicts.words[:1] != (UNANSWERED,) or codes.translate(None, known):
        raise StorageError(f"{path}: the verdicts were cut short or altered; {_WAY_OUT}")
    return verdicts


_WAY_OUT: Final = "the next run or merge makes it anew"
