"""Submits that wait, with all but their last bytes sent, for one of the few places between release and answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from aiohttp import web

from orchestrator.dispatch.caution import DOUBTS, Caution, SubmitOutcome
from orchestrator.dispatch.places import AT_ONCE, PATIENCE_S, NotNowError, SubmitPlace, SubmitPlaces, VendorPlaces
from orchestrator.ledger import Ledger, LedgerWriter, ledger_path
from orchestrator.records import LastingCaution
from orchestrator.settings import PollingSettings
from orchestrator.tasks import State
from tests.dispatch.harness import RESET, Answer, Bench, Made, Script, accepted, serving
from tests.logs import capture_logs

pytestmark = pytest.mark.looptime

DONE, PLANNED, IN_DOUBT = State.DONE, State.PLANNED, State.IN_DOUBT


def now() -> float:
    return asyncio.get_running_loop().time()


def submits(*outcomes: SubmitOutcome) -> tuple[SubmitPlaces, Caution]:
    """Return the places of a platform after some submits, beside its caution."""
    caution = Caution(LastingCaution(unread=False), canary=False)
    for outcome in outcomes:
        caution.submit_ended(outcome)
    return SubmitPlaces(caution), caution


async def test_uploads_go_on_while_answers_are_waited_for(bench: Bench) -> None:
    """Three at most are without an answer, while others have sent all but their last bytes."""

    async def on_submit(_chunk: int, _nth: int) -> None:
        await asyncio.sleep(5.0)

    bench.plan(20)
    async with serving(Script(on_submit=on_submit)) as vendor:
        await bench.run(vendor.base_url)
    assert (vendor.most_at_once, vendor.most_begun) == (DOUBTS, AT_ONCE)
    assert bench.states() == [DONE] * 20


async def test_the_places_are_given_back(bench: Bench) -> None:
    """In the order of their waiting; a call that ends without having taken one gives none back."""
    found, _ = submits(SubmitOutcome.ACCEPTED)
    order: list[int] = []

    async def one(number: int) -> None:
        with found.begin() as place:
            if number == 1:
                raise ZeroDivisionError
            await place.wait_for_release(now=now())
            order.append(number)
            assert found.released <= DOUBTS
            await asyncio.sleep(1.0)

    await asyncio.gather(*(one(number) for number in range(AT_ONCE)), return_exceptions=True)
    assert order == [0, *range(2, AT_ONCE)]
    assert (found.count, found.released, found.may_begin()) == (0, 0, True)


async def test_cut_off_while_it_waits() -> None:
    """What is cancelled in the moment in which it could go on takes no place with it."""
    found, _ = submits()
    first, second = found.begin(), found.begin()
    await first.wait_for_release(now=now())
    waiting = asyncio.create_task(second.wait_for_release(now=now()))
    await asyncio.sleep(1.0)
    first.__exit__()
    waiting.cancel()
    await asyncio.wait([waiting])
    second.__exit__()
    assert waiting.cancelled()
    assert (found.count, found.released) == (0, 0)


@pytest.mark.parametrize(("outcomes", "taken"), [([SubmitOutcome.ACCEPTED], 1), ([], 0)])
async def test_a_place_is_handed_on(outcomes: list[SubmitOutcome], taken: int) -> None:
    """It is given back once, before the end; but nothing takes the place of one that is to be awaited alone."""
    found, caution = submits(*outcomes)
    places = [found.begin() for _ in range(caution.allowed() + 1)]
    for place in places[:-1]:
        await place.wait_for_release(now=now())
    last = asyncio.create_task(places[-1].wait_for_release(now=now()))
    await asyncio.sleep(1.0)
    assert not last.done()
    places[0].hand_on()
    await asyncio.sleep(1.0)
    assert last.done() == bool(taken)
    for place in places[:-1]:
        place.__exit__()
    await last
    assert found.released == 1
    places[-1].__exit__()
    assert (found.count, found.released) == (0, 0)


async def test_an_accepted_submit_and_the_next_release_share_a_commit(bench: Bench) -> None:
    """A place is as scarce as its way is long: that is one commit and one answer."""

    class Slow(LedgerWriter):
        async def _commit(self, batch: list[Any]) -> list[Any]:
            outcomes = await super()._commit(batch)
            await asyncio.sleep(1.0)
            return outcomes

    async def on_made(_made: Made) -> None:
        await asyncio.sleep(9.0)

    bench.plan(1 + 4 * DOUBTS)
    bench.writer = Slow
    bench.polling = PollingSettings(min_interval_s=250.0)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    times = sorted(made.at for made in vendor.tasks.values())[1::DOUBTS]
    assert [b - a for a, b in pairwise(times)] == pytest.approx([10.0] * 3, abs=0.1)


async def test_a_place_that_was_handed_on_by_a_doubt(bench: Bench) -> None:
    """An id that another task has is found out with the commit: then the next one is not released beside it."""

    async def on_made(made: Made) -> Answer | None:
        await asyncio.sleep(5.0 * made.chunk)
        return accepted(made, task_id="t1") if made.chunk == 2 else None

    bench.plan(10)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    unsure = [0]
    for event in bench.events():
        unsure.append(unsure[-1] + {"release": 1, "accept": -1}.get(event[4], 0))
    assert max(unsure) == DOUBTS
    assert Counter(bench.states()) == {DONE: 9, IN_DOUBT: 1}


async def test_a_submit_does_not_hold_back_its_last_bytes_for_ever(bench: Bench) -> None:
    """The vendor would break off: it is given up, and sent as soon as an answer has made room; none is tried before."""

    async def on_made(made: Made) -> None:
        await asyncio.sleep(200.0 if made.chunk in {2, 3, 4} else 0.0)

    bench.plan(10)
    async with serving(Script(on_made=on_made)) as vendor:
        with capture_logs() as logs:
            await bench.run(vendor.base_url)
    assert bench.states() == [DONE] * 10
    assert set(vendor.charged().values()) == {1}
    assert vendor.submits[:5] == [1, 2, 3, 4, 5]  # what was given up goes first
    assert Counter(line["log_level"] for line in logs)["warning"] == 0  # the vendor has done nothing wrong
    early = [at for at in vendor.arrived if at < 190.0]
    assert len(early) <= 1 + 1 + AT_ONCE + len(vendor.of(1).looks)


async def test_one_that_waited_in_vain() -> None:
    """No other is begun beside those that are released until one of them has its answer."""
    found, _ = submits(SubmitOutcome.ACCEPTED)
    released = [found.begin() for _ in range(DOUBTS)]
    for place in released:
        await place.wait_for_release(now=now())
    with found.begin() as late, pytest.raises(NotNowError):
        await late.wait_for_release(now=now())
    assert now() == pytest.approx(PATIENCE_S)
    assert not found.may_begin()
    released[0].__exit__()
    assert found.may_begin()


async def test_a_doubt_makes_those_that_wait_go_one_at_a_time() -> None:
    """What was prepared before the doubt is released by itself, and none is prepared beside it."""
    found, caution = submits(SubmitOutcome.ACCEPTED)
    places = [found.begin() for _ in range(AT_ONCE)]
    caution.submit_ended(SubmitOutcome.DOUBTED)
    most = 0

    async def one(place: SubmitPlace) -> None:
        nonlocal most
        with place:
            await place.wait_for_release(now=now())
            most = max(most, found.released)
            await asyncio.sleep(1.0)

    await asyncio.gather(*map(one, places))
    assert (most, found.count, found.released) == (1, 0, 0)
    found.begin()
    assert not found.may_begin()


async def test_those_that_wait_when_the_platform_stops(bench: Bench) -> None:
    """They are given up, provably not sent."""

    async def on_made(made: Made) -> Answer | None:
        await asyncio.sleep(1.0)
        return None if made.chunk == 1 else RESET

    bench.plan(20)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    assert Counter(bench.states()) == {DONE: 1, IN_DOUBT: 3, PLANNED: 16}
    assert vendor.most_begun == AT_ONCE
    assert vendor.charged().total() == 1 + DOUBTS


async def test_one_that_waits_and_loses_its_connection_is_not_released(bench: Bench) -> None:
    """Nothing is committed for it that would have to be taken back: it is sent once more, over another connection."""

    class Closing(Script):
        dropped = False

        async def submit(self, request: web.Request) -> Answer:
            if self._begun == DOUBTS and not self.dropped and request.transport is not None:
                self.dropped = True
                asyncio.get_running_loop().call_later(3.0, request.transport.abort)
            return await super().submit(request)

    async def on_made(made: Made) -> None:
        await asyncio.sleep(0.0 if made.chunk == 1 else 10.0)

    bench.plan(5)
    closing = Closing(on_made=on_made, takes_s=1000.0)
    async with serving(closing) as vendor:
        await bench.run(vendor.base_url)
    assert bench.states() == [DONE] * 5
    assert closing.dropped
    with Ledger.open_to_read(ledger_path(bench.directory)) as ledger:
        events = Counter(event[4] for event in ledger.tasks.events())
    assert (events["release"], events["put_off"]) == (5, 0)


async def test_those_that_wait_are_not_released_by_a_stop(bench: Bench) -> None:
    """Nothing more is released, and nothing is held of what was not."""

    async def on_made(made: Made) -> None:
        if made.chunk == 3:
            bench.stopping.set()
        await asyncio.sleep(2.0)

    bench.plan(20)
    async with serving(Script(on_made=on_made)) as vendor:
        await bench.run(vendor.base_url)
    assert vendor.most_begun > DOUBTS
    assert Counter(bench.states()) == {State.SUBMITTED: 4, PLANNED: 16}


@pytest.mark.parametrize("exported", [True, False])
def test_a_place_at_the_vendor_is_given_back_once(exported: bool) -> None:  # noqa: FBT001 - a table
    """Whether or not it was exported before it ended, and however often it is told so."""
    places = VendorPlaces(2)
    place, other = places.begin(), places.begin()
    assert not places.has_room(submitting=0)
    for _ in range(2 * exported):
        place.exported()
        assert (places.work, places.to_fetch) == (1, 1)
        assert places.has_room(submitting=0)
        assert not places.has_room(submitting=1)
    for _ in range(2):
        place.give_back()
        assert (places.work, places.to_fetch) == (1, 0)
    place.exported()
    other.give_back()
    assert (places.work, places.to_fetch) == (0, 0)
