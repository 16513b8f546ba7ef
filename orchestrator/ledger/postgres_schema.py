"""The ledger's tables in PostgreSQL, made of what SQLite says of its own: so a column is declared in one place.

All of them lie in a schema of ours, where every job of the database has a number, the first column of each key. The
table `lease` has one row a job: who may write, and what was committed last.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from orchestrator.ledger.sqlite_schema import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orchestrator.ledger.sqlite import SQLite

SCHEMA: Final = "numbercheck"
LOST_LEASE: Final = "NC001"
"""The SQLSTATE with which the fence fails."""
MAKING: Final = 0x4E554D43
"""The advisory lock of who makes the tables, or brings them up to date; that of a job is beside its number."""

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
    timeline bigint NOT NULL DEFAULT 0
);
CREATE TABLE {SCHEMA}.schema_version (version bigint NOT NULL, shape text NOT NULL);
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


class Table(NamedTuple):
    """A table of the ledger, and the statements by which its rows come and go. `LARGE` columns stand last."""

    name: str
    columns: tuple[Column, ...]

    @classmethod
    def of(cls, name: str, columns: Iterable[Column]) -> Table:
        return cls(name, tuple(sorted(columns, key=lambda column: column.is_large)))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(column.name for column in sorted(self.columns, key=lambda column: column.key) if column.key)

    @property
    def has_large(self) -> bool:
        return any(column.is_large for column in self.columns)

    def watch(self) -> list[str]:
        """Return the statements that have SQLite note which rows change, in a table of this connection's own.

        `large` is 1 where all of a row is to be sent: it is new, or something large of it has changed.
        """
        log, keys = f"changed_{self.name}", self.keys
        news, olds = (", ".join(f"{row}.{key}" for key in keys) for row in ("new", "old"))
        note = f"INSERT INTO {log} VALUES ({{}}, {{}}) ON CONFLICT DO UPDATE SET large = max(large, excluded.large);"
        moved = f"({olds}) IS NOT ({news})"
        changed = f"{note.format(olds, moved)} {note.format(news, moved)}"
        whole = f"BEGIN {note.format(news, 1)} END"
        large = ", ".join(column.name for column in self.columns if column.is_large)
        return [
            f"CREATE TEMP TABLE {log} ({', '.join(keys)}, large, PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID",
            f"CREATE TEMP TRIGGER {log}_new AFTER INSERT ON main.{self.name} BEGIN {note.format(news, 1)} END",
            f"CREATE TEMP TRIGGER {log}_gone AFTER DELETE ON main.{self.name} BEGIN {note.format(olds, 1)} END",
            f"CREATE TEMP TRIGGER {log}_same AFTER UPDATE ON main.{self.name} BEGIN {changed} END",
            *([f"CREATE TEMP TRIGGER {log}_large AFTER UPDATE OF {large} ON main.{self.name} {whole}"] * bool(large)),
        ]

    def chosen(self, *, large: bool) -> tuple[Column, ...]:
        return self.columns if large else tuple(column for column in self.columns if not column.is_large)

    def create(self) -> str:
        columns = [f'"{c.name}" {_TYPES[c.kind]}{" NOT NULL" * (c.not_null or c.key > 0)}' for c in self.columns]
        key = ", ".join(("job", *(f'"{name}"' for name in self.keys)))
        return (
            f"CREATE TABLE {SCHEMA}.{self.name} (job bigint NOT NULL REFERENCES {SCHEMA}.lease, "
            f"{', '.join(columns)}, PRIMARY KEY ({key}));\n"
        )

    def add(self, column: Column) -> str:
        default = f" DEFAULT {column.default}" if column.default is not None else ""
        return (
            f'ALTER TABLE {SCHEMA}.{self.name} ADD COLUMN "{column.name}" {_TYPES[column.kind]}'
            f"{' NOT NULL' * column.not_null}{default};\n"
        )

    def read(self) -> str:
        """Return the statement that copies a job's rows out, in the order of `columns`."""
        names = ", ".join(f'"{column.name}"' for column in self.columns)
        order = ", ".join(f'"{name}"' for name in self.keys)
        rows = f"SELECT {names} FROM {SCHEMA}.{self.name} WHERE job = {{job}} ORDER BY {order}"
        return f"COPY ({rows}) TO STDOUT (FORMAT binary)"

    def types(self) -> list[str]:
        return [{"INTEGER": "int8", "REAL": "float8", "TEXT": "text", "BLOB": "bytea"}[c.kind] for c in self.columns]

    def put(self, *, large: bool) -> str:
        """Return the statement that makes rows what they are now: an array for each column, in their order."""
        columns = self.chosen(large=large)
        names = [f'"{column.name}"' for column in columns]
        arrays = ", ".join(f"%s::{_ARRAYS[column.kind]}" for column in columns)
        changed = [f"{name} = excluded.{name}" for name, column in zip(names, columns, strict=True) if not column.key]
        keys = ", ".join(f'"{name}"' for name in self.keys)
        then = f"UPDATE SET {', '.join(changed)}" if changed else "NOTHING"
        return (
            f"INSERT INTO {SCHEMA}.{self.name} (job, {', '.join(names)}) SELECT %s, * FROM unnest({arrays}) "
            f"ON CONFLICT (job, {keys}) DO {then}"
        )

    def remove(self) -> str:
        """Return the statement that deletes rows: an array for each column of the key."""
        kinds = {column.name: column.kind for column in self.columns}
        names = ", ".join(f'"{name}"' for name in self.keys)
        arrays = ", ".join(f"%s::{_ARRAYS[kinds[name]]}" for name in self.keys)
        return f"DELETE FROM {SCHEMA}.{self.name} WHERE job = %s AND ({names}) IN (SELECT * FROM unnest({arrays}))"


def tables_of(mirror: SQLite) -> tuple[Table, ...]:
    """Return the tables that a ledger in SQLite has; `job` first, for what others are allowed depends on it."""
    names = [name for (name,) in mirror.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = []
    for name in sorted(names, key=lambda name: (name != "job", name)):
        rows = list(mirror.rows(f"PRAGMA table_info({name})"))
        columns = (Column(column, kind, bool(full), default, key) for _, column, kind, full, default, key in rows)
        found.append(Table.of(name, columns))
    return tuple(found)


def creation(tables: Sequence[Table]) -> str:
    """Return the statements that make everything in an empty schema."""
    return "".join((LEASE, *(table.create() for table in tables), _FUNCTIONS, _RULES))


def additions(tables: Sequence[Table], there: Mapping[str, set[str]]) -> str:
    """Return the statements that add what a schema of before lacks; `there` has the columns of its tables."""
    statements = []
    for table in tables:
        if table.name not in there:
            statements.append(table.create())
        else:
            statements += [table.add(column) for column in table.columns if column.name not in there[table.name]]
    return "".join((*statements, _FUNCTIONS))


def shape(tables: Sequence[Table]) -> str:
    """Return what tells two schemas of one version apart."""
    return hashlib.sha256(creation(tables).encode()).hexdigest()


VERSION: Final = SCHEMA_VERSION
