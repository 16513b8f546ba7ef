"""The platforms of a job: what each asks and under which names, what it has cost, and its caution.

The tables that name a platform are listed here: a platform may get another name, or be taken out of the plan.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from orchestrator.ledger.run_table import of_job
from orchestrator.ledger.sqlite_schema import COSTS_OF_EVENTS, MONEY_OF_TASKS
from orchestrator.records import LastingCaution, Money, PlannedPlatform, ReusedSums, Standing
from orchestrator.settings import SANDBOX
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchestrator.ledger.connection import Connection

NAMED: Final = (
    ("platforms", "name"),
    ("chunks", "only_platform"),
    ("tasks", "platform"),
    ("tally", "platform"),
    ("money", "platform"),
    ("verdicts", "platform"),
    ("quarantine", "platform"),
    ("reused", "platform"),
    ("conditions", "platform"),
    ("conditions", "other"),
    ("events", "platform"),
)
"""Where the names of platforms stand: table, column."""

_SUMMED: Final = ("tally", "money")
"""Sums of a platform's tasks, by triggers that count down to nothing and leave rows that say so."""

_ADD = "INSERT INTO platforms (name, vendor, fixed) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING"
_RESPELL = "UPDATE platforms SET vendor = ?, fixed = ? WHERE name = ?"
_RESPELL_TASKS = (
    "UPDATE tasks SET vendor = ? WHERE platform = ? AND vendor <> ? AND NOT EXISTS "
    "(SELECT 1 FROM tasks AS other WHERE other.vendor = ? AND other.task_id = tasks.task_id)"
)
_HAS_HISTORY = (
    "SELECT 1 FROM platforms WHERE name = ? AND (submits > 0 OR EXISTS (SELECT 1 FROM tasks "
    "WHERE platform = name AND (task_id IS NOT NULL OR state NOT IN (?, ?, ?))))"
)
_IN_QUARANTINE = "SELECT platform, chunk, sha256, path FROM quarantine"
_MOVE_IN_QUARANTINE = "UPDATE quarantine SET path = ? WHERE platform = ? AND chunk = ? AND sha256 = ?"
_NOTE_FORMER = "UPDATE platforms SET former = ? WHERE name = ?"
_NOTE_MOVING = "UPDATE job SET moving = ?"
_SUMS = "SELECT name, submits, status_calls, cost_nano, other_currencies FROM platforms"
_MONEY = (
    "SELECT generation, quoted_nano, reserved_nano, charged_nano, in_doubt_nano, refunded_nano, told_nano, "
    "told_quoted_nano FROM money WHERE platform = ? ORDER BY generation"
)
_OTHER_CURRENCIES = "SELECT other_currencies FROM platforms WHERE name = ?"
_PAID_AGAIN = "SELECT platform, sum(earlier_nano + doubted_nano) FROM tasks GROUP BY platform"
_NOTE_CURRENCIES = "UPDATE platforms SET other_currencies = ? WHERE name = ?"
_TALLY = "SELECT state, tasks, rows FROM tally WHERE platform = ?"
_UNSURE = "SELECT coalesce(sum(tasks), 0) FROM tally WHERE platform = ? AND state IN (?, ?)"
_REUSED = "SELECT reused FROM platforms WHERE name = ?"
_NOTE_REUSED = "UPDATE platforms SET reused = ? WHERE name = ?"
_VERDICTS = "SELECT word, rows FROM verdicts WHERE platform = ?"
_ADD_VERDICTS = (
    "INSERT INTO verdicts (platform, word, rows) VALUES (?, ?, ?) "
    "ON CONFLICT (platform, word) DO UPDATE SET rows = verdicts.rows + excluded.rows"
)
_CHARGE = (
    "UPDATE platforms SET submits = submits + ?, status_calls = status_calls + ?, cost_nano = cost_nano + ? "
    "WHERE name = ?"
)
_CAUTION = "SELECT refusals, losses, unread, slowest_s FROM platforms WHERE name = ?"
_NOTE_CAUTION = "UPDATE platforms SET refusals = ?, losses = ?, unread = ?, slowest_s = ? WHERE name = ?"
_SETTINGS = "SELECT settings_sha256 FROM platforms WHERE name = ?"
_NOTE_SETTINGS = "UPDATE platforms SET settings_sha256 = ? WHERE name = ?"


