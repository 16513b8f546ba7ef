"""What the ledger says to its database is said so that another one would understand it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import orchestrator.ledger
from orchestrator.ledger.platform_table import NAMED
from orchestrator.ledger.sqlite_schema import CREATE

FOLDER = Path(orchestrator.ledger.__file__).parent
OF_SQLITE = {"sqlite.py", "sqlite_schema.py"}
REFUSED = re.compile(
    r"\b(?:PRAGMA|INDEXED BY|INSERT OR|UPDATE OR|ifnull|iif|json_\w+|printf|rowid|LIMIT -1|BEGIN IMMEDIATE|VACUUM)\b"
    r"|ON CONFLICT DO UPDATE"
)
"""What SQLite takes and PostgreSQL refuses, or takes for something else."""
STATEMENT = re.compile(r"^\s*(?:SELECT|INSERT|UPDATE|DELETE|SAVEPOINT|ROLLBACK|RELEASE|COMMIT)\b|\b(?:FROM|WHERE)\b")


def texts(path: Path) -> list[str]:
    """Return the texts in a module that are, or are parts of, statements."""
    found = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return [text for text in found if isinstance(text, str) and STATEMENT.search(text)]


MODULES = sorted(path for path in FOLDER.glob("*.py") if path.name not in OF_SQLITE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_only_what_both_take(path: Path) -> None:
    """Save for the modules of one database, no statement has words that another database does not know."""
    assert [text for text in texts(path) if REFUSED.search(text)] == []


def test_all_tables_that_name_a_platform() -> None:
    """A platform that is renamed is renamed in each of them."""
    tables = re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", CREATE, re.DOTALL)
    columns = {
        (table, column) for table, rows in tables for column in re.findall(r"^    (\w*platform) ", rows, re.MULTILINE)
    }
    assert columns | {("platforms", "name")} == set(NAMED)


def test_the_statements_are_found() -> None:
    """What is looked through is what the ledger says: the search for it can't fail in silence."""
    assert sum(len(texts(path)) for path in MODULES) > 60
