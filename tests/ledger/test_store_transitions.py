"""Every transition of a task in the ledger: what it writes, and that an illegal one writes nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import pytest

from orchestrator.errors import UsageError
from orchestrator.ledger import Ledger
from orchestrator.records import PlannedPlatform, Task
from orchestrator.tasks import TRANSITIONS, Event, IllegalTransitionError, State, TaskKey
from tests.ledgers import everything, sqlite_of

Reach = Callable[[Ledger, TaskKey, State], None]

KEY = TaskKey("instagram", 1)
AT = 100.0

CALLS: dict[Event, Callable[[Ledger, TaskKey], object]] = {
    Event.RELEASE: lambda it, key: it.transitions.release(key, cost_nano=5, max_cost_nano=None, at=AT),
    Event.PUT_OFF: lambda it, key: it.transitions.put_off(key, "429", at=AT),
    Event.ACCEPT: lambda it, key: it.transitions.accept(key, "new-id", total=10, at=AT),
    Event.REFUSE: lambda it, key: it.transitions.refuse(key, "too large", at=AT),
    Event.DOUBT: lambda it, key: it.transitions.doubt(key, "reset", at=AT),
    Event.FINISH: lambda it, key: it.transitions.finish(key, {"yes": 7, "unanswered": 3}, at=AT, detail={"foreign": 2}),
    Event.FAIL: lambda it, key: it.transitions.fail(key, "damaged", at=AT),
    Event.STALL: lambda it, key: it.transitions.stall(key, "no progress", at=AT),
    Event.RESUBMIT: lambda it, key: it.transitions.resubmit(key, at=AT),
    Event.ADOPT: lambda it, key: it.transitions.adopt(key, "found-id", at=AT),
    Event.GIVE_UP: lambda it, key: it.transitions.give_up(key, at=AT),
    Event.RETRY: lambda it, key: it.transitions.retry(key, at=AT),
    Event.WITHDRAW: lambda it, key: it.transitions.withdraw(key, "another may answer it", at=AT),
    Event.REFETCH: lambda it, key: it.transitions.refetch(key, at=AT),
    Event.UNDO: lambda it, key: it.transitions.undo(key, at=AT),
}


def task_of(ledger: Ledger, key: TaskKey = KEY) -> Task:
    task = ledger.tasks.get(key)
    assert task is not None
    return task


def bring(ledger: Ledger, reach: Reach, state: State) -> TaskKey:
    if state is State.SKIPPED:
        ledger.change(lambda it: it.plan.add_platform(PlannedPlatform("picky", "main", {}, 11)))
        return TaskKey("picky", 1)
    reach(ledger, KEY, state)
    return KEY


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_every_event_in_every_state(ledger: Ledger, reach: Reach, state: State, event: Event) -> None:
    """What the table allows changes the state and adds one event; all else raises, and the file stays as it was."""
    key = bring(ledger, reach, state)
    before, events = everything(ledger), list(ledger.tasks.events())
    target = TRANSITIONS.get((state, event))
    if target is None:
        with pytest.raises(IllegalTransitionError):
            ledger.change(lambda it: CALLS[event](it, key))
        assert everything(ledger) == before
        return
    ledger.change(lambda it: CALLS[event](it, key))
    task = task_of(ledger, key)
    assert task.state is target
    *earlier, (seq, at, serial, *what, task_id, _) = ledger.tasks.events()
    assert earlier == events
    assert (seq, at, serial, task_id) == (len(events) + 1, AT, 1, task.task_id)
    assert what == [str(key), event, state, target]


def finish(key: TaskKey) -> Callable[[Ledger], object]:
    return lambda it: CALLS[Event.FINISH](it, key)


def detail(ledger: Ledger) -> dict[str, object]:
    *_, (*_, text) = ledger.tasks.events()
    return dict(json.loads(text))


@pytest.mark.parametrize("event", list(Event))
def test_a_task_that_is_not_in_the_plan(ledger: Ledger, event: Event) -> None:
    """An event for an unknown task raises and writes nothing, not even a charge."""
    before = everything(ledger)
    with pytest.raises(IllegalTransitionError, match="instagram/000099 is not in the plan"):
        ledger.change(lambda it: CALLS[event](it, TaskKey("instagram", 99)))
    assert everything(ledger) == before


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.UNDO])
def test_no_transition_outside_of_a_commit(ledger: Ledger, reach: Reach, event: Event) -> None:
    """A transition takes several statements: outside of a transaction it is refused before the first one."""
    state = next(state for state, allowed in TRANSITIONS if allowed is event)
    reach(ledger, KEY, state)
    before = everything(ledger)
    with pytest.raises(IllegalTransitionError, match="outside of a commit"):
        CALLS[event](ledger, KEY)
    assert everything(ledger) == before


def test_a_release_reserves_its_cost(ledger: Ledger) -> None:
    """Cost and submit stand in the task, the sums and the event."""
    ledger.change(lambda it: it.transitions.release(KEY, cost_nano=700, max_cost_nano=1_000, at=AT))
    assert task_of(ledger).cost_nano == 700
    assert ledger.platforms.spent_nano() == 700
    assert detail(ledger) == {"cost_nano": 700}


DECISIONS: dict[Event, Callable[[Ledger, TaskKey], object]] = {
    event: call for event, call in CALLS.items() if event in {Event.RESUBMIT, Event.ADOPT, Event.GIVE_UP}
}
DECISIONS[Event.FINISH] = lambda it, key: it.transitions.finish(
    key, {"yes": 7, "no": 3}, at=AT, detail={}, decided=True
)
DECISIONS[Event.REFETCH] = lambda it, key: it.transitions.refetch(key, at=AT, decided=True)


@pytest.mark.parametrize(
    ("state", "event"),
    [(state, event) for state, event in TRANSITIONS if event in DECISIONS and state is not State.PLANNED],
)
def test_a_decision_that_is_taken_back_was_never_made(ledger: Ledger, reach: Reach, state: State, event: Event) -> None:
    """Task, sums and verdicts are what they were; only the events still tell of it."""
    reach(ledger, KEY, state)
    ledger.change(lambda it: it.transitions.note_status(KEY, status="exported", total=9, success=8, at=50.0))
    before, standing = task_of(ledger), ledger.platforms.standing()
    ledger.change(lambda it: DECISIONS[event](it, KEY))
    assert [task.key for task in ledger.tasks.decided(serial=1)] == [KEY]
    assert ledger.tasks.decided(serial=2) == []
    ledger.change(lambda it: it.transitions.note_status(KEY, status="pending", total=3, success=3, at=60.0, calls=0))
    ledger.change(lambda it: it.transitions.undo(KEY, at=AT + 1))
    assert task_of(ledger) == before
    assert [s.cost_nano for s in ledger.platforms.standing().values()] == [s.cost_nano for s in standing.values()]
    verdicts = {word: rows for word, rows in ledger.platforms.standing()["instagram"].verdicts.items() if rows}
    assert verdicts == standing["instagram"].verdicts
    assert detail(ledger) == {"undone": event}
    assert ledger.tasks.decided(serial=1) == []
    with pytest.raises(IllegalTransitionError, match="no decision"):
        ledger.change(lambda it: it.transitions.undo(KEY, at=AT + 2))


def test_what_has_come_of_a_decision_stands(ledger: Ledger, reach: Reach) -> None:
    """Once the run has sent what was to be sent again, the decision can't be taken back any more."""
    reach(ledger, KEY, State.IN_DOUBT)
    ledger.change(lambda it: it.transitions.resubmit(KEY, at=AT))
    ledger.change(lambda it: it.transitions.release(KEY, cost_nano=5, max_cost_nano=None, at=AT))
    ledger.change(lambda it: it.transitions.put_off(KEY, "429", at=AT))
    with pytest.raises(IllegalTransitionError, match="no decision"):
        ledger.change(lambda it: it.transitions.undo(KEY, at=AT))
    assert task_of(ledger).state is State.PLANNED


