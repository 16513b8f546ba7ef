"""The line that says that the vendor has taken a task, written so that a ledger that lost the task can have it back.

A CI log outlives its runner, but not unharmed: systems put times and colours in front of its lines, and wrap them. So
each line has a check over all that it says and over the chunk's content: what fits is whole, and of this very list.

Such a log is read by more people than the list. A hash of a chunk would tell them whether it holds a number that they
suspect, and one number alone is found from its hash within seconds. So the check is keyed by the whole list: who can
make one has it all, and no key is lost with the directory. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.tasks import TaskKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchestrator.records import Chunk

FEW_NUMBERS: Final = 10
"""A list of so few could be guessed whole; the key of one costs a guess a moment of time and some memory."""
_SLOW: Final = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
_CHECK_DIGITS: Final = 12

WRAPPED: Final = 5
"""Into so many lines one may be broken."""

_COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
# What systems put before each line: GitHub the job, the step and the time, GitLab the time and the number of a stream.
_BEFORE = re.compile(
    r"\ufeff?(?:[^\t]*\t[^\t]*\t)?\ufeff?(?:\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)? ?(?:\d\d[OE][+ ]?)?)?"
)
_TEXT = r'("(?:[^"\\]|\\.)*"|[^\s"]\S*)'
_LINE = re.compile(rf"\baccepted\s+platform={_TEXT}\s+chunk=(\d{{1,18}})\s+check=([0-9a-f]+)\s+task_id={_TEXT}")
# Where a line was wrapped at a space, that may be gone.
_BEGINS = re.compile(r'\baccepted\s*platform=|"event": ?"accepted"')
_DOUBT = re.compile(r"\bin_doubt\s*task=(\S+?/\d{6,18})(?!\d)")
_RUN, _RUN_ENDED = re.compile(r"\brun\s*serial=\d"), re.compile(r"\brun_ended\s*exit_code=\d")


@dataclass(frozen=True)
class Seal:
    """Makes the checks of one job; `digest` is of the chunks of its first generation, with `numbers` in all."""

    digest: bytes
    numbers: int

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> Seal:
        """Return the one for the list that is cut into `chunks`; what came to them later does not count."""
        # A job may have a million chunks: their hashes are not kept.
        digest, numbers = hashlib.sha256(), 0
        for chunk in chunks:
            if chunk.generation == 1 and chunk.only is None:
                digest.update(b"\n" * (numbers > 0) + chunk.sha256.encode())
                numbers += chunk.rows
        return cls(digest.digest(), numbers)

    @cached_property
    def _key(self) -> bytes:
        return _slow_key(self.digest) if self.numbers < FEW_NUMBERS else self.digest

    def check(self, key: TaskKey, chunk_sha256: str, task_id: str) -> str:
        """Return the check of a task that the vendor has taken under an id."""
        said = json.dumps([key.platform, key.chunk, chunk_sha256, task_id]).encode()
        return hmac.digest(self._key, said, hashlib.sha256).hex()[:_CHECK_DIGITS]


@lru_cache(16)
def _slow_key(digest: bytes) -> bytes:
    return hashlib.scrypt(digest, salt=b"receipt", **_SLOW)


class Receipt(NamedTuple):
    """What a line of a log says, the `line` counted from 1: that the vendor has taken a task."""

    line: int
    key: TaskKey
    check: str
    task_id: str


@dataclass(frozen=True, slots=True)
class LogContent:
    """What a log says of submits: those that were accepted, the tasks that are `in_doubt`, and lines that are `odd`.

    `odd` are the numbers of lines that look like a receipt and are none that fits. `lately` are the receipts of a run
    of which the log does not say how it ended: others may have been on their way.
    """

    receipts: tuple[Receipt, ...]
    in_doubt: tuple[TaskKey, ...]
    odd: tuple[int, ...]
    lately: tuple[Receipt, ...]


def read_log(text: str, fits: Callable[[Receipt], bool]) -> LogContent:
    """Read what a run has said, be it as lines for people, as run.jsonl, or as `run --json` has it.

    `fits` says whether the check of a receipt is right: it also tells whether a wrapped line was put together rightly.
    """
    lines = [_BEFORE.sub("", _COLOURS.sub("", line), count=1) for line in re.split(r"\r\n|\r|\n", text)]
    receipts: list[Receipt] = []
    odd: list[int] = []
    doubts: dict[TaskKey, None] = {}
    begun_at: int | None = None  # where in `receipts` the run began that has not ended yet
    for at, line in enumerate(lines):
        event = _event(line)
        name = event.get("event")
        here = _Here(line, "".join(lines[at : at + WRAPPED]))
        if name == "run_ended" or here.begins(_RUN_ENDED):
            begun_at = None
        elif name == "run" or here.begins(_RUN):
            begun_at = len(receipts)
        if here.begins(_BEGINS):
            if found := _receipt(at, lines, fits):
                receipts.append(found)
                doubts.pop(found.key, None)
            else:
                odd.append(at + 1)
        elif (key := _doubted(here, event)) is not None:
            doubts[key] = None
    lately = () if begun_at is None else tuple(receipts[begun_at:])
    return LogContent(tuple(receipts), tuple(doubts), tuple(odd), lately)


class _Here(NamedTuple):
    """A line, and with those behind it, of which it may be a part."""

    line: str
    whole: str

    def begins(self, words: re.Pattern[str]) -> re.Match[str] | None:
        """Return what is found of `words` that begins in the line."""
        found = words.search(self.whole)
        return found if found is not None and found.start() < len(self.line) else None


def _receipt(at: int, lines: Sequence[str], fits: Callable[[Receipt], bool]) -> Receipt | None:
    """Return what begins in line `at`, put together of as many as it takes; None for what is not whole, or no fit."""
    line = lines[at]
    for parts in range(1, WRAPPED + 1):
        rest = lines[at + 1 : at + parts]
        if len(rest) < parts - 1:
            return None
        # Where a line was wrapped at a space, that may be gone.
        for joints in itertools.product(("", " "), repeat=parts - 1):
            whole = line + "".join(joint + part for joint, part in zip(joints, rest, strict=True))
            if (read := _read(at + 1, whole)) and fits(read):
                return read
    return None


def _read(line: int, text: str) -> Receipt | None:
    if event := _event(text):
        fields = tuple(event.get(name) for name in ("platform", "chunk", "check", "task_id"))
    elif match := _LINE.search(text):
        fields = (_plain(match[1]), match[2], match[3], _plain(match[4]))
    else:
        return None
    platform, chunk, check, task_id = map(str, fields)
    try:
        return Receipt(line, TaskKey.parse(f"{platform}/{chunk}"), check, task_id)
    except ValueError:
        return None


def _doubted(here: _Here, event: Mapping[str, object]) -> TaskKey | None:
    """Return the task of which a line says that it is in doubt."""
    match = here.begins(_DOUBT)
    name = match[1] if match else event.get("task") if event.get("event") in {"in_doubt", "held"} else None
    # `held` is also what other programs are told of a task that stalls, and that one has an id.
    if name is None or event.get("task_id"):
        return None
    try:
        return TaskKey.parse(str(name))
    except ValueError:
        return None


def _event(text: str) -> Mapping[str, object]:
    """Return the event that a line has as JSON; empty for any other."""
    begin = text.find('{"')
    if begin < 0 or '"event"' not in text:
        return {}
    try:
        event, _ = json.JSONDecoder().raw_decode(text, begin)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _plain(text: str) -> str:
    """Return a value of a line for people, which stands in quotes where it has a space in it."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
