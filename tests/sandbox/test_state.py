from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.sandbox.catalog import ApiStyle
from orchestrator.sandbox.record import REQUESTS, TaskRecord
from orchestrator.sandbox.state import NoMoneyError, Options, Spacing, TooManyTasksError, VendorState, task_id

if TYPE_CHECKING:
    from pathlib import Path


def state(directory: Path, **options: Any) -> VendorState:
    return VendorState(directory, 1, frozenset(), 10.0, Options(**options))


def record(task: str, *, platform: str = "instagram", rows: int = 100, at: float = 0.0) -> TaskRecord:
    return TaskRecord(task, ApiStyle.SIMPLE, "ins", platform, "ab", 1300, rows, rows / 10_000, "f", "u", at)


def test_a_gap_that_is_too_small_is_noticed() -> None:
    """Each request is measured against the one before it, also if that one was refused."""
    spacing = Spacing(2.0, 0.01)
    times = [0.0, 0.5, 0.991, 1.4, 1.8991, 2.4]
    assert [spacing.too_soon_by(time) > 0 for time in times] == [False, False, False, True, False, False]


def test_without_a_rate_nothing_is_too_soon() -> None:
    """None is no limit."""
    spacing = Spacing(None, 0.0)
    assert [spacing.too_soon_by(5.0) for _ in range(3)] == [0.0] * 3


async def test_balance_is_spent_over_restarts(tmp_path: Path) -> None:
    """What was charged stays charged; a task above the balance is refused and changes nothing."""
    first = state(tmp_path, balance=0.025)
    for name in ("a", "b"):
        first.admit(record(name))
        await first.charge(record(name))
    first.close()
    second = state(tmp_path, balance=0.025)
    assert second.balance == 0.005
    with pytest.raises(NoMoneyError):
        second.admit(record("c"))
    assert (second.balance, set(second.tasks)) == (0.005, {"a", "b"})
    second.close()


def test_tasks_in_flight_are_counted_by_platform_and_time(tmp_path: Path) -> None:
    """A place is free again when a task of that platform is exported."""
    desk = state(tmp_path, max_in_flight=1)
    desk.admit(record("a"))
    desk.admit(record("x", platform="amazon"))
    with pytest.raises(TooManyTasksError) as caught:
        desk.admit(record("b", at=1.0))
    ends_at = desk.course_of(record("a")).exported_at
    assert caught.value.wait_s == pytest.approx(ends_at - 1.0)
    desk.admit(record("b", at=ends_at))
    desk.close()


def test_task_ids_look_like_the_vendors_and_follow_from_the_file(tmp_path: Path) -> None:
    """The same file sent again is another task; what else happens meanwhile changes no id."""
    ids = {
        task_id(1, ApiStyle.SIMPLE, word, sha, nth) for word in ("ins", "x") for sha in ("ab", "cd") for nth in (1, 2)
    }
    assert len(ids) == 8
    assert all(len(one) == 20 and set(one) <= set("0123456789abcdefghijklmnopqrstuv") for one in ids)
    desk = state(tmp_path)
    assert desk.new_task_id(ApiStyle.SIMPLE, "ins", "ab") == task_id(1, ApiStyle.SIMPLE, "ins", "ab", 1)
    desk.admit(record("a"))
    assert desk.new_task_id(ApiStyle.SIMPLE, "ins", "ab") == task_id(1, ApiStyle.SIMPLE, "ins", "ab", 2)
    desk.close()


def test_counters_go_on_after_a_restart(tmp_path: Path) -> None:
    """Or the first call of every run would meet the same fault for ever."""
    tmp_path.joinpath(REQUESTS).write_text(
        "".join(
            json.dumps({"time": 0.0, "kind": kind, "about": about, "nth": nth}) + "\n"
            for kind, about, nth in [("submit", "/p", 1), ("submit", "/p", 3), ("submit", "/p", 2), ("status", "t", 1)]
        )
        + '{"time": 1'
    )
    desk = state(tmp_path)
    assert (desk.count("submit", "/p"), desk.count("status", "t"), desk.count("status", "u")) == (4, 2, 1)
    desk.close()


def test_what_a_kill_left_behind_is_removed(tmp_path: Path) -> None:
    """Half an upload or half a result is of no use to anyone."""
    state(tmp_path).close()
    for folder in ("uploads", "results"):
        (tmp_path / folder / "0.part").write_bytes(b"+4179")
    state(tmp_path).close()
    assert not list(tmp_path.glob("*/*.part"))


def test_directories_are_private(tmp_path: Path) -> None:
    """Uploads hold numbers."""
    state(tmp_path / "vendor").close()
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (tmp_path / "vendor", tmp_path / "vendor" / "uploads"))


def test_min_rows_can_be_raised(tmp_path: Path) -> None:
    """The vendor once raised a minimum without notice."""
    desk = state(tmp_path, min_rows={"instagram": 50})
    assert (desk.min_rows("instagram"), desk.min_rows("amazon"), desk.min_rows("viber")) == (50, 100, 1)
    desk.close()


@pytest.mark.parametrize("options", [{"link_lifetime_s": 0}, {"link_lifetime_s": 604_801}, {"requests_per_second": 0}])
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    """S3 signs for one second to seven days; a rate of nothing would answer nobody."""
    with pytest.raises(ValueError, match="must be"):
        Options(**options)