def test_an_id_that_went_to_another_task_does_not_come_back(ledger: Ledger, reach: Reach) -> None:
    """An id belongs to one task: the other one's decision has to be taken back first."""
    other = TaskKey("amazon", 2)
    reach(ledger, KEY, State.STALLED)
    reach(ledger, other, State.IN_DOUBT)
    ledger.change(lambda it: it.transitions.resubmit(KEY, at=AT))
    ledger.change(lambda it: it.transitions.adopt(other, f"id-{KEY}", at=AT))
    with pytest.raises(UsageError, match="was given to amazon/000002 since"):
        ledger.change(lambda it: it.transitions.undo(KEY, at=AT))
    ledger.change(lambda it: it.transitions.undo(other, at=AT))
    ledger.change(lambda it: it.transitions.undo(KEY, at=AT))
    assert task_of(ledger).task_id == f"id-{KEY}"


@pytest.mark.parametrize("end", ["fail", "stall", "give_up"])
@pytest.mark.parametrize("taken", [False, True])
def test_a_done_task_that_gets_another_id(ledger: Ledger, reach: Reach, end: str, taken: bool) -> None:  # noqa: FBT001
    """If nothing comes of it the task is done as before, under its own id; without that id it is not."""
    other = TaskKey("amazon", 2)
    reach(ledger, KEY, State.DONE)
    reach(ledger, other, State.IN_DOUBT)
    before, standing = task_of(ledger), ledger.platforms.standing()["instagram"].verdicts
    ledger.change(lambda it: it.transitions.adopt(KEY, "right", at=AT))
    assert (task_of(ledger).state, task_of(ledger).task_id) == (State.SUBMITTED, "right")
    assert not any(ledger.platforms.standing()["instagram"].verdicts.values())
    if taken:
        assert before.task_id is not None
        ledger.change(lambda it: it.transitions.adopt(other, str(before.task_id), at=AT))
    ledger.change(
        lambda it: (
            it.transitions.give_up(KEY, at=AT)
            if end == "give_up"
            else getattr(it.transitions, end)(KEY, "in vain", at=AT)
        )
    )
    after = task_of(ledger)
    if taken:
        assert after.state in {State.FAILED, State.STALLED}
        assert after.task_id == "right"
    else:
        assert (after.state, after.task_id) == (State.DONE, before.task_id)
        assert {
            word: rows for word, rows in ledger.platforms.standing()["instagram"].verdicts.items() if rows
        } == standing


