"""What the ledger's statements name is all that there is."""

from __future__ import annotations

import re

from orchestrator.ledger.platform_table import NAMED
from orchestrator.ledger.sqlite_schema import CREATE


def test_all_tables_that_name_a_platform() -> None:
    """A platform that is renamed is renamed in each of them."""
    tables = re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", CREATE, re.DOTALL)
    columns = {
        (table, column) for table, rows in tables for column in re.findall(r"^    (\w*platform) ", rows, re.MULTILINE)
    }
    assert columns | {("platforms", "name"), ("conditions", "other")} == set(NAMED)