class PlatformTable:
    """The platforms that were ever planned. Changing methods may be called only inside a commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # --- what they ask -----------------------------------------------------------------------------------------------

    def add(self, platform: PlannedPlatform) -> None:
        """Note a platform; one that is known stays as it was."""
        self._connection.run(_ADD, (platform.name, platform.vendor, json.dumps(platform.fixed, sort_keys=True)))

    def fixed(self) -> dict[str, dict[str, str]]:
        """Return, per platform that was ever planned, what may not change."""
        with self._connection.understood():
            rows = self._connection.rows("SELECT name, fixed FROM platforms")
            return {name: dict(json.loads(fixed)) for name, fixed in rows}

    def vendors(self) -> dict[str, str]:
        """Return, per platform that was ever planned, within what its task ids are unique."""
        return dict(self._connection.rows("SELECT name, vendor FROM platforms"))

    def made_up(self) -> frozenset[str]:
        """Return the platforms that the embedded vendor answers, whatever the configuration says by now."""
        return frozenset(name for name, fixed in self.fixed().items() if fixed.get("base_url") == SANDBOX)

    def has_history(self, platform: str) -> bool:
        """Whether a task of the platform may be, or have been, at the vendor: what it refused or put off is not."""
        return self._connection.row(_HAS_HISTORY, (platform, State.PLANNED, State.SKIPPED, State.FAILED)) is not None

    def respell(self, platform: PlannedPlatform) -> None:
        """Note another spelling of what a platform asks; an id that two spellings share stays with both."""
        vendor = platform.vendor
        self._connection.run(_RESPELL, (vendor, json.dumps(platform.fixed, sort_keys=True), platform.name))
        self._connection.run(_RESPELL_TASKS, (vendor, platform.name, vendor, vendor))

    def forget(self, platform: str) -> None:
        """Take a platform out of the plan of whose tasks none can be at the vendor."""
        columns = (
            *(("tasks", "platform"), ("reused", "platform"), ("conditions", "platform"), ("chunks", "only_platform")),
            *((name, "platform") for name in _SUMMED),
            ("platforms", "name"),
        )
        for table, column in columns:
            self._connection.run(f"DELETE FROM {table} WHERE {column} = ?", (platform,))

    # --- other names -------------------------------------------------------------------------------------------------

    def rename(self, names: Mapping[str, str]) -> None:
        """Give platforms (`names`: old → new) other names, at once, so that two may swap theirs.

        Until `moved` is told otherwise their files count as being on the way from the old names to the new ones.
        """
        self._connection.defer_references()
        for platform, chunk, sha256, path in list(self._connection.rows(_IN_QUARANTINE)):
            if platform in names:  # the file's name begins with the platform's
                new_path = re.sub(rf"(?<![^/]){re.escape(platform)}-(?=[0-9]+\.)", f"{names[platform]}-", path)
                self._connection.run(_MOVE_IN_QUARANTINE, (new_path, platform, chunk, sha256))
        former = self.former_names()
        for old in names:
            self._connection.run(_NOTE_FORMER, (json.dumps([*(n for n in former[old] if n != old), old]), old))
        # By way of names that no platform can have: of two that swap theirs, both would else be the same in between.
        for steps in ([(old, f"{new}:") for old, new in names.items()], [(f"{new}:", new) for new in names.values()]):
            for table, column in NAMED:
                statement = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"
                self._connection.run_many(statement, ((to, at) for at, to in steps))
        self._connection.run(_NOTE_MOVING, (json.dumps({"names": dict(names), "gathered": False}),))

    def former_names(self) -> dict[str, tuple[str, ...]]:
        """Return by platform what else it was called in this job, the earliest first."""
        with self._connection.understood():
            rows = self._connection.rows("SELECT name, former FROM platforms")
            return {name: tuple(json.loads(former)) for name, former in rows}

    def moving(self) -> tuple[dict[str, str], bool]:
        """Return whose files are on the way (old name → new name), and whether all have left their old places."""
        with self._connection.understood():
            moving = json.loads(of_job(self._connection, "moving") or '{"names": {}, "gathered": false}')
            return dict(moving["names"]), bool(moving["gathered"])

    def moved(self, *, gathered: bool) -> None:
        """Note that the files on the way have left their old places (`gathered`), or are in their new ones."""
        names, _ = self.moving()
        self._connection.run(_NOTE_MOVING, (json.dumps({"names": names, "gathered": True}) if gathered else "",))

    # --- sums --------------------------------------------------------------------------------------------------------

    def standing(self) -> dict[str, Standing]:
        """Return where every platform stands; costs the same for ten tasks and for a million."""
        standings = {}
        for name, submits, status_calls, cost, currencies in list(self._connection.rows(_SUMS)):
            reused = self.reused(name)
            # What is asked for in other chunks, or known, is no task that was skipped.
            aside = {State.SKIPPED: (reused.tasks, reused.rows)}
            tally = [
                (state, tasks - aside.get(state, (0, 0))[0], rows - aside.get(state, (0, 0))[1])
                for state, tasks, rows in self._connection.rows(_TALLY, (name,))
            ]
            with self._connection.understood():
                standings[name] = Standing(
                    platform=name,
                    tasks_by_state={State(state): tasks for state, tasks, _ in tally},
                    rows_by_state={State(state): rows for state, _, rows in tally},
                    verdicts=dict(self._connection.rows(_VERDICTS, (name,))),
                    submits=submits,
                    status_calls=status_calls,
                    cost_nano=cost,
                    generations=self.money(name),
                    other_currencies=tuple(json.loads(currencies)),
                    reused=reused,
                )
        return standings

    def removed(self, configured: Collection[str]) -> list[Standing]:
        """Return where platforms stand that the configuration has no longer: what they cost counts in every total.

        One that the embedded vendor answered cost nothing, unless what is there by now is as free.
        """
        made_up = self.made_up()
        free = frozenset[str]() if not made_up.isdisjoint(configured) else made_up
        if not (names := sorted(self.fixed().keys() - {*configured} - free)):  # mostly: a run asks every few seconds
            return []
        standings = self.standing()
        return [standings[name] for name in names]

    def unsure(self, platform: str) -> int:
        """Return how many tasks are in doubt, or would be if the run ended now: they were released, and no more."""
        return int(self._connection.value(_UNSURE, (platform, State.RELEASED, State.IN_DOUBT)))

    def reused(self, platform: str) -> ReusedSums:
        """Return how many verdicts of a platform were taken from earlier jobs."""
        with self._connection.understood():
            return ReusedSums(**json.loads(self._connection.value(_REUSED, (platform,)) or "{}"))

    def note_reused(self, platform: str, sums: ReusedSums) -> None:
        """Add to what was taken from earlier jobs for a platform."""
        together = json.dumps(asdict(self.reused(platform) + sums))
        self._connection.run(_NOTE_REUSED, (together, platform))

    def money(self, platform: str) -> dict[int, Money]:
        """Return what was spent on a platform, by generation."""
        return {generation: Money(*sums) for generation, *sums in self._connection.rows(_MONEY, (platform,))}

    def money_findings(self) -> list[str]:
        """Say where the sums of money are not what the tasks, and their events, give when counted anew."""
        findings = []
        noted = {(name, generation): sums for name in self.fixed() for generation, sums in self.money(name).items()}
        tasks = {(name, at): Money(*sums) for name, at, *sums in self._connection.rows(MONEY_OF_TASKS)}
        for name, generation in sorted({*noted, *tasks}):
            if noted.get((name, generation), Money()) != tasks.get((name, generation), Money()):
                findings.append(f"{name}: the money of generation {generation} is not what its tasks cost")
        events = dict(self._connection.rows(f"SELECT platform, sum(nano) FROM ({COSTS_OF_EVENTS}) GROUP BY platform"))
        for name, standing in self.standing().items():
            for said, nano in (("its tasks", standing.money.spent), ("its events", events.get(name, 0))):
                if nano != standing.cost_nano:
                    findings.append(
                        f"{name}: {standing.cost_nano / 1e9:.9g} USD are counted as spent, {said} say {nano / 1e9:.9g}"
                    )
        return findings

    def paid_again_nano(self) -> dict[str, int]:
        """Return, by platform, what submits may have cost whose tasks were sent again on a person's decision."""
        return dict(self._connection.rows(_PAID_AGAIN))

    def note_currency(self, platform: str, currency: str) -> None:
        """Note that the vendor told an amount in another currency than USD; such an amount is not added."""
        with self._connection.understood():
            noted = json.loads(self._connection.value(_OTHER_CURRENCIES, (platform,)))
        if currency not in noted:
            self._connection.run(_NOTE_CURRENCIES, (json.dumps([*noted, currency]), platform))

    def spent_nano(self) -> int:
        """Return what all submits may have cost so far, in 1e-9 USD; those to the embedded vendor cost nothing."""
        with self._connection.understood():
            rows = self._connection.rows("SELECT fixed, cost_nano FROM platforms")
            return sum(cost for fixed, cost in rows if not _is_made_up(fixed))

    def charge(self, platform: str, *, submits: int = 0, status_calls: int = 0, cost_nano: int = 0) -> None:
        self._connection.run(_CHARGE, (submits, status_calls, cost_nano, platform))

    def count_status_calls(self, platform: str, calls: int) -> None:
        """Count status calls that told nothing."""
        self.charge(platform, status_calls=calls)

    def count_verdicts(self, platform: str, verdicts: Mapping[str, int]) -> None:
        """Add to how many rows each word has."""
        counted: Iterable[tuple[str, str, int]] = ((platform, word, rows) for word, rows in verdicts.items())
        self._connection.run_many(_ADD_VERDICTS, counted)

    # --- caution -----------------------------------------------------------------------------------------------------

    def caution_with(self, platform: str, settings_sha256: str) -> LastingCaution:
        """Return the caution of a platform that is asked with these settings; with others it begins anew."""
        before = self._connection.value(_SETTINGS, (platform,))
        if before not in ("", settings_sha256):
            self.begin_anew(platform)
        if before != settings_sha256:
            self._connection.run(_NOTE_SETTINGS, (settings_sha256, platform))
        return self.lasting_caution(platform)

    def same_settings(self, platform: str, before: str, now: str) -> None:
        """Note that the settings whose hash was `before` are those of `now`, under another name."""
        if self._connection.value(_SETTINGS, (platform,)) == before:
            self._connection.run(_NOTE_SETTINGS, (now, platform))

    def lasting_caution(self, platform: str) -> LastingCaution:
        """Return what earlier runs remember of a platform's caution."""
        row = self._connection.row(_CAUTION, (platform,))
        return LastingCaution(row[0], row[1], bool(row[2]), row[3]) if row else LastingCaution()

    def note_caution(self, platform: str, lasting: LastingCaution) -> None:
        """Note what is to outlive this run of a platform's caution."""
        # The flag as a number: SQLite has no others, PostgreSQL takes none for the other.
        values = (lasting.refusals, lasting.losses, int(lasting.unread), lasting.slowest_s, platform)
        self._connection.run(_NOTE_CAUTION, values)

    def begin_anew(self, platform: str) -> None:
        """Forget a platform's caution, but not what is known of the vendor's pace."""
        self.note_caution(platform, LastingCaution(slowest_s=self.lasting_caution(platform).slowest_s))


@lru_cache(64)  # read again with every release
def _is_made_up(fixed: str) -> bool:
    return bool(json.loads(fixed).get("base_url") == SANDBOX)