def test_ids_of_two_tasks_that_were_mixed_up(ledger: Ledger, reach: Reach) -> None:
    """Each gets its own, by way of a name in between."""
    other = TaskKey("instagram", 2)
    for key in (KEY, other):
        reach(ledger, key, State.DONE)
    mine, its = (str(task.task_id) for task in ledger.tasks.select(State.DONE))
    with pytest.raises(UsageError, match="name the right one there first"):
        ledger.change(lambda it: it.transitions.adopt(KEY, its, at=AT))
    ledger.change(lambda it: it.transitions.adopt(other, "none", at=AT))
    ledger.change(lambda it: it.transitions.adopt(KEY, its, at=AT))

    def exchange(changed: Ledger) -> None:
        changed.transitions.undo(other, at=AT, replaced=True)
        changed.transitions.adopt(other, mine, at=AT)

    ledger.change(exchange)
    assert [task.task_id for task in ledger.tasks.select(State.SUBMITTED)] == [its, mine]


def test_a_result_that_was_taken_back_is_no_evidence(ledger: Ledger, reach: Reach) -> None:
    """Only the result that counts is compared by `verify`."""
    reach(ledger, KEY, State.IN_DOUBT)
    for name in ("first", "second"):
        found = {"verdicts": name, "result": name}
        ledger.change(lambda it: it.transitions.finish(KEY, {"yes": 10}, at=AT, detail=found, decided=True))  # noqa: B023 - at once
        assert [evidence[-1] for evidence in ledger.tasks.evidence()] == [name]
        if name == "first":
            ledger.change(lambda it: it.transitions.undo(KEY, at=AT))
            assert list(ledger.tasks.evidence()) == []


def test_the_name_as_sent_and_the_time_of_release_are_kept(ledger: Ledger) -> None:
    """They are what a person looks for at the vendor, whatever the job is called by then."""
    ledger.change(
        lambda it: it.transitions.release(KEY, cost_nano=5, max_cost_nano=None, at=AT, sent_name="spring-1.txt")
    )
    ledger.change(lambda it: it.transitions.doubt(KEY, "reset", at=AT + 9))
    assert (task_of(ledger).sent_name, task_of(ledger).released_at) == ("spring-1.txt", AT)


