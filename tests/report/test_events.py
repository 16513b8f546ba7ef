from __future__ import annotations

import re
from pathlib import Path

import orchestrator
from orchestrator.cli.manual import pages
from orchestrator.report.events import EVENTS, public

PACKAGE = Path(orchestrator.__file__).parent


def test_an_event_has_its_fields_and_no_other() -> None:
    """Whatever the log says more stays there; what it does not say is null."""
    said = {"timestamp": "2026-11-21T20:15:02.250Z", "level": "error", "task": "instagram/000017", "reason": "reset"}
    assert public("in_doubt", said | {"again_after_s": 1}) == {
        "v": 1,
        "event": "held",
        "at": "2026-11-21T20:15:02.250Z",
        "task": "instagram/000017",
        "task_id": None,
        "reason": "reset",
    }


def test_what_is_no_event_of_its_own_is_a_warning_or_nothing() -> None:
    """A program hears of every trouble, and of no more than that."""
    said = {"timestamp": "2026-11-21T20:15:02.250Z", "level": "warning", "vendor": "main", "interval_s": 0.5}
    event = public("slowed_down", said)
    assert event is not None
    assert (event["event"], event["about"], event["vendor"], event["reason"]) == (
        "warning",
        "slowed_down",
        "main",
        None,
    )
    assert "interval_s" not in event
    assert public("link_expired", said | {"level": "info"}) is None


def test_the_manual_has_each_event_with_its_fields() -> None:
    """What is documented is what is emitted."""
    page = pages()["programs"].read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", page.partition("<!-- the events -->")[2], re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows} == {
        name: kind.fields for name, kind in EVENTS.items()
    }


def test_what_events_are_made_from_is_said_somewhere() -> None:
    """An event of the log that gets another name takes none of these along."""
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "events.py")
    for kind in EVENTS.values():
        for name in kind.made_from:
            assert re.search(rf'log\.\w+\(\s*"{name}"', source), name
