"""`python -m tests.faults > tests/faults/README.md` writes the table anew."""

from __future__ import annotations

import sys

from tests.faults.table import markdown

if __name__ == "__main__":
    sys.stdout.write(markdown())