def test_an_accepted_task_has_its_id_and_times(ledger: Ledger, reach: Reach) -> None:
    """The vendor's id and row count, and the moment from which progress is measured."""
    reach(ledger, KEY, State.RELEASED)
    assert ledger.change(lambda it: it.transitions.accept(KEY, "id-1", total=9, at=AT)) is State.SUBMITTED
    expected = Task(KEY, State.SUBMITTED, 10, f"{1:064x}", "id-1", 1_000, AT, AT, 9, 0, "", released_at=10.0)
    assert task_of(ledger) == expected


def test_an_id_that_another_task_has_proves_nothing(ledger: Ledger, reach: Reach) -> None:
    """If the vendor names one id twice, the second task is in doubt, without the id, and the money stays counted."""
    reach(ledger, TaskKey("amazon", 2), State.SUBMITTED)
    reach(ledger, KEY, State.RELEASED)
    assert ledger.change(lambda it: it.transitions.accept(KEY, "id-amazon/000002", total=9, at=AT)) is State.IN_DOUBT
    task = task_of(ledger)
    assert (task.state, task.task_id, task.cost_nano) == (State.IN_DOUBT, None, 1_000)
    assert "amazon/000002" in task.reason
    assert detail(ledger) == {"reason": task.reason}


def test_two_vendors_may_use_the_same_id(ledger: Ledger, reach: Reach) -> None:
    """Ids are unique for a vendor only."""
    reach(ledger, TaskKey("elsewhere", 1), State.SUBMITTED)
    reach(ledger, KEY, State.RELEASED)
    assert (
        ledger.change(lambda it: it.transitions.accept(KEY, "id-elsewhere/000001", total=9, at=AT)) is State.SUBMITTED
    )


@pytest.mark.parametrize("state", [State.IN_DOUBT, State.STALLED, State.FAILED])
def test_a_foreign_id_is_not_adopted(ledger: Ledger, reach: Reach, state: State) -> None:
    """A person who names the id of another task is told whose it is; nothing changes."""
    reach(ledger, TaskKey("amazon", 2), State.DONE)
    reach(ledger, KEY, state)
    before = everything(ledger)
    with pytest.raises(UsageError, match=r"instagram/000001: .*id-amazon/000002 belongs to amazon/000002"):
        ledger.change(lambda it: it.transitions.adopt(KEY, "id-amazon/000002", at=AT))
    assert everything(ledger) == before


def test_an_adopted_task_starts_afresh(ledger: Ledger, reach: Reach) -> None:
    """It is watched from now on, with nothing of the progress of the id that it had; its own id is fine too."""
    reach(ledger, KEY, State.SUBMITTED)
    ledger.change(lambda it: it.transitions.note_status(KEY, status="processing", total=10, success=6, at=50.0))
    ledger.change(lambda it: it.transitions.stall(KEY, "no progress", at=60.0))
    ledger.change(lambda it: it.transitions.adopt(KEY, "id-instagram/000001", at=AT))
    task = task_of(ledger)
    assert (task.state, task.task_id, task.reason) == (State.SUBMITTED, "id-instagram/000001", "")
    assert (task.submitted_at, task.progress_at, task.total, task.success) == (AT, AT, 0, 0)
    assert ledger.change(lambda it: it.transitions.note_status(KEY, status="processing", total=10, success=6, at=101.0))


def test_a_resubmitted_task_forgets_its_id(ledger: Ledger, reach: Reach) -> None:
    """It is planned as if it had never been sent, and the vendor may name any id, also the old one."""
    reach(ledger, KEY, State.STALLED)
    ledger.change(lambda it: it.transitions.resubmit(KEY, at=AT))
    task = task_of(ledger)
    assert (task.task_id, task.cost_nano, task.total, task.success, task.reason) == (None, 0, 0, 0, "")
    reach(ledger, KEY, State.SUBMITTED)


