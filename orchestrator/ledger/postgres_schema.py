"""The ledger's tables in PostgreSQL, made of what SQLite says of its own: so a column is declared in one place.

All of them lie in a schema of ours, where every job of the database has a number, the first column of each key. The
table `lease` has one row a job: who may write, and what was committed last. What jobs share that call a vendor with the
same key is in `SHARED`: the turns in which they call it, and what they have spent there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.ledger.sqlite import SQLite

SCHEMA: Final = "numbercheck"
VERSION: Final = 3
"""Raised with every change of what is in the schema, functions included: of two programs that take turns in a database
the older one would put its own functions back. A test tells when."""
LOST_LEASE: Final = "NC001"
"""The SQLSTATE with which the fence fails."""
SPENT: Final = "NC002"
"""The SQLSTATE of a release that does not fit the budget any more; the message is what other jobs have spent of it."""
MAKING: Final = 0x4E554D43
"""The advisory lock of who makes the tables, or brings them up to date; that of a job is beside its number."""

SMALL, WHOLE, GONE = range(3)
"""How much of a row has changed: nothing large; something large, or it is new; or it may not be there any more."""

_TYPES: Final = {"INTEGER": "bigint", "REAL": "double precision", "TEXT": 'text COLLATE "C"', "BLOB": "bytea"}
"""`integer` has 32 bits there, `real` four bytes, and text the order of a language."""
_ARRAYS: Final = {"INTEGER": "bigint[]", "REAL": "double precision[]", "TEXT": "text[]", "BLOB": "bytea[]"}

LEASE: Final = f"""
CREATE TABLE {SCHEMA}.lease (
    job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    epoch bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT '',
    renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_s double precision NOT NULL DEFAULT 0,
    ended boolean NOT NULL DEFAULT true,
    position bigint NOT NULL DEFAULT 0,
    backend integer,
    server text NOT NULL DEFAULT '',
    timeline bigint NOT NULL DEFAULT 0,
    token text NOT NULL DEFAULT ''
);
CREATE TABLE {SCHEMA}.schema_version (version bigint NOT NULL, shape text NOT NULL);
"""

SHARED: Final = f"""
ALTER TABLE {SCHEMA}.lease ADD COLUMN IF NOT EXISTS token text NOT NULL DEFAULT '';
CREATE TABLE IF NOT EXISTS {SCHEMA}.salt (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    salt text NOT NULL DEFAULT gen_random_uuid()::text
);
INSERT INTO {SCHEMA}.salt DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS {SCHEMA}.turns (
    vendor text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL DEFAULT '',
    begins_at double precision NOT NULL DEFAULT 0,
    ends_at double precision NOT NULL DEFAULT 0,
    asked_at double precision NOT NULL DEFAULT 0,
    spacing_s double precision NOT NULL DEFAULT 0,
    spaced_at double precision NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.spending (
    vendor text COLLATE "C" PRIMARY KEY,
    spent_nano bigint NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS {SCHEMA}.spenders (
    vendor text COLLATE "C" NOT NULL REFERENCES {SCHEMA}.spending,
    job bigint NOT NULL REFERENCES {SCHEMA}.lease,
    spent_nano bigint NOT NULL DEFAULT 0,
    before_nano bigint NOT NULL DEFAULT 0,
    ended boolean NOT NULL DEFAULT true,
    PRIMARY KEY (vendor, job)
);
"""
"""What databases of before may lack, beside the ledgers themselves.

A vendor is called by a fingerprint of its address and key. `spending` is what all jobs have spent there, `spenders`
what each has, and what others had spent `before_nano` it that had ended by then. Times are the server's, in seconds.
"""

_FUNCTIONS: Final = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.fence(of_job bigint, of_epoch bigint, before bigint, after bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- Who waits for the row behind this finds by this lock which backend has it.
    PERFORM pg_advisory_xact_lock({MAKING}, of_job::integer);
    UPDATE {SCHEMA}.lease SET position = after, renewed_at = clock_timestamp(), backend = pg_backend_pid()
        WHERE job = of_job AND epoch = of_epoch AND position = before;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the lease is another one''s' USING ERRCODE = '{LOST_LEASE}';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION {SCHEMA}.turn(of_vendor text, of_holder text, places bigint, apart_s double precision,
    slack_s double precision,
    OUT begins_s double precision, OUT ends_s double precision, OUT spacing_s double precision)
LANGUAGE plpgsql AS $$
DECLARE
    known {SCHEMA}.turns;
    now_s double precision;
BEGIN
    INSERT INTO {SCHEMA}.turns (vendor) VALUES (of_vendor) ON CONFLICT DO NOTHING;
    SELECT * INTO known FROM {SCHEMA}.turns WHERE vendor = of_vendor FOR UPDATE;
    now_s := extract(epoch FROM clock_timestamp());
    IF now_s < known.asked_at THEN  -- the clock was put back, and what was given out with it
        known.ends_at := known.ends_at - known.asked_at + now_s;
        known.begins_at := known.begins_at - known.asked_at + now_s;
        known.spaced_at := now_s;
    END IF;
    -- Where jobs were told different limits the lowest holds, as long as somebody goes by it.
    IF apart_s >= known.spacing_s OR now_s - known.spaced_at > 60 THEN
        known.spacing_s := apart_s;
        known.spaced_at := now_s;
    END IF;
    spacing_s := known.spacing_s;
    -- Who had the last turn goes on within it: so one that is alone waits for nobody.
    begins_s := greatest(CASE WHEN known.holder = of_holder THEN known.begins_at ELSE known.ends_at END - now_s, 0);
    ends_s := begins_s + places * spacing_s + slack_s;
    UPDATE {SCHEMA}.turns AS t SET holder = of_holder, begins_at = now_s + begins_s,
        ends_at = greatest(known.ends_at, now_s + ends_s), asked_at = now_s,
        spacing_s = known.spacing_s, spaced_at = known.spaced_at WHERE t.vendor = of_vendor;
END $$;

CREATE OR REPLACE FUNCTION {SCHEMA}.share(of_job bigint, vendors text[], nano bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    one text;
BEGIN
    FOREACH one IN ARRAY vendors LOOP
        INSERT INTO {SCHEMA}.spending (vendor) VALUES (one) ON CONFLICT DO NOTHING;
        PERFORM 1 FROM {SCHEMA}.spending WHERE vendor = one FOR UPDATE;
        INSERT INTO {SCHEMA}.spenders (vendor, job) VALUES (one, of_job) ON CONFLICT DO NOTHING;
    END LOOP;
    PERFORM {SCHEMA}.charge(of_job, vendors, nano, NULL);
    -- What had ended before this job began is no part of what it shares; nor what came while it had ended itself.
    UPDATE {SCHEMA}.spenders AS own SET ended = false, before_nano =
        (SELECT spent_nano FROM {SCHEMA}.spending AS s WHERE s.vendor = own.vendor) - own.spent_nano - (
            SELECT coalesce(sum(other.spent_nano), 0) FROM {SCHEMA}.spenders AS other
            LEFT JOIN {SCHEMA}.job ON job.job = other.job
            WHERE other.vendor = own.vendor AND other.job <> of_job AND NOT other.ended AND job.closed_at IS NULL)
    WHERE own.job = of_job AND own.vendor = ANY (vendors) AND own.ended;
END $$;

CREATE OR REPLACE FUNCTION {SCHEMA}.charge(of_job bigint, vendors text[], nano bigint[], room_nano bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    others bigint := 0;
    total bigint;
    own {SCHEMA}.spenders;
BEGIN
    FOR at IN 1 .. coalesce(array_length(vendors, 1), 0) LOOP  -- in order, so that no two wait for one another
        UPDATE {SCHEMA}.spending SET spent_nano = spent_nano + nano[at] - (
            SELECT s.spent_nano FROM {SCHEMA}.spenders AS s WHERE s.vendor = vendors[at] AND s.job = of_job
        ) WHERE vendor = vendors[at] RETURNING spent_nano INTO total;
        UPDATE {SCHEMA}.spenders SET spent_nano = nano[at] WHERE vendor = vendors[at] AND job = of_job
            RETURNING * INTO own;
        others := others + greatest(total - own.spent_nano - own.before_nano, 0);
    END LOOP;
    IF others > room_nano THEN
        RAISE EXCEPTION '%', others USING ERRCODE = '{SPENT}';
    END IF;
    RETURN others;
END $$;

CREATE OR REPLACE FUNCTION {SCHEMA}.events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'events are append-only';
    END IF;
    IF (OLD.seq, OLD.at, OLD.serial, OLD.chunk, OLD.event, OLD.origin, OLD.target, OLD.task_id) IS DISTINCT FROM
        (NEW.seq, NEW.at, NEW.serial, NEW.chunk, NEW.event, NEW.origin, NEW.target, NEW.task_id)
        OR OLD.detail IS DISTINCT FROM NEW.detail
        AND (SELECT closed_at FROM {SCHEMA}.job WHERE job = OLD.job) IS NULL
    THEN
        RAISE EXCEPTION 'events are append-only';
    END IF;
    RETURN NEW;
END $$;
"""
"""A purged job may forget what it knew of numbers, and a platform get another name; see `sqlite_schema`."""

_RULES: Final = f"""
ALTER TABLE {SCHEMA}.tasks
    ADD UNIQUE (job, vendor, task_id) DEFERRABLE INITIALLY DEFERRED,
    ADD CHECK (state <> 'submitted' OR task_id IS NOT NULL),
    ADD FOREIGN KEY (job, platform) REFERENCES {SCHEMA}.platforms DEFERRABLE INITIALLY DEFERRED,
    ADD FOREIGN KEY (job, chunk) REFERENCES {SCHEMA}.chunks DEFERRABLE INITIALLY DEFERRED;
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE ON {SCHEMA}.events
    FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.events_stay();
CREATE TRIGGER events_last BEFORE TRUNCATE ON {SCHEMA}.events
    FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.events_stay();
"""


class Column(NamedTuple):
    """A column as SQLite tells it; `key` is its place in the primary key, from 1 on, or 0."""

    name: str
    kind: str
    not_null: bool
    default: str | None
    key: int

    @property
    def is_large(self) -> bool:
        """Whether it may be megabytes, and is sent only when it was changed itself."""
        return self.kind == "BLOB"


@dataclass(frozen=True)
class Table:
    """A table of the ledger, and the statements by which its rows come and go. Large columns stand last.

    Which rows have changed stands in a table beside it, `log`, of the mirror alone: their keys, and how much of them.
    """

    name: str
    columns: tuple[Column, ...]

    @cached_property
    def log(self) -> str:
        return f"changed_{self.name}"

    @cached_property
    def keys(self) -> tuple[Column, ...]:
        return tuple(sorted((column for column in self.columns if column.key), key=lambda column: column.key))

    @cached_property
    def small(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if not column.is_large)

    @property
    def has_large(self) -> bool:
        return len(self.small) < len(self.columns)

    # --- in the mirror -----------------------------------------------------------------------------------------------

    def watch(self) -> list[str]:
        """Return the statements that have the mirror note which rows change."""
        keys = [column.name for column in self.keys]
        news, olds = (", ".join(f"{row}.{key}" for key in keys) for row in ("new", "old"))
        note = f"INSERT INTO {self.log} VALUES ({{}}, {{}}) ON CONFLICT DO UPDATE SET much = max(much, excluded.much);"
        moved = f"CASE WHEN ({olds}) IS NOT ({news}) THEN {GONE} ELSE {SMALL} END"
        whole = f"BEGIN {note.format(news, WHOLE)} END"
        gone = f"BEGIN {note.format(olds, GONE)} END"
        changed = f"BEGIN {note.format(olds, moved)} {note.format(news, moved)} END"
        large = ", ".join(column.name for column in self.columns if column.is_large)
        trigger = f"CREATE TEMP TRIGGER {self.log}_{{}} AFTER {{}} ON main.{self.name} {{}}"
        return [
            f"CREATE TEMP TABLE {self.log} ({', '.join(keys)}, much, PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID",
            trigger.format("new", "INSERT", whole),
            trigger.format("gone", "DELETE", gone),
            trigger.format("same", "UPDATE", changed),
            *([trigger.format("large", f"UPDATE OF {large}", whole)] if large else []),
        ]

    @cached_property
    def gone(self) -> str:
        """The keys of rows that are not there any more, as a reading of the mirror."""
        same = " AND ".join(f"{self.name}.{key.name} = {self.log}.{key.name}" for key in self.keys)
        keys = ", ".join(key.name for key in self.keys)
        absent = f"NOT EXISTS (SELECT 1 FROM {self.name} WHERE {same})"
        return f"SELECT {keys} FROM {self.log} WHERE much = {GONE} AND {absent}"

    def kept(self, *, whole: bool) -> str:
        """Return the reading of the mirror that gives changed rows as they are now."""
        names = ", ".join(f"{self.name}.{column.name}" for column in (self.columns if whole else self.small))
        much = f" WHERE much {'>' if whole else '='} {SMALL}" if self.has_large else ""
        keys = ", ".join(key.name for key in self.keys)
        return f"SELECT {names} FROM {self.log} JOIN {self.name} USING ({keys}){much}"

    # --- in the database ---------------------------------------------------------------------------------------------

    def create(self) -> str:
        columns = [f'"{c.name}" {_TYPES[c.kind]}{" NOT NULL" * (c.not_null or c.key > 0)}' for c in self.columns]
        return (
            f"CREATE TABLE {SCHEMA}.{self.name} (job bigint NOT NULL REFERENCES {SCHEMA}.lease, "
            f"{', '.join(columns)}, PRIMARY KEY (job, {_names(self.keys)}));\n"
        )

    def add(self, column: Column) -> str:
        default = f" DEFAULT {column.default}" if column.default is not None else ""
        return (
            f'ALTER TABLE {SCHEMA}.{self.name} ADD COLUMN "{column.name}" {_TYPES[column.kind]}'
            f"{' NOT NULL' * column.not_null}{default};\n"
        )

    def read(self, job: int) -> str:
        """Return the statement that copies a job's rows out, in the order of `columns`."""
        rows = f"SELECT {_names(self.columns)} FROM {SCHEMA}.{self.name} WHERE job = {job} ORDER BY {_names(self.keys)}"
        return f"COPY ({rows}) TO STDOUT (FORMAT binary)"

    def types(self) -> list[str]:
        """Return the types of `columns`, as a COPY is read by."""
        return [{"INTEGER": "int8", "REAL": "float8", "TEXT": "text", "BLOB": "bytea"}[c.kind] for c in self.columns]

    @cached_property
    def put_whole(self) -> str:
        """Make rows what they are now: an array for each column, in their order."""
        return self._put(self.columns)

    @cached_property
    def put_small(self) -> str:
        """The same for rows of which nothing large has changed."""
        return self._put(self.small)

    def _put(self, columns: tuple[Column, ...]) -> str:
        changed = [f'"{column.name}" = excluded."{column.name}"' for column in columns if not column.key]
        return (
            f"INSERT INTO {SCHEMA}.{self.name} (job, {_names(columns)}) SELECT %s, * FROM unnest({_arrays(columns)}) "
            f"ON CONFLICT (job, {_names(self.keys)}) DO UPDATE SET {', '.join(changed)}"
        )

    @cached_property
    def remove(self) -> str:
        """Delete rows: an array for each column of the key."""
        these = f"({_names(self.keys)}) IN (SELECT * FROM unnest({_arrays(self.keys)}))"
        return f"DELETE FROM {SCHEMA}.{self.name} WHERE job = %s AND {these}"


def _names(columns: Iterable[Column]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _arrays(columns: Iterable[Column]) -> str:
    return ", ".join(f"%s::{_ARRAYS[column.kind]}" for column in columns)


def tables_of(mirror: SQLite) -> tuple[Table, ...]:
    """Return the tables that a ledger in SQLite has; `job` first, for what others are allowed depends on it."""
    names = [name for (name,) in mirror.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = []
    for name in sorted(names, key=lambda name: (name != "job", name)):
        rows = list(mirror.rows(f"PRAGMA table_info({name})"))
        columns = (Column(column, kind, bool(full), default, key) for _, column, kind, full, default, key in rows)
        found.append(Table(name, tuple(sorted(columns, key=lambda column: column.is_large))))
    return tuple(found)


def creation(tables: Sequence[Table]) -> str:
    """Return the statements that make everything in an empty schema."""
    return "".join((LEASE, *(table.create() for table in tables), SHARED, _FUNCTIONS, _RULES))


def additions(tables: Sequence[Table], there: Mapping[str, set[str]]) -> str:
    """Return the statements that add what a schema of before lacks; `there` has the columns of its tables."""
    statements = []
    for table in tables:
        if table.name not in there:
            statements.append(table.create())
        else:
            statements += [table.add(column) for column in table.columns if column.name not in there[table.name]]
    return "".join((*statements, SHARED, _FUNCTIONS))


def shape(tables: Sequence[Table]) -> str:
    """Return what tells two schemas of one version apart."""
    return hashlib.sha256(creation(tables).encode()).hexdigest()
