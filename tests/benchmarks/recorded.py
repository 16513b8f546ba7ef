"""What the ratios were when they were recorded; the quick tests fail below half of them.

Processor time of one process or of all, so that other work on the machine hardly counts. Take new values from the quick
tests' own messages, on a quiet machine, and round them down.
"""

INTAKE = 60.0
"""How many times less processor time a line takes than in a loop over `phonenumbers`."""

RESULTS = {
    "openpyxl": 11.0,
    "xlsxwriter": 8.0,
    "documented": 8.0,
    "no references": 9.0,
    "as LibreOffice": 7.0,
    "prefixes": 6.0,
    "csv": 0.7,
    "zip": 0.7,
}
"""Result rows a second of processor time over those of openpyxl, by kind of file, one core to one."""

MASTER = 70.0
"""Rows of `master.xlsx` a second over those of openpyxl, start-up left out."""

DISPATCH = 0.25
"""Processor time of the same calls in bare aiohttp over that of ours with its workers, per task, start-up left out.

Between 0.22 and 0.30 on a quiet machine, 0.16 beside another test: what we do needs more of the caches.
"""

START_UP = 0.5
"""Processor time of a Python that imports click over that of `orchestrator --help`."""