def test_verdicts_are_counted_by_word(ledger: Ledger, reach: Reach) -> None:
    """The words of all finished tasks of a platform add up; details stand in the event."""
    for chunk in (1, 2):
        key = TaskKey("instagram", chunk)
        reach(ledger, key, State.SUBMITTED)
        ledger.change(finish(key))
    assert ledger.platforms.standing()["instagram"].verdicts == {"yes": 14, "unanswered": 6}
    assert ledger.platforms.standing()["amazon"].verdicts == {}
    assert detail(ledger) == {"foreign": 2}


@pytest.mark.parametrize(
    ("event", "state", "reason"),
    [
        (Event.PUT_OFF, State.RELEASED, "429"),
        (Event.REFUSE, State.RELEASED, "too large"),
        (Event.DOUBT, State.RELEASED, "reset"),
        (Event.FAIL, State.SUBMITTED, "damaged"),
        (Event.STALL, State.SUBMITTED, "no progress"),
        (Event.GIVE_UP, State.STALLED, "given up by decision"),
    ],
)
def test_reasons_stand_in_task_and_event(ledger: Ledger, reach: Reach, event: Event, state: State, reason: str) -> None:
    """Why a task is where it is can be read in the task until its next event, and in the event for ever."""
    reach(ledger, KEY, state)
    ledger.change(lambda it: CALLS[event](it, KEY))
    assert task_of(ledger).reason == reason
    assert detail(ledger) == {"reason": reason}


@pytest.mark.parametrize(
    ("status", "total", "success", "progress"),
    [
        ("processing", 10, 3, True),
        ("processing", 10, 0, True),
        ("queued", 10, 0, True),
        ("pending", 11, 0, True),
        ("pending", 10, 0, False),
    ],
)
def test_a_look_counts_and_tells_progress(
    ledger: Ledger,
    reach: Reach,
    status: str,
    total: int,
    success: int,
    progress: bool,  # noqa: FBT001 - a table
) -> None:
    """Every look is counted; a further status or a higher count is progress, which moves the moment of the last one."""
    reach(ledger, KEY, State.SUBMITTED)
    assert ledger.change(lambda it: it.transitions.note_status(KEY, status="pending", total=10, success=0, at=50.0))
    assert (
        ledger.change(lambda it: it.transitions.note_status(KEY, status=status, total=total, success=success, at=AT))
        is progress
    )
    task = task_of(ledger)
    assert (task.total, task.success, task.progress_at) == (total, success, AT if progress else 50.0)
    assert task.state is State.SUBMITTED
    assert ledger.platforms.standing()["instagram"].status_calls == 2


@pytest.mark.parametrize("statement", ["DELETE FROM events", "UPDATE events SET at = 0"])
def test_events_can_only_be_added(ledger: Ledger, reach: Reach, statement: str) -> None:
    """Nobody rewrites history, not even by an error in this program."""
    reach(ledger, KEY, State.DONE)
    before = everything(ledger)
    with pytest.raises(Exception, match="append-only"):
        ledger.change(lambda it: sqlite_of(it)._sql.execute(statement))
    assert everything(ledger) == before


