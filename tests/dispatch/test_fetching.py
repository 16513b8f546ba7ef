from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import web

from orchestrator.errors import StorageError
from orchestrator.files import sha256_of
from orchestrator.jobdir.layout import chunk_path, verdict_path
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.settings import PollingSettings
from orchestrator.tasks import State, TaskKey
from tests.dispatch.harness import RESET, Answer, Bench, Made, Script, clock, error, result, serving
from tests.logs import capture_logs

pytestmark = pytest.mark.looptime


def quarantined(bench: Bench) -> list[Path]:
    folder = bench.directory / "results" / "quarantine"
    return sorted(folder.iterdir()) if folder.exists() else []


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
        platforms = await bench.run(vendor.base_url)
    assert bench.states() == [State.STALLED]
    assert platforms[0].at_vendor.work == 0
    looks = vendor.of(1).looks
    assert 15 <= len(looks) <= 40  # each may cost
    assert max(later - look for look, later in pairwise(looks)) > 250


@pytest.mark.parametrize(("redirects", "state", "looks"), [(4, State.DONE, 5), (99, State.STALLED, 5)])
async def test_a_link_that_a_gateway_redirects(bench: Bench, redirects: int, state: State, looks: int) -> None:
    """A fresh link is asked for a few times: a gateway in front of the file host is no matter of the task."""

    async def on_result(made: Made) -> Answer | None:
        return web.Response(status=302, headers={"Location": "/x"}) if len(made.downloads) <= redirects else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [state]
    assert len(vendor.of(1).looks) == looks


async def test_a_link_that_may_not_be_followed(bench: Bench) -> None:
    """It is held at once: no further look, which may cost, makes its host another one."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, result_url="http://files.example/a.csv")

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.STALLED]
    assert len(vendor.of(1).looks) == 1


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
        platforms = await bench.run(vendor.base_url)
    made = vendor.of(1)
    assert (len(made.looks), len(made.downloads)) == (1, 16)
    assert not platforms[0].vendor.health.probing
    assert bench.states() == [State.DONE]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no table"),
        (b"PK\x03\x04 broken", "the zip was cut short"),
        (b"Number,amazon\n+41790010000,yes\n", "column"),
    ],
)
async def test_what_nobody_can_read_comes_twice(bench: Bench, content: bytes, why: str) -> None:
    """Then it is what the vendor made: it is kept in quarantine, once, the task is failed, and the others go on."""

    async def on_result(made: Made) -> Answer | None:
        return web.Response(body=content) if made.chunk == 2 else None

    bench.plan(3)
    async with serving(Script(on_result=on_result)) as vendor:
        platforms = await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE, State.FAILED, State.DONE]
    first, second = vendor.of(2).downloads
    assert second - first >= 20.0  # it might have been being written still
    assert why in bench.task(2).reason
    assert platforms[0].at_vendor.work == 0
    (kept,) = quarantined(bench)
    assert kept.name.startswith("instagram-000002.")
    assert kept.read_bytes() == content
    with Ledger.open_to_read(ledger_path(bench.directory)) as ledger:
        (version,) = ledger.quarantine.versions(TaskKey("instagram", 2))
    assert bench.directory / version.path == kept
    assert version.sha256 == sha256_of(kept)
    assert not list((bench.directory / "results" / "instagram").glob("*.part"))
    assert not verdict_path(bench.directory, "instagram", 2).exists()


@pytest.mark.parametrize(
    ("lines", "success", "verdicts"),
    [
        (["+41790010000,yes", "+41790010001,no"], 3, {"yes": 1, "no": 1, "unanswered": 1}),  # fewer than `success`
        (["+41790010000,yes", "+41790099999,yes", "+41790099998,no"], 1, {"yes": 1, "unanswered": 2}),  # mostly foreign
        (["+41790099999,yes"], 3, {"unanswered": 3}),  # of others only: another spelling is not believed
        ([], 0, {"unanswered": 3}),  # a header only
    ],
)
async def test_what_the_vendor_made_is_taken(
    bench: Bench, lines: list[str], success: int, verdicts: dict[str, int]
) -> None:
    """The same bytes twice: what they say of the chunk's numbers counts, the rest is unanswered: a finding."""

    async def on_status(made: Made) -> Answer:
        return vendor.standing(made, status="exported", result_url=vendor.link(made), success=success)

    async def on_result(_made: Made) -> Answer:
        return web.Response(text="\n".join(["Number,instagram", *lines, ""]))

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_status=on_status, on_result=on_result)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert len(vendor.of(1).downloads) == 2
    assert bench.states() == [State.DONE]
    assert bench.standing().verdicts == verdicts
    (finding,) = bench.findings()
    assert "of the chunk" in finding.reason
    assert [line["reason"] for line in logs if line["event"] == "finding"] == [finding.reason]
    assert [path.name for path in (bench.directory / "results" / "instagram").iterdir()] == ["000001.csv"]
    assert not quarantined(bench)


