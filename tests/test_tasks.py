"""The life of a task, as a table without a ledger."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tasks import (
    HELD,
    TRANSITIONS,
    UNFINISHED,
    Event,
    IllegalTransitionError,
    State,
    TaskKey,
    mermaid,
    state_after,
    undone,
)

ALLOWED = """
planned    release   released
planned    withdraw  failed
planned    refuse    failed
released   put_off   planned
released   accept    submitted
released   refuse    failed
released   doubt     in_doubt
submitted  finish    done
submitted  fail      failed
submitted  stall     stalled
submitted  give_up   failed
stalled    finish    done
stalled    fail      failed
stalled    resubmit  planned
stalled    adopt     submitted
stalled    give_up   failed
in_doubt   resubmit  planned
in_doubt   adopt     submitted
in_doubt   finish    done
in_doubt   give_up   failed
failed     adopt     submitted
failed     finish    done
failed     resubmit  planned
failed     retry     retried
stalled    refetch   submitted
failed     refetch   submitted
done       refetch   submitted
done       adopt     submitted
done       finish    done
done       fail      failed
"""
DECISIONS = (Event.RESUBMIT, Event.ADOPT, Event.FINISH, Event.GIVE_UP)
EXPECTED = {(state, event): target for state, event, target in map(str.split, ALLOWED.strip().splitlines())}


def reachable(start: State, *, without: frozenset[Event]) -> set[State]:
    seen, todo = {start}, [start]
    while todo:
        here = todo.pop()
        steps = {target for (state, event), target in TRANSITIONS.items() if state is here and event not in without}
        todo += steps - seen
        seen |= steps
    return seen


def test_every_pair_of_state_and_event() -> None:
    """An event leads where the list above says, and everywhere else it is an error that names both."""
    for state, event in itertools.product(State, Event):
        target = EXPECTED.get((state.value, event.value))
        if target is None:
            with pytest.raises(IllegalTransitionError, match=f"a {state} task can't take the event {event}"):
                state_after(state, event)
        else:
            assert state_after(state, event) is State(target), (state, event)


def test_only_two_events_lead_to_a_second_release() -> None:
    """Once released, a task is not released again unless the vendor put it off or a person decided to resubmit."""
    assert State.PLANNED not in reachable(State.RELEASED, without=frozenset({Event.PUT_OFF, Event.RESUBMIT}))
    assert [state for state, event in TRANSITIONS if event is Event.RELEASE] == [State.PLANNED]


def test_a_put_off_needs_an_answer_to_the_release() -> None:
    """Nothing is put off once its outcome was in doubt or accepted: that would send it again without a decision."""
    assert [state for state, event in TRANSITIONS if event is Event.PUT_OFF] == [State.RELEASED]


def test_doubt_waits_for_a_person() -> None:
    """Only decisions of a person lead out of IN_DOUBT."""
    ways_out = {event for state, event in TRANSITIONS if state is State.IN_DOUBT}
    assert ways_out == {Event.RESUBMIT, Event.ADOPT, Event.FINISH, Event.GIVE_UP}


def test_a_decision_is_taken_back_the_way_it_came() -> None:
    """Taking back follows an arrow of the table backwards, and never leads to a state that is sent by itself."""
    for origin, decision, state in itertools.product(State, Event, State):
        if TRANSITIONS.get((origin, decision)) is state:
            assert undone(origin, decision, state) is origin, (origin, decision, state)
        else:
            with pytest.raises(IllegalTransitionError, match="did not come from"):
                undone(origin, decision, state)
    assert not [s for s, event in TRANSITIONS if s is State.PLANNED and event in DECISIONS]


def test_what_is_held_can_be_settled() -> None:
    """Every held state allows all decisions that the command `resolve` offers."""
    for state in HELD:
        for decision in DECISIONS:
            assert (state, decision) in TRANSITIONS


@pytest.mark.parametrize("state", [State.RETRIED, State.SKIPPED])
def test_ends_are_final(state: State) -> None:
    """What was planned again belongs to another task; a skipped task stays one."""
    assert reachable(state, without=frozenset()) == {state}


def test_what_was_paid_for_is_not_sent_again_by_itself() -> None:
    """A done task can be read or fetched again; nothing but a person's decision leads from there to a second submit."""
    assert reachable(State.DONE, without=frozenset({Event.RESUBMIT})).isdisjoint({State.PLANNED, State.RELEASED})


def test_every_state_is_reached() -> None:
    """From PLANNED every state but SKIPPED can be reached, and nothing leads to SKIPPED but the planning."""
    assert reachable(State.PLANNED, without=frozenset()) == set(State) - {State.SKIPPED}


def test_held_unfinished_and_settled_states_are_apart() -> None:
    """A task is unfinished, held or settled, and never two of them."""
    assert not HELD & UNFINISHED
    assert set(State) - HELD - UNFINISHED == {State.DONE, State.FAILED, State.SKIPPED, State.RETRIED}


def test_the_diagram_draws_the_table() -> None:
    """The diagram has one line a transition, and where a life begins and ends."""
    head, *lines = mermaid().splitlines()
    assert head == "stateDiagram-v2"
    drawn = {f"{state} --> {target}: {event}" for (state, event), target in EXPECTED.items()}
    ends = {"[*] --> planned", "[*] --> skipped", "done --> [*]", "skipped --> [*]", "retried --> [*]"}
    assert {line.strip() for line in lines} == drawn | ends
    assert len(lines) == len(drawn) + len(ends)


@given(st.text(st.characters(codec="ascii"), min_size=1), st.integers(min_value=0, max_value=10**12))
def test_a_key_reads_what_it_wrote(platform: str, chunk: int) -> None:
    """`parse` is the inverse of `str`, whatever the platform is called."""
    assert TaskKey.parse(str(TaskKey(platform, chunk))) == TaskKey(platform, chunk)


def test_keys_are_named_for_people_and_sorted_by_platform_and_chunk() -> None:
    """A key is written with six digits or more, may be read with fewer, and sorts numerically."""
    assert str(TaskKey("instagram", 17)) == "instagram/000017"
    assert str(TaskKey("instagram", 1_234_567)) == "instagram/1234567"
    assert TaskKey.parse("instagram/17") == TaskKey("instagram", 17)
    assert sorted([TaskKey("b", 1), TaskKey("a", 10), TaskKey("a", 9)]) == [
        TaskKey("a", 9),
        TaskKey("a", 10),
        TaskKey("b", 1),
    ]


def test_a_chunk_is_named_for_people_at_the_vendor() -> None:
    """Job, platform, chunk and the beginning of the content's hash."""
    assert TaskKey("instagram", 17).file_name("spring", "0123456789abcdef") == "spring-instagram-000017-01234567.txt"


@pytest.mark.parametrize(
    "name",
    [
        *("", "instagram", "/000017", "instagram/", "instagram/x", "instagram/-1", "a/1.0"),
        *("\udcff/000001", f"instagram/{10**18}"),
    ],
)
def test_what_is_no_key(name: str) -> None:
    """Anything else, and what no ledger can hold, is refused with a message that shows how tasks are named."""
    with pytest.raises(ValueError, match="instagram/000017"):
        TaskKey.parse(name)