def test_a_compare_and_set_that_finds_another_state(
    ledger: Ledger, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the state is not the one that was compared, nothing is set."""
    reach(ledger, KEY, State.SUBMITTED)
    before = everything(ledger)
    read = ledger.transitions._of
    monkeypatch.setattr(
        ledger.transitions, "_of", lambda *of: tuple("released" if v == "submitted" else v for v in read(*of))
    )
    with pytest.raises(IllegalTransitionError, match="is no longer released"):
        ledger.change(lambda it: it.transitions.doubt(KEY, "reset", at=AT))
    assert everything(ledger) == before


def test_going_to_and_fro_is_no_progress(ledger: Ledger, reach: Reach) -> None:
    """What a task has shown before tells nothing: one that swings for ever must be held in the end."""
    reach(ledger, KEY, State.SUBMITTED)
    swing = [("processing", 5), ("pending", 0), ("queued", 5), ("odd", 4), ("processing", 5), ("completed", 5)]

    def look(status: str, success: int) -> bool:
        return bool(
            ledger.change(lambda it: it.transitions.note_status(KEY, status=status, total=10, success=success, at=50.0))
        )

    seen = [look(*words) for words in swing]
    assert seen == [True, False, False, False, False, True]


def test_the_owner_of_an_id(ledger: Ledger, reach: Reach) -> None:
    """Any of several ids finds the other task of the same vendor that has it; a task is no other one to itself."""
    reach(ledger, KEY, State.SUBMITTED)
    task_id = task_of(ledger).task_id
    assert task_id is not None
    other, elsewhere = TaskKey("amazon", 1), TaskKey("elsewhere", 1)
    assert ledger.tasks.owner_of(other, "unheard-of", task_id) == KEY
    assert ledger.tasks.owner_of(KEY, task_id) is None
    assert ledger.tasks.owner_of(elsewhere, task_id) is None


def test_an_id_that_was_lost_is_still_known(ledger: Ledger, reach: Reach) -> None:
    """An id that a task had before it was sent again is nobody else's: no answer and no link may name it for another.

    A person may: who adopted it for the wrong task has to be able to mend that.
    """
    reach(ledger, KEY, State.STALLED)
    task_id = task_of(ledger).task_id
    assert task_id is not None
    ledger.change(lambda it: it.transitions.resubmit(KEY, at=20.0))
    other, elsewhere = TaskKey("amazon", 1), TaskKey("elsewhere", 1)
    assert ledger.tasks.owner_of(other, "unheard-of", task_id, once=True) == KEY
    assert ledger.tasks.owner_of(other, task_id) is None
    assert ledger.tasks.owner_of(KEY, task_id, once=True) is None
    assert ledger.tasks.owner_of(elsewhere, task_id, once=True) is None
    reach(ledger, other, State.RELEASED)
    assert ledger.change(lambda it: it.transitions.accept(other, task_id, total=10, at=21.0)) is State.IN_DOUBT
    ledger.change(lambda it: it.transitions.adopt(other, task_id, at=22.0))
    assert task_of(ledger, other).task_id == task_id


def verdicts(ledger: Ledger) -> dict[str, int]:
    return {word: rows for word, rows in ledger.platforms.standing()["instagram"].verdicts.items() if rows}


def test_verdicts_count_once_however_often_they_are_fetched(ledger: Ledger, reach: Reach) -> None:
    """What a refetched task said before is taken out of the sums, and what it says then is put in."""
    reach(ledger, KEY, State.DONE)
    assert verdicts(ledger) == {"yes": 10}
    ledger.change(lambda it: it.transitions.refetch(KEY, at=AT))
    assert verdicts(ledger) == {}
    ledger.change(finish(KEY))
    ledger.change(finish(KEY))
    assert verdicts(ledger) == {"yes": 7, "unanswered": 3}


@pytest.mark.parametrize("event", [Event.FAIL, Event.STALL])
def test_a_done_task_that_is_fetched_again_in_vain_is_done_as_before(
    ledger: Ledger, reach: Reach, event: Event
) -> None:
    """Its files are there still; only when they are lost does it end as a task of which nothing came."""
    reach(ledger, KEY, State.SUBMITTED)
    ledger.change(lambda it: it.transitions.finish(KEY, {"yes": 10}, at=AT, detail={"result": "r", "verdicts": "v"}))
    evidence = list(ledger.tasks.evidence())
    ledger.change(lambda it: it.transitions.refetch(KEY, at=AT))
    assert ledger.change(lambda it: CALLS[event](it, KEY)) is State.DONE
    assert (list(ledger.tasks.evidence()), verdicts(ledger)) == (evidence, {"yes": 10})
    ledger.change(lambda it: it.transitions.refetch(KEY, at=AT, lost=True))
    ledger.change(lambda it: CALLS[event](it, KEY))
    assert task_of(ledger).state is TRANSITIONS[State.SUBMITTED, event]
    assert verdicts(ledger) == {}


def test_nothing_is_fetched_without_an_id(ledger: Ledger) -> None:
    """A refused submit left no task at the vendor; the message says what else there is."""
    ledger.change(lambda it: it.transitions.refuse(KEY, "too large", at=AT))
    with pytest.raises(UsageError, match=r"instagram/000001: no task id .*--adopt TASK_ID.*--result FILE"):
        ledger.change(lambda it: it.transitions.refetch(KEY, at=AT))
