"""What the campaign sends to do harm is what it says it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.results import ResultCheck
from orchestrator.results.check import check_result
from tests.results.test_file_faults import Fault
from tests.simulation.door import Door
from tests.simulation.hostile import HOSTILE, hostile_file
from tests.simulation.loop import VirtualLoop

WORDS = ("yes", "no", "no", "ban", "unknown", "n/a")


@pytest.mark.parametrize("rows", [3, 60])
@pytest.mark.parametrize("fault", HOSTILE, ids=lambda fault: fault.name)
def test_a_file_for_a_chunk_of_any_size(fault: Fault, rows: int, tmp_path: Path) -> None:
    """A hostile file is refused, or read as the truth, of whichever words; the campaign's master relies on it."""
    truth = tuple((f"+4179{n * 7919 % 10_000:04d}123", WORDS[n % len(WORDS)]) for n in range(rows))
    (tmp_path / "result").write_bytes(hostile_file(fault, "viber", truth))
    (tmp_path / "chunk").write_text("".join(f"{number}\n" for number, _ in truth))
    result, chunk, verdicts = (tmp_path / name for name in ("result", "chunk", "verdicts"))
    check = ResultCheck(result, chunk, verdicts, "viber", ("viber", "activated"), task_id="a", success=rows)
    if fault.reason:
        with pytest.raises(DamagedResultError, match=fault.reason):
            check_result(check)
        return
    check.verdicts.write_bytes(check_result(check)[1])
    found = read_verdicts(check.verdicts)
    assert [found.words[code] for code in found.codes] == [word for _, word in truth]


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


async def _shut_and_mended() -> None:
    door = Door(lambda _, writer: writer.close())
    await door.start()
    port = door.port
    assert await _connects(port)
    door.shut(50.0)
    assert not await _connects(port)
    await asyncio.sleep(49.0)
    assert not await _connects(port)
    await asyncio.sleep(2.0)
    assert await _connects(port)
    door.shut(50.0)
    door.mend()
    await asyncio.sleep(1.0)
    assert await _connects(port)
    assert door.port == port
    await door.stop()


def test_a_door_that_is_shut() -> None:
    """Nobody listens while it is shut; then the same port is open again, and at once when it is mended."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(_shut_and_mended())
