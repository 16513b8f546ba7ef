"""Random lives of many tasks, against a model in plain Python."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestrator.errors import BudgetError, UsageError
from orchestrator.ledger import Ledger, ledger_path
from orchestrator.ledger.postgres import PostgreSQL
from orchestrator.ledger.transitions import Transitions
from orchestrator.records import Chunk, ListCounts, Listed, Plan, PlannedPlatform
from orchestrator.tasks import TRANSITIONS, Event, IllegalTransitionError, State, TaskKey
from tests.ledgers import new_job
from tests.postgres import Server

PLATFORMS = {"instagram": "main", "amazon": "main", "elsewhere": "other"}
ROWS = {1: 10, 2: 4}
MIN_ROWS = {"instagram": 1, "amazon": 5, "elsewhere": 1}
KEYS = [TaskKey(platform, chunk) for platform in PLATFORMS for chunk in ROWS]
MAX_COST_NANO = 40

TASK_IDS = ["id-1", "id-2", "id-3"]


Before = tuple[State, str | None, int | None, bool, dict[str, int] | None]


class LedgerWalk(RuleBasedStateMachine):
    """Applies any event to any task; the model says whether it is allowed and what must come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.ledger = self.made()
        self.states: dict[TaskKey, State] = {}
        self.ids: dict[TaskKey, str] = {}
        self.reserved: Counter[TaskKey] = Counter()
        self.spent: Counter[str] = Counter()
        self.submits: Counter[str] = Counter()
        self.verdicts: dict[TaskKey, dict[str, int]] = {}
        self.former: dict[TaskKey, str | None] = {}  # ids of done tasks that were given another one since
        self.once: dict[TaskKey, set[str]] = {key: set() for key in KEYS}
        self.events = 0
        self.before: dict[TaskKey, Before] = {}
        self.ever_released: set[TaskKey] = set()
        self.free_to_release: set[TaskKey] = set(KEYS)

    def made(self) -> Ledger:
        return Ledger.create(ledger_path(Path(self.directory.name)), "job-1")

    def opened_again(self) -> Ledger:
        return Ledger.open(ledger_path(Path(self.directory.name)))

    def teardown(self) -> None:
        self.ledger.close()
        self.directory.cleanup()

    @initialize()
    def plan(self) -> None:
        plan = Plan(
            name="walk",
            reading={},
            listed=Listed((), ListCounts()),
            chunks=tuple(Chunk(chunk, 10 * chunk, rows, "x") for chunk, rows in ROWS.items()),
            platforms=tuple(PlannedPlatform(name, vendor, {}, MIN_ROWS[name]) for name, vendor in PLATFORMS.items()),
        )
        self.ledger.change(lambda it: it.plan.replace(plan))
        for key in KEYS:
            small = ROWS[key.chunk] < MIN_ROWS[key.platform]
            self.states[key] = State.SKIPPED if small else State.PLANNED

    def apply(self, key: TaskKey, event: Event, change: Callable[[Ledger], object]) -> bool:
        """Apply `change`; return whether the table allowed it."""
        target = TRANSITIONS.get((self.states[key], event))
        try:
            self.ledger.change(change)
        except IllegalTransitionError:
            assert target is None
            return False
        assert target is not None
        self.states[key] = target
        if event in {Event.STALL, Event.FAIL, Event.GIVE_UP} and key in self.ids:
            self.once[key].add(self.ids[key])
        self.before.pop(key, None)
        self.events += 1
        return True

    def standing_of(self, key: TaskKey) -> Before:
        """Return what taking a decision back has to bring back."""
        free = key in self.free_to_release
        return self.states[key], self.ids.get(key), self.reserved.get(key), free, self.verdicts.get(key)

    def undo(self, key: TaskKey) -> None:
        """Take the last decision back, if nothing came of it."""
        decided = key in self.before and not self.owner(key, self.before[key][1] or "")
        try:
            self.ledger.change(lambda it: it.transitions.undo(key, at=1.0))
        except (IllegalTransitionError, UsageError):
            assert not decided
            return
        assert decided
        self.states[key], task_id, reserved, free, verdicts = self.before.pop(key)
        self.events += 1
        if self.states[key] is State.DONE:
            self.former.pop(key, None)
        for kept, value in ((self.ids, task_id), (self.reserved, reserved), (self.verdicts, verdicts)):
            kept.pop(key, None)
            if value is not None:
                kept[key] = value  # type: ignore[assignment]
        self.free_to_release.discard(key)
        if free:
            self.free_to_release.add(key)

    def owner(self, key: TaskKey, task_id: str) -> TaskKey | None:
        vendor = PLATFORMS[key.platform]
        owners = [k for k, i in self.ids.items() if i == task_id and PLATFORMS[k.platform] == vendor and k != key]
        return owners[0] if owners else None

    def refund(self, key: TaskKey) -> None:
        self.spent[key.platform] -= self.reserved.pop(key)
        self.submits[key.platform] -= 1

    @precondition(lambda self: not set(self.states.values()) <= {State.SKIPPED, State.RETRIED})
    @rule(data=st.data())
    def allowed(self, data: st.DataObject) -> None:
        """Take a step that the table allows: these lead deep into lives."""
        pairs = [(key, event) for key in KEYS for event in Event if (self.states[key], event) in TRANSITIONS]
        self.take(data, *data.draw(st.sampled_from(pairs)))

    @rule(data=st.data(), key=st.sampled_from(KEYS), event=st.sampled_from(Event))
    def anything(self, data: st.DataObject, key: TaskKey, event: Event) -> None:
        """Take any step: most of these must change nothing."""
        self.take(data, key, event)

    def take(self, data: st.DataObject, key: TaskKey, event: Event) -> None:  # noqa: C901, PLR0912 - a case for each event
        match event:
            case Event.RELEASE:
                self.release(key, data.draw(st.integers(0, 9)))
            case Event.PUT_OFF:
                self.put_off(key)
            case Event.ACCEPT:
                self.accept(key, data.draw(st.sampled_from(TASK_IDS)))
            case Event.REFUSE:
                self.refuse(key)
            case Event.FINISH:
                self.finish(key, data.draw(st.integers(0, 10)))
            case Event.ADOPT:
                self.adopt(key, data.draw(st.sampled_from(TASK_IDS)))
            case Event.RESUBMIT:
                self.resubmit(key)
            case Event.GIVE_UP | Event.RETRY:
                if event is Event.GIVE_UP and self.states[key] is State.SUBMITTED and key in self.verdicts:
                    self.end_in_vain(key, event)
                    return
                settle = Transitions.give_up if event is Event.GIVE_UP else Transitions.retry
                before = self.standing_of(key)
                if self.apply(key, event, lambda it: settle(it.transitions, key, at=1.0)) and event is Event.GIVE_UP:
                    self.before[key] = before
            case Event.UNDO:
                self.undo(key)
            case Event.DOUBT:
                self.apply(key, event, lambda it: it.transitions.doubt(key, "why", at=1.0))
            case Event.WITHDRAW:
                self.apply(key, event, lambda it: it.transitions.withdraw(key, "why", at=1.0))
            case Event.FAIL | Event.STALL:
                self.end_in_vain(key, event)
            case Event.REFETCH:
                self.refetch(key, lost=data.draw(st.booleans()))
            case _:
                assert_never(event)

    def release(self, key: TaskKey, cost: int) -> None:
        try:
            allowed = self.apply(
                key,
                Event.RELEASE,
                lambda it: it.transitions.release(key, cost_nano=cost, max_cost_nano=MAX_COST_NANO, at=1.0),
            )
        except BudgetError:
            assert self.spent.total() + cost > MAX_COST_NANO
            return
        if allowed:
            assert key in self.free_to_release, "released twice without an answer or a decision between"
            self.free_to_release.remove(key)
            self.reserved[key] = cost
            self.spent[key.platform] += cost
            self.submits[key.platform] += 1

    def put_off(self, key: TaskKey) -> None:
        if self.apply(key, Event.PUT_OFF, lambda it: it.transitions.put_off(key, "429", at=1.0)):
            self.free_to_release.add(key)
            self.refund(key)

    def accept(self, key: TaskKey, task_id: str) -> None:
        vendor = PLATFORMS[key.platform]
        once = [k for k in KEYS if k != key and PLATFORMS[k.platform] == vendor and task_id in self.once[k]]
        owner = self.owner(key, task_id) or once
        event = Event.DOUBT if owner else Event.ACCEPT
        if self.apply(key, event, lambda it: it.transitions.accept(key, task_id, total=1, at=1.0)) and not owner:
            self.ids[key] = task_id

    def refuse(self, key: TaskKey) -> None:
        released = self.states[key] is State.RELEASED
        if self.apply(key, Event.REFUSE, lambda it: it.transitions.refuse(key, "too large", at=1.0)) and released:
            self.refund(key)

    def finish(self, key: TaskKey, rows: int) -> None:
        verdicts = {"yes": rows, "no": 10 - rows}
        decided = self.states[key] is not State.SUBMITTED
        before = self.standing_of(key)
        if self.apply(
            key, Event.FINISH, lambda it: it.transitions.finish(key, verdicts, at=1.0, detail={}, decided=decided)
        ):
            self.verdicts[key] = verdicts
            self.former.pop(key, None)
            if decided:
                self.before[key] = before

    def end_in_vain(self, key: TaskKey, event: Event) -> None:
        """Expect a task that was done before it was fetched again to be done as it was."""
        done_before = key in self.verdicts and self.states[key] is not State.DONE
        former = self.former.get(key, self.ids.get(key)) if done_before else None
        if key in self.former and (former is None or self.owner(key, former)):
            done_before = False
        leads_to = Event.FINISH if done_before else event
        why = () if event is Event.GIVE_UP else ("why",)
        if not self.apply(key, leads_to, lambda it: getattr(it.transitions, event.value)(key, *why, at=1.0)):
            return
        if done_before and former is not None:
            self.ids[key] = former
        if not done_before:
            self.verdicts.pop(key, None)
        self.former.pop(key, None)

    def refetch(self, key: TaskKey, *, lost: bool) -> None:
        before = self.standing_of(key)
        try:
            allowed = self.apply(
                key, Event.REFETCH, lambda it: it.transitions.refetch(key, at=1.0, lost=lost, decided=not lost)
            )
        except UsageError:
            assert key not in self.ids
            return
        if allowed and lost:
            self.verdicts.pop(key, None)
            self.former.pop(key, None)
        if allowed and not lost:
            self.before[key] = before

    def adopt(self, key: TaskKey, task_id: str) -> None:
        before = self.standing_of(key)
        try:
            if self.apply(key, Event.ADOPT, lambda it: it.transitions.adopt(key, task_id, at=1.0)):
                if before[0] is State.DONE:
                    self.former[key] = before[1]
                self.ids[key] = task_id
                self.before[key] = before
        except UsageError:
            assert self.owner(key, task_id)

    def resubmit(self, key: TaskKey) -> None:
        before = self.standing_of(key)
        if self.apply(key, Event.RESUBMIT, lambda it: it.transitions.resubmit(key, at=1.0)):
            self.before[key] = before
            self.free_to_release.add(key)
            self.ids.pop(key, None)
            self.reserved.pop(key, None)

    @rule(key=st.sampled_from(KEYS), success=st.integers(0, 9))
    def look_or_run_again(self, key: TaskKey, success: int) -> None:
        """Look at a task, which changes no state; or close, open and begin a run, as after a crash."""
        if success:
            self.ledger.change(
                lambda it: it.transitions.note_status(key, status="processing", total=10, success=success, at=1.0)
            )
            return
        self.ledger.close()
        self.ledger = self.opened_again()
        self.ledger.change(lambda it: it.begin_run(at=1.0, host="here", pid=1))
        cut_off = [task for task, state in self.states.items() if state is State.RELEASED]
        self.states.update(dict.fromkeys(cut_off, State.IN_DOUBT))
        self.events += len(cut_off)

    @invariant()
    def every_task_is_where_the_model_says(self) -> None:
        found = {
            TaskKey(platform, chunk): state
            for chunk, states in self.ledger.tasks.states_by_chunk(list(PLATFORMS))
            for platform, state in states.items()
        }
        assert found == self.states
        assert {task.key: task.task_id for task in self.ledger.tasks.select(*State) if task.task_id} == self.ids
        assert len(list(self.ledger.tasks.events())) == self.events

    @invariant()
    def the_sums_are_what_counting_gives(self) -> None:
        counted = {
            (platform, state): (tasks, rows)
            for platform, state, tasks, rows in self.ledger.connection.rows(
                "SELECT platform, state, count(*), sum(rows) FROM tasks GROUP BY platform, state"
            )
        }
        kept = {
            (platform, state): (tasks, rows)
            for platform, state, tasks, rows in self.ledger.connection.rows(
                "SELECT platform, state, tasks, rows FROM tally"
            )
            if tasks or rows
        }
        assert kept == counted

    @invariant()
    def money_and_verdicts_add_up(self) -> None:
        for name, standing in self.ledger.platforms.standing().items():
            assert standing.cost_nano == self.spent[name]
            assert standing.submits == self.submits[name]
            words: Counter[str] = Counter()
            for key, verdicts in self.verdicts.items():
                if key.platform == name and self.states[key] is State.DONE:
                    words.update(verdicts)
            assert +Counter(standing.verdicts) == +words
        assert self.ledger.platforms.spent_nano() == self.spent.total() <= MAX_COST_NANO

    @invariant()
    def the_course_leads_to_where_the_tasks_are(self) -> None:
        course = self.ledger.tasks.course(3)
        states = Counter(self.states.values())
        assert sum(part.submits for part in course) == self.submits.total()
        assert sum(part.at_the_vendor for part in course) == states[State.RELEASED] + states[State.SUBMITTED]
        assert sum(part.done for part in course) == states[State.DONE]
        assert all(part.began_at <= part.ended_at for part in course)


class WalkInADatabase(LedgerWalk):
    """The same lives in a database; whoever opens it again knows nothing but what is there."""

    server: Server

    def made(self) -> Ledger:
        self.database = new_job(self.server)
        return Ledger(PostgreSQL.create(self.database, "job-1"))

    def opened_again(self) -> Ledger:
        return Ledger(PostgreSQL.open(self.database))


def test_random_lives_in_a_database(postgres: Server) -> None:
    """Each of them is what the model says, before and behind each change of the coordinator."""
    WalkInADatabase.server = postgres
    run_state_machine_as_test(WalkInADatabase, settings=settings(LedgerWalk.TestCase.settings, max_examples=8))


LedgerWalk.TestCase.settings = settings(
    max_examples=30, stateful_step_count=50, deadline=None, database=None, derandomize=True
)
TestLedgerWalk = LedgerWalk.TestCase
