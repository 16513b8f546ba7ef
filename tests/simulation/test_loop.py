"""The loop that everything else here stands on: what it promises has to hold before a simulation proves anything."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.simulation.loop import LIFE, START_S, DeadlockError, Life, VirtualLoop

Main = Callable[[VirtualLoop], object]


def run(main: Callable[[VirtualLoop], object], delay_s: float = 0.0) -> VirtualLoop:
    loop = VirtualLoop(lambda: delay_s)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))  # type: ignore[arg-type]  # a coroutine function
    return loop


def test_time_jumps_and_never_passes_by_itself() -> None:
    """A day of sleep takes no time, and ends at the exact instant; so do years of it, in one piece or in two."""

    async def main(loop: VirtualLoop) -> None:
        await asyncio.gather(asyncio.sleep(86_400.0), asyncio.sleep(3.0))
        assert loop.time() == START_S + 86_400.0
        await asyncio.sleep(1e9)
        await asyncio.sleep(1.0)
        assert loop.time() == START_S + 86_401.0 + 1e9

    run(main)


def test_time_waits_for_sockets() -> None:
    """What is on its way between two sockets arrives before time moves."""

    async def main(loop: VirtualLoop) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(100_000))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sleeping = asyncio.create_task(asyncio.sleep(0.001))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 100_000)
        assert len(await reader.read(-1)) == 100_000
        assert loop.time() == START_S
        writer.close()
        server.close()
        await sleeping

    run(main)


def test_work_in_a_thread_takes_time_and_keeps_its_order() -> None:
    """One thread does one thing after the other; what nobody waits for any more is not begun."""
    done: list[tuple[int, float]] = []

    async def main(loop: VirtualLoop) -> None:
        with ThreadPoolExecutor(1) as thread:
            futures = [
                loop.run_in_executor(thread, lambda n=n: done.append((n, loop.time() - START_S))) for n in range(4)
            ]
            futures[2].cancel()
            await asyncio.wait(futures)
        assert loop.time() == pytest.approx(START_S + 2.5, abs=0.001)

    run(main, delay_s=1.0)
    assert [n for n, _ in done] == [0, 1, 3]
    assert [at for _, at in done] == pytest.approx([0.5, 1.0, 2.0], abs=0.001)


def test_waiting_for_nothing_is_found() -> None:
    """A program that waits for what can never come does not hang: it is told."""

    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(DeadlockError):
        run(main)


def test_turning_round_and_round_is_found() -> None:
    """A program that is busy without end does not hang either."""

    async def main(loop: VirtualLoop) -> None:
        loop.most_rounds = 1_000
        while True:  # noqa: ASYNC110 - that is the point
            await asyncio.sleep(0)

    with pytest.raises(DeadlockError, match="after 1001 rounds"):
        run(main)


def test_a_signal_reaches_its_handler() -> None:
    """A signal is delivered to the run that handles it, and to nobody else."""
    came: list[int] = []

    async def main(loop: VirtualLoop) -> None:
        assert not loop.deliver(signal.SIGTERM)
        loop.add_signal_handler(signal.SIGTERM, came.append, 1)
        assert loop.deliver(signal.SIGTERM)
        assert loop.remove_signal_handler(signal.SIGTERM)
        assert not loop.deliver(signal.SIGTERM)

    run(main)
    assert came == [1]


def test_a_life_knows_all_its_tasks() -> None:
    """Every task that a run starts, however deep, belongs to it, in the order of birth."""

    async def main(loop: VirtualLoop) -> None:
        del loop
        life = Life()
        LIFE.set(life)
        inner = asyncio.create_task(asyncio.sleep(1.0), name="inner")

        async def outer() -> None:
            await asyncio.create_task(asyncio.sleep(5.0), name="innermost")

        task = asyncio.create_task(outer(), name="outer")
        await inner
        assert [one.get_name() for one in life.alive()] == ["outer", "innermost"]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert life.alive() == []

    run(main)


def test_an_alarm_rings_between_two_steps() -> None:
    """A kill can fall on any round of the loop."""
    rounds: list[int] = []

    async def main(loop: VirtualLoop) -> None:
        loop.alarm(5, lambda: rounds.append(loop.rounds))
        begun = loop.rounds
        for _ in range(20):
            await asyncio.sleep(0)
        assert rounds == [begun + 5]

    run(main)


def test_what_nobody_catches_is_noted() -> None:
    """An exception that ends in the loop's own handler is a complaint."""

    async def main(loop: VirtualLoop) -> None:
        loop.call_soon(lambda: 1 // 0)
        await asyncio.sleep(0.1)

    assert "ZeroDivisionError" in run(main).complaints[0]
