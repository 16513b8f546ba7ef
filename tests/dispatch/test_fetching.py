from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from itertools import pairwise

import pytest
from aiohttp import web

from orchestrator.errors import StorageError
from orchestrator.intake import chunk_path
from orchestrator.results import read_verdicts, verdict_path
from orchestrator.settings import PollingSettings
from orchestrator.tasks import State
from tests.dispatch.harness import RESET, Answer, Bench, Made, Script, error, result, serving

pytestmark = pytest.mark.looptime


async def test_results_are_kept_as_downloaded(bench: Bench) -> None:
    """The file stays under its task's name, without a part file beside it; the verdicts are there."""
    bench.plan(1)
    async with serving(Script()) as vendor:
        await bench.run(vendor.base_url)
    kept = [path.name for path in (bench.directory / "results" / "instagram").iterdir()]
    assert kept == ["000001.csv"]
    found = read_verdicts(verdict_path(bench.directory, "instagram", 1))
    assert [found.words[code] for code in found.codes] == ["yes"] * 3
    assert bench.standing().verdicts == {"yes": 3}
    path = verdict_path(bench.directory, "instagram", 1)
    assert [stat.S_IMODE(private.stat().st_mode) for private in (path, path.parent)] == [0o600, 0o700]


async def test_an_expired_link_is_asked_for_again(bench: Bench) -> None:
    """403 on the result means a fresh status call, at once, and the fresh link."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, result_url=f"{vendor.link(made)}?signed={len(made.looks)}")

    async def on_result(made: Made) -> Answer | None:
        return web.Response(status=403) if len(made.downloads) == 1 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    made = vendor.of(1)
    assert (len(made.looks), len(made.downloads)) == (2, 2)
    assert made.downloads[1] - made.downloads[0] < 1.0
    assert bench.states() == [State.DONE]


async def test_a_link_that_is_always_expired(bench: Bench) -> None:
    """The status is asked ever more rarely, and in the end the task is held."""

    async def on_result(_made: Made) -> Answer:
        return web.Response(status=403)

    bench.plan(1)
    bench.polling = PollingSettings(give_up_after_h=1.0)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        lanes = await bench.run(vendor.base_url)
    assert bench.states() == [State.STALLED]
    assert lanes[0].at_vendor == 0
    looks = vendor.of(1).looks
    assert 15 <= len(looks) <= 40  # each may cost
    assert max(later - look for look, later in pairwise(looks)) > 250


@pytest.mark.parametrize(
    "answer",
    [
        lambda: RESET,
        lambda: web.Response(status=500),
        lambda: web.Response(status=429),
        lambda: web.Response(status=503),
    ],
)
async def test_a_download_that_failed_is_repeated(bench: Bench, answer: Callable[[], Answer]) -> None:
    """Without asking the status again: the link is still good. The vendor's health has no part in it."""

    async def on_result(made: Made) -> Answer | None:
        return answer() if len(made.downloads) <= 15 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        lanes = await bench.run(vendor.base_url)
    made = vendor.of(1)
    assert (len(made.looks), len(made.downloads)) == (1, 16)
    assert not lanes[0].side.health.probing
    assert bench.states() == [State.DONE]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no table"),
        (b"PK\x03\x04 broken", "the zip was cut short"),
        (b"Number,instagram\n+41790099999,yes\n", "no number of the chunk"),
        (b"Number,amazon\n+41790010000,yes\n", "column"),
    ],
)
async def test_a_damaged_result_is_fetched_three_times(bench: Bench, content: bytes, why: str) -> None:
    """Then it is quarantined, the task is failed, and the others go on."""

    async def on_result(made: Made) -> Answer | None:
        return web.Response(body=content) if made.chunk == 2 else None

    bench.plan(3)
    async with serving(Script(on_result=on_result)) as vendor:
        lanes = await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE, State.FAILED, State.DONE]
    assert len(vendor.of(2).downloads) == 3
    assert why in bench.task(2).reason
    assert lanes[0].at_vendor == 0
    (kept,) = (bench.directory / "results" / "quarantine").iterdir()
    assert kept.stem == "instagram-000002"
    assert kept.read_bytes() == content
    assert not list((bench.directory / "results" / "instagram").glob("*.part"))
    assert not verdict_path(bench.directory, "instagram", 2).exists()


async def test_a_result_that_is_damaged_twice(bench: Bench) -> None:
    """The third copy is good, and is taken."""

    async def on_result(made: Made) -> Answer | None:
        return result(made, rows=1) if len(made.downloads) < 3 else None

    bench.plan(1)
    async with serving(Script(on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert bench.standing().verdicts == {"yes": 3}


async def test_rows_that_are_missing_by_the_vendors_own_count(bench: Bench) -> None:
    """Fewer rows than numbers, but as many as `success`: the rest is unanswered, nothing is damaged."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, status="exported", result_url=vendor.link(made), success=2, failure=1)

    async def on_result(made: Made) -> Answer:
        return result(made, rows=2)

    bench.plan(1)
    async with serving(Script(on_status=on_status, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert bench.standing().verdicts == {"yes": 2, "unanswered": 1}


@pytest.mark.parametrize("link", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "nonsense", "https://10.0.0.1/x"])
async def test_a_link_to_a_place_that_is_not_allowed_is_held(bench: Bench, link: str) -> None:
    """It is a person's decision; the next run looks once more, and takes the result from an allowed place."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, status="exported", result_url=link)

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
        assert bench.states() == [State.STALLED]
        await bench.run(vendor.base_url)
        assert bench.states() == [State.STALLED]
        vendor.on_status = None
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]


async def test_a_result_that_is_too_large_is_held(bench: Bench) -> None:
    """A file of far more bytes than the chunk can have is not read to its end."""

    async def on_result(_made: Made) -> Answer:
        return web.Response(body=b" " * (17 << 20))

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.STALLED]
    assert "larger" in bench.task().reason


async def test_downloads_go_on_beside_a_vendor_that_is_out_of_reach(bench: Bench) -> None:
    """What is ready is brought in before the run ends."""

    async def on_status(made: Made) -> Answer | None:
        return None if made.chunk == 1 else error(500)

    async def on_result(made: Made) -> Answer | None:
        await asyncio.sleep(50)
        return web.Response(status=500) if len(made.downloads) < 50 else None

    bench.plan(2)
    async with serving(Script(takes_s=0.0, on_status=on_status, on_result=on_result)) as vendor:
        lanes = await bench.run(vendor.base_url)
    assert lanes[0].side.unreachable
    assert bench.states() == [State.DONE, State.SUBMITTED]


async def test_a_lost_chunk_file_ends_the_run(bench: Bench) -> None:
    """A result can't be checked without the chunk: nothing is recorded, and the next run fetches it again."""
    bench.plan(1)

    async def on_result(_made: Made) -> None:
        chunk_path(bench.directory, 1).unlink()

    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        with pytest.raises(StorageError, match="000001"):
            await bench.run(vendor.base_url)
    assert bench.states() == [State.SUBMITTED]
