"""What is sent to do harm: result files that are not what they should be, what unpacks or drips without end, a trap."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

from orchestrator.sandbox import TaskRecord, missing_numbers, verdict
from tests.results.test_file_faults import FAULTS, Fault, Table, packed, text
from tests.simulation.wire import Answer, HungUpError, Line

BOMB_BYTES = 1 << 30
PIECE_BYTES = 1 << 20
TOO_LARGE = "inflates to more than the chunk can need"
OF_MANY_ROWS = frozenset({"a million words"})
OTHER = {"yes": "no", "no": "yes"}

Truth = tuple[tuple[str, str], ...]
"""The rows of a result as they should be: number and verdict."""


# --- result files ----------------------------------------------------------------------------------------------------


@cache
def inflating() -> bytes:
    """Return a zip that is small enough to be downloaded, and inflates to 17 MiB at a ratio of some ten."""
    block = random.Random(1).randbytes(16 << 10)  # noqa: S311 - the same bytes again
    return packed({"all.csv": block * (17 << 6)})


FILES = [replace(fault, make=lambda _: inflating()) if fault.name == TOO_LARGE else fault for fault in FAULTS]
"""The results' own table, with one file that is small enough to be fetched at all."""
HOSTILE = [fault for fault in FILES if fault.counts is None and fault.name not in OF_MANY_ROWS]
"""Those that a chunk of any size can have, and that are to be refused, or to be read as if they were plain."""


@lru_cache(maxsize=64)
def hostile_file(fault: Fault, platform: str, truth: Truth) -> bytes:
    """Return the file of such a fault. What is to be refused holds wrong verdicts: believed, it would show."""
    table = _table(platform, truth)
    if not fault.reason:
        return fault.make(table)
    wrong = _table(platform, ((number, OTHER.get(word, word)) for number, word in truth))
    content = fault.make(wrong)
    return text(table) if content == text(wrong) else content


def rows_of(record: TaskRecord, vendor: Path, seed: int, *, faulty: bool = False) -> Truth:
    """Return the rows that the result of a task of the sandbox in `vendor` should have; `faulty` ones lack some."""
    numbers = (vendor / "uploads" / f"{record.id}.txt").read_text().split()
    missing = missing_numbers(seed, record.id, numbers) if faulty else frozenset()
    return tuple((number, verdict(seed, record.platform, number)) for number in numbers if number not in missing)


def _table(platform: str, rows: Iterable[tuple[str, str]]) -> Table:
    table: Table = [["Number", platform]]
    table.extend([number, word] for number, word in rows)
    return table


# --- streams ---------------------------------------------------------------------------------------------------------


@cache
def bomb() -> bytes:
    """Return a megabyte of deflate that unpacks to a gigabyte."""
    packer = zlib.compressobj(1)
    head = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(b" " * PIECE_BYTES) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (BOMB_BYTES // PIECE_BYTES)


def bomb_answer() -> Answer:
    return Answer(200, {"Content-Encoding": "deflate", "Content-Type": "application/json"}, bomb())


async def pour(line: Line) -> HungUpError:
    """Send without announcing a length, until the other side has had enough."""
    await line.send(b"HTTP/1.1 200 Any\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"100000\r\n" + bytes(PIECE_BYTES) + b"\r\n"
    while not line.writer.is_closing():
        await line.send(piece)
    return HungUpError()


async def drip(line: Line, body: bytes, every_s: float) -> HungUpError:
    """Send a byte now and then, and blanks after the last one: never nothing, and never an end."""
    await line.send(b"HTTP/1.1 200 Any\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    while not (line.writer.is_closing() or line.reader.at_eof()):
        await line.send(b"1\r\n" + (body[sent : sent + 1] or b" ") + b"\r\n")
        sent += 1
        await asyncio.sleep(every_s)
    return HungUpError()


class Trap:
    """A host that no request may ever reach."""

    def __init__(self) -> None:
        self.connections = 0

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._caught, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()

    async def _caught(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


__all__ = ["FILES", "HOSTILE", "Fault", "Trap", "Truth", "bomb", "bomb_answer", "drip", "hostile_file", "pour"]
