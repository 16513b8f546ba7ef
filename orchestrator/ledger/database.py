"""A ledger's place in a PostgreSQL database: frozen, so that another process that is given it finds the same."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

DEFAULT_LEASE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Database:
    """The ledger of `job` in the database at `url`, which tells no password.

    `options` are what the environment says of the connection, such as PGSSLMODE: a worker's environment says nothing.
    `lease_s` and `timeline` are the settings of these names.
    """

    url: str
    job: str
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    lease_s: float = DEFAULT_LEASE_S
    timeline: int = 0

    def __str__(self) -> str:
        return f"{self.url}, job {self.job}"


def psycopg() -> ModuleType:
    """Import the library that speaks to PostgreSQL, of an extra; `UsageError` where it is missing."""
    try:
        import psycopg  # noqa: PLC0415 - its extra may be missing
    except ImportError as error:
        raise UsageError(
            "[ledger] url needs a library that is not here; pip install 'numbercheck-orchestrator[postgres]', or leave "
            f"url out ({error})"
        ) from error
    # At the end of a pipeline it warns of what it raises all the same.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    return psycopg


def connection_options(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what the variables of PostgreSQL's own library say of a connection, without the password."""
    options = {
        option.keyword.decode(): environ[option.envvar.decode()]
        for option in psycopg().pq.Conninfo.get_defaults()
        if option.envvar and environ.get(option.envvar.decode())
    }
    options.pop("password", None)
    if "HOME" in environ and "passfile" not in options:
        options["passfile"] = os.path.join(environ["HOME"], ".pgpass")  # noqa: PTH118 - a text, for a library
    return tuple(sorted(options.items()))


def conninfo(database: Database, **more: Any) -> str:
    """Return what the library connects by: the URL has the last word over the environment, save for the encoding.

    In another one than UTF-8 not all could be said that a vendor says.
    """
    from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415 - its extra may be missing

    found: dict[str, Any] = {**dict(database.options), **more}
    if database.password:
        found["password"] = database.password
    try:
        return make_conninfo(**{**found, **conninfo_to_dict(database.url), "client_encoding": "UTF8"})
    except psycopg().ProgrammingError as error:
        raise UsageError(f"[ledger] url: {' '.join(str(error).split())}; see orchestrator help postgres") from None