async def test_a_result_that_is_suspect_twice(bench: Bench) -> None:
    """The third copy is good, and is taken; the others, which differ, are kept."""

    async def on_result(made: Made) -> Answer | None:
        return result(made, rows=len(made.downloads) - 1) if len(made.downloads) < 3 else None

    bench.plan(1)
    async with serving(Script(on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert bench.standing().verdicts == {"yes": 3}
    assert not bench.findings()
    assert sorted(path.read_text().count("yes") for path in quarantined(bench)) == [0, 1]


async def test_other_bytes_each_time(bench: Bench) -> None:
    """At the end of today's trying the version that says most is taken, and the others are kept."""

    async def on_result(made: Made) -> Answer | None:
        return result(made, rows=(1, 2, 0)[len(made.downloads) - 1])

    bench.plan(1)
    async with serving(Script(on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert len(vendor.of(1).downloads) == 3
    assert bench.standing().verdicts == {"yes": 2, "unanswered": 1}
    assert len(bench.findings()) == 1
    assert sorted(path.read_text().count("yes") for path in quarantined(bench)) == [0, 1]


async def test_the_second_copy_may_come_in_another_run(bench: Bench) -> None:
    """What was fetched is known to the ledger, so a stop between the two costs nothing."""

    async def on_result(made: Made) -> Answer:
        if len(made.downloads) == 1:
            asyncio.get_running_loop().call_later(1.0, bench.stopping.set)
        return result(made, rows=1)

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
        assert bench.states() == [State.SUBMITTED]
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert len(vendor.of(1).downloads) == 2


async def refetch(bench: Bench) -> None:
    with Ledger.open(ledger_path(bench.directory)) as ledger:
        ledger.change(lambda it: it.transitions.refetch(TaskKey("instagram", 1), at=clock()))


@pytest.mark.parametrize(
    ("then", "verdicts", "kept"),
    [
        ("better", {"yes": 3}, 1),
        ("the same", {"yes": 2, "unanswered": 1}, 0),
        ("worse", {"yes": 2, "unanswered": 1}, 1),
        ("unreadable", {"yes": 2, "unanswered": 1}, 1),
        ("gone", {"yes": 2, "unanswered": 1}, 0),
        ("failed", {"yes": 2, "unanswered": 1}, 0),
    ],
)
async def test_a_done_task_that_is_fetched_again(bench: Bench, then: str, verdicts: dict[str, int], kept: int) -> None:
    """It never says less than before, and every version of its result is kept."""

    async def on_result(made: Made) -> Answer:
        again = len(made.downloads) > 2
        if again and then == "unreadable":
            return web.Response(body=b"PK")
        return result(made, rows={"better": 3, "worse": 1}.get(then, 2) if again else 2)

    async def on_status(made: Made) -> Answer | None:
        if len(made.downloads) >= 2 and then in ("gone", "failed"):
            return error(404) if then == "gone" else vendor.standing(made, status="failed", result_url="")
        return None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result, on_status=on_status)) as vendor:
        await bench.run(vendor.base_url)
        assert bench.standing().verdicts == {"yes": 2, "unanswered": 1}
        await refetch(bench)
        assert bench.states() == [State.SUBMITTED]
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE]
    assert {word: rows for word, rows in bench.standing().verdicts.items() if rows} == verdicts
    assert len(quarantined(bench)) == kept
    with Ledger.open_to_read(ledger_path(bench.directory)) as ledger:
        ((_, _, _, verdicts_sha256, result_sha256),) = ledger.tasks.evidence()
    assert sha256_of(verdict_path(bench.directory, "instagram", 1)) == verdicts_sha256
    assert sha256_of(bench.directory / "results" / "instagram" / "000001.csv") == result_sha256
    assert len(vendor.tasks) == 1


@pytest.mark.parametrize("harm", ["lost", "altered"])
async def test_a_result_that_is_lost_or_altered_is_brought_back(bench: Bench, harm: str) -> None:
    """The same bytes as before, fetched again, take its place, and what was altered is kept in quarantine."""
    bench.plan(1)
    raw = bench.directory / "results" / "instagram" / "000001.csv"
    async with serving(Script(takes_s=0.0)) as vendor:
        await bench.run(vendor.base_url)
        content = raw.read_bytes()
        raw.unlink()
        if harm == "altered":
            raw.write_bytes(content + b"#")
        await refetch(bench)
        await bench.run(vendor.base_url)
    assert raw.read_bytes() == content
    assert [path.read_bytes() for path in quarantined(bench)] == [content + b"#"] * (harm == "altered")
    assert bench.states() == [State.DONE]
    assert bench.standing().verdicts == {"yes": 3}


async def test_a_task_that_was_given_the_id_of_another(bench: Bench) -> None:
    """Its result holds no number of the chunk; with the right id the paid one is read, and nothing is sent again."""

    async def on_made(_made: Made) -> Answer:
        return error(504)

    bench.plan(2)
    async with serving(Script(takes_s=0.0, on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
        assert bench.states() == [State.IN_DOUBT] * 2
        bench.change(lambda it: it.transitions.adopt(TaskKey("instagram", 1), vendor.of(2).task_id, at=clock()))
        await bench.run(vendor.base_url)
        assert bench.states() == [State.DONE, State.IN_DOUBT]
        assert bench.standing().verdicts == {"unanswered": 3}
        bench.change(lambda it: it.transitions.adopt(TaskKey("instagram", 1), vendor.of(1).task_id, at=clock()))
        bench.change(lambda it: it.transitions.adopt(TaskKey("instagram", 2), vendor.of(2).task_id, at=clock()))
        await bench.run(vendor.base_url)
    assert bench.states() == [State.DONE] * 2
    assert {word: rows for word, rows in bench.standing().verdicts.items() if rows} == {"yes": 6}
    assert len(vendor.tasks) == 2


async def test_the_file_host_says_when(bench: Bench) -> None:
    """Its `Retry-After` is waited for; the vendor's own calls go on meanwhile."""

    async def on_result(made: Made) -> Answer | None:
        return web.Response(status=503, headers={"Retry-After": "77"}) if len(made.downloads) == 1 else None

    bench.plan(1)
    async with serving(Script(takes_s=0.0, on_result=on_result)) as vendor:
        await bench.run(vendor.base_url)
    first, second = vendor.of(1).downloads
    assert 77.0 <= second - first < 78.0


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
        platforms = await bench.run(vendor.base_url)
    assert platforms[0].vendor.unreachable
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
