"""The ledger's tables in SQLite.

Triggers keep the sums that are asked for often: counting a million tasks costs nothing.
"""

from __future__ import annotations

from orchestrator.tasks import State

APPLICATION_ID = 0x4E554D43
SCHEMA_VERSION = 2

_STATES = ", ".join(f"'{state}'" for state in State)

_EVENTS_STAY = """
CREATE TRIGGER events_stay BEFORE UPDATE OF seq, at, serial, chunk, event, origin, target, task_id ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER details_stay BEFORE UPDATE OF detail ON events WHEN (SELECT closed_at FROM job) IS NULL
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""
"""Only the name of a platform may become another one, and a purged job may forget what it knew of numbers."""

_MONEY_OF_TASK = {
    "quoted_nano": "{0}quoted_nano",
    "reserved_nano": "CASE WHEN {at_work} THEN {0}cost_nano ELSE 0 END",
    "charged_nano": "{0}earlier_nano + CASE WHEN {at_work} OR {doubtful} THEN 0 ELSE {0}cost_nano END",
    "in_doubt_nano": "{0}doubted_nano + CASE WHEN {doubtful} THEN {0}cost_nano ELSE 0 END",
    "refunded_nano": "CASE WHEN {0}actual_nano < {0}estimated_nano THEN {0}estimated_nano - {0}actual_nano ELSE 0 END",
    "told_nano": "CASE WHEN coalesce({0}actual_nano, {0}estimated_nano) IS NULL THEN 0 ELSE {0}cost_nano END",
    "told_quoted_nano": "CASE WHEN coalesce({0}actual_nano, {0}estimated_nano) IS NULL THEN 0 ELSE {0}quoted_nano END",
}
"""What a task adds to the sums of money, see `records.Money`; reserved, charged and in doubt are all that it costs."""


def _money_of(row: str) -> list[str]:
    """Return what a task adds to each sum; `row` is `new.`, `old.` or nothing, in front of its columns."""
    at_work = f"{row}state IN ('released', 'submitted', 'stalled') AND {row}actual_nano IS NULL"
    # Given up without an id: whether it was charged, nobody will know.
    doubtful = f"({row}state = 'in_doubt' OR {row}state IN ('failed', 'retried') AND {row}task_id IS NULL)"
    return [term.format(row, at_work=at_work, doubtful=doubtful) for term in _MONEY_OF_TASK.values()]


_MONEY = f"""
CREATE TABLE money (
    platform TEXT NOT NULL,
    generation INTEGER NOT NULL,
    {"".join(f"{name} INTEGER NOT NULL DEFAULT 0, " for name in _MONEY_OF_TASK)}
    PRIMARY KEY (platform, generation)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER money_update AFTER UPDATE OF state, task_id, cost_nano, quoted_nano, estimated_nano, actual_nano,
    earlier_nano, doubted_nano ON tasks BEGIN
    INSERT INTO money VALUES (new.platform, (SELECT generation FROM chunks WHERE chunk = new.chunk),
        {", ".join(f"({new}) - ({old})" for new, old in zip(_money_of("new."), _money_of("old."), strict=True))})
        ON CONFLICT (platform, generation) DO UPDATE
        SET {", ".join(f"{name} = {name} + excluded.{name}" for name in _MONEY_OF_TASK)};
END;
"""
"""Sums of money by platform and generation. They are kept by what a task costs before and after each change of it."""

MONEY_OF_TASKS = f"""
SELECT platform, generation, {", ".join(f"sum({term})" for term in _money_of(""))}
FROM tasks JOIN chunks USING (chunk) GROUP BY platform, generation
"""
"""The same, counted anew."""

COSTS_OF_EVENTS = """
WITH submits AS (
    SELECT platform, chunk, event, detail, lead(event) OVER (PARTITION BY platform, chunk ORDER BY seq) AS answer
    FROM events WHERE event IN ('release', 'put_off', 'accept', 'refuse', 'doubt')
), changes AS (
    SELECT platform, chunk, json_extract(detail, '$.cost_nano') AS nano FROM submits
    WHERE event = 'release' AND coalesce(answer, '') NOT IN ('put_off', 'refuse')
    UNION ALL SELECT platform, chunk, json_extract(detail, '$.change_nano') FROM events WHERE event = 'settle'
)
SELECT platform, chunk, sum(nano) AS nano FROM changes GROUP BY platform, chunk
"""
"""What each task has cost with all of its submits, by its events alone."""

_QUARANTINE = """
CREATE TABLE quarantine (
    platform TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL,
    read_by TEXT NOT NULL,
    PRIMARY KEY (platform, chunk, sha256)
) STRICT, WITHOUT ROWID;
"""

_OBJECTS = """
CREATE TABLE objects (
    path TEXT PRIMARY KEY,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

_REUSED = """
CREATE TABLE reused (
    platform TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    cells BLOB NOT NULL,
    PRIMARY KEY (platform, chunk)
) STRICT, WITHOUT ROWID;
"""

_CONDITIONS = """
CREATE TABLE conditions (
    platform TEXT PRIMARY KEY,
    other TEXT NOT NULL,
    word TEXT NOT NULL,
    followed INTEGER NOT NULL DEFAULT -1,
    too_few INTEGER NOT NULL DEFAULT 0,
    generations TEXT NOT NULL DEFAULT '[]'
) STRICT, WITHOUT ROWID;
"""

_BALANCES = """
CREATE TABLE balances (
    vendor TEXT NOT NULL,
    event INTEGER NOT NULL,
    at REAL NOT NULL,
    balance_nano INTEGER NOT NULL,
    spent_nano INTEGER NOT NULL,
    doubts TEXT NOT NULL,
    PRIMARY KEY (vendor, event)
) STRICT, WITHOUT ROWID;
"""

CREATE = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
CREATE TABLE job (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    job_id TEXT NOT NULL,
    name TEXT NOT NULL,
    serial INTEGER NOT NULL DEFAULT 0,
    begun_at REAL,
    closed_at REAL,
    reading TEXT NOT NULL,
    counts TEXT NOT NULL,
    position INTEGER NOT NULL DEFAULT 0,
    moving TEXT NOT NULL DEFAULT '',
    lists TEXT NOT NULL DEFAULT '{{}}',
    list_order BLOB,
    quote_key TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE runs (
    serial INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    exit_code INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    host TEXT NOT NULL,
    pid INTEGER NOT NULL
) STRICT;

CREATE TABLE inputs (
    position INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE platforms (
    name TEXT PRIMARY KEY,
    vendor TEXT NOT NULL,
    fixed TEXT NOT NULL,
    submits INTEGER NOT NULL DEFAULT 0,
    status_calls INTEGER NOT NULL DEFAULT 0,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    unread INTEGER NOT NULL DEFAULT 1,
    settings_sha256 TEXT NOT NULL DEFAULT '',
    slowest_s REAL NOT NULL DEFAULT 0,
    former TEXT NOT NULL DEFAULT '[]',
    other_currencies TEXT NOT NULL DEFAULT '[]',
    reused TEXT NOT NULL DEFAULT '{{}}'
) STRICT;

CREATE TABLE chunks (
    chunk INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    rows INTEGER NOT NULL CHECK (rows > 0),
    sha256 TEXT NOT NULL,
    only_platform TEXT,
    columns_sha256 TEXT NOT NULL DEFAULT '',
    places BLOB,
    is_trial INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tasks (
    platform TEXT NOT NULL REFERENCES platforms (name),
    chunk INTEGER NOT NULL REFERENCES chunks (chunk),
    vendor TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ({_STATES})),
    rows INTEGER NOT NULL,
    task_id TEXT,
    cost_nano INTEGER NOT NULL DEFAULT 0,
    submitted_at REAL,
    progress_at REAL,
    vendor_status TEXT NOT NULL DEFAULT '',
    total INTEGER NOT NULL DEFAULT 0,
    success INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    sent_name TEXT NOT NULL DEFAULT '',
    released_at REAL,
    evidence TEXT,
    decided TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    quoted_nano INTEGER NOT NULL DEFAULT 0,
    estimated_nano INTEGER,
    actual_nano INTEGER,
    earlier_nano INTEGER NOT NULL DEFAULT 0,
    doubted_nano INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (platform, chunk),
    CHECK (state <> 'submitted' OR task_id IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX tasks_by_state ON tasks (platform, state, chunk, rows);
CREATE UNIQUE INDEX one_task_an_id ON tasks (vendor, task_id) WHERE task_id IS NOT NULL;
CREATE INDEX findings ON tasks (platform, chunk) WHERE state = 'done' AND reason <> '';

CREATE INDEX decided_tasks ON tasks (platform, chunk) WHERE decided IS NOT NULL;

CREATE TABLE tally (
    platform TEXT NOT NULL,
    state TEXT NOT NULL,
    tasks INTEGER NOT NULL CHECK (tasks >= 0),
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (platform, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tally_insert AFTER INSERT ON tasks BEGIN
    INSERT INTO tally VALUES (new.platform, new.state, 1, new.rows)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1, rows = rows + new.rows;
END;
CREATE TRIGGER tally_delete AFTER DELETE ON tasks BEGIN
    UPDATE tally SET tasks = tasks - 1, rows = rows - old.rows WHERE platform = old.platform AND state = old.state;
END;
CREATE TRIGGER tally_update AFTER UPDATE OF state ON tasks WHEN old.state <> new.state BEGIN
    UPDATE tally SET tasks = tasks - 1, rows = rows - old.rows WHERE platform = old.platform AND state = old.state;
    INSERT INTO tally VALUES (new.platform, new.state, 1, new.rows)
        ON CONFLICT DO UPDATE SET tasks = tasks + 1, rows = rows + new.rows;
END;

{_MONEY}
CREATE TABLE verdicts (
    platform TEXT NOT NULL,
    word TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (platform, word)
) STRICT, WITHOUT ROWID;

{_QUARANTINE}
{_OBJECTS}
{_REUSED}
{_CONDITIONS}
{_BALANCES}
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    serial INTEGER NOT NULL,
    platform TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    event TEXT NOT NULL,
    origin TEXT NOT NULL,
    target TEXT NOT NULL,
    task_id TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX ids_once_held ON events (task_id) WHERE event IN ('stall', 'fail', 'give_up');

{_EVENTS_STAY}
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""

STEPS = {
    1: f"""
ALTER TABLE chunks ADD COLUMN columns_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN places BLOB;
ALTER TABLE chunks ADD COLUMN is_trial INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN sent_name TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN released_at REAL;
ALTER TABLE tasks ADD COLUMN evidence TEXT;
UPDATE tasks SET evidence = finished.detail
FROM (SELECT platform AS p, chunk AS c, detail, max(seq) FROM events WHERE event = 'finish' GROUP BY 1, 2) AS finished
WHERE platform = finished.p AND chunk = finished.c AND state = 'done';
CREATE INDEX findings ON tasks (platform, chunk) WHERE state = 'done' AND reason <> '';
{_QUARANTINE}
{_REUSED}
{_CONDITIONS}
{_BALANCES}
ALTER TABLE job DROP COLUMN sandbox;
ALTER TABLE job ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN moving TEXT NOT NULL DEFAULT '';
ALTER TABLE job ADD COLUMN lists TEXT NOT NULL DEFAULT '{{}}';
ALTER TABLE job ADD COLUMN list_order BLOB;
ALTER TABLE job ADD COLUMN quote_key TEXT NOT NULL DEFAULT '';
DROP TRIGGER events_stay;
{_EVENTS_STAY}
ALTER TABLE tasks ADD COLUMN decided TEXT;
CREATE INDEX decided_tasks ON tasks (platform, chunk) WHERE decided IS NOT NULL;
DROP INDEX ids_once_held;
CREATE INDEX ids_once_held ON events (task_id) WHERE event IN ('stall', 'fail', 'give_up');
UPDATE tasks SET released_at = sent.at, sent_name =
    (SELECT name FROM job) || '-' || platform || '-' || printf('%06d', chunk) || '-'
    || (SELECT substr(sha256, 1, 8) FROM chunks WHERE chunks.chunk = tasks.chunk) || '.txt'
FROM (SELECT platform AS p, chunk AS c, max(at) AS at FROM events WHERE event = 'release' GROUP BY 1, 2) AS sent
WHERE platform = sent.p AND chunk = sent.c;
ALTER TABLE tasks ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE platforms ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0;
ALTER TABLE platforms ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
ALTER TABLE platforms ADD COLUMN unread INTEGER NOT NULL DEFAULT 1;
ALTER TABLE platforms ADD COLUMN settings_sha256 TEXT NOT NULL DEFAULT '';
ALTER TABLE platforms ADD COLUMN slowest_s REAL NOT NULL DEFAULT 0;
ALTER TABLE platforms ADD COLUMN former TEXT NOT NULL DEFAULT '[]';
UPDATE platforms SET unread = name NOT IN (SELECT platform FROM tally WHERE state = 'done' AND tasks > 0);
ALTER TABLE platforms ADD COLUMN other_currencies TEXT NOT NULL DEFAULT '[]';
ALTER TABLE platforms ADD COLUMN reused TEXT NOT NULL DEFAULT '{{}}';
ALTER TABLE tasks ADD COLUMN quoted_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN estimated_nano INTEGER;
ALTER TABLE tasks ADD COLUMN actual_nano INTEGER;
ALTER TABLE tasks ADD COLUMN earlier_nano INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN doubted_nano INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET quoted_nano = cost_nano;
UPDATE tasks SET doubted_nano = paid.nano - cost_nano
FROM ({COSTS_OF_EVENTS}) AS paid WHERE tasks.platform = paid.platform AND tasks.chunk = paid.chunk;
DROP INDEX tasks_by_state;
CREATE INDEX tasks_by_state ON tasks (platform, state, chunk, rows);
{_MONEY}
INSERT INTO money {MONEY_OF_TASKS};
{_OBJECTS}
""",
}
"""What brings a ledger of each earlier version one version further, in the transaction that also notes the new one.

The outcome has to be what `CREATE` makes; a column can only be added behind the ones there are.
"""
