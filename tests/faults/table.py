"""The table of faults: all rows, and how they look in README.md beside this file."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from orchestrator.errors import ExitCode
from tests.faults import files, hosts, results, statuses, submits
from tests.faults.rows import Row

GROUPS = (
    hosts.CONNECT,
    submits.SEND,
    submits.ANSWER,
    statuses.GROUP,
    results.TASK,
    results.DOWNLOAD,
    files.GROUP,
    hosts.HOST,
)
STRUCK = [
    row for group in GROUPS for row in (*hosts.ROWS, *submits.ROWS, *statuses.ROWS, *results.ROWS) if row.group == group
]
"""What strikes calls, addresses and the machine; files have a test of their own."""
ALL = sorted((*STRUCK, *files.ROWS), key=lambda row: GROUPS.index(row.group))

MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.SOME_FAILED: "some failed for good",
    ExitCode.USAGE: "refused, nothing sent",
    ExitCode.HELD: "held for a decision",
    ExitCode.VENDOR_STOP: "the vendor says stop",
    ExitCode.LOCKED: "another run holds the job",
    ExitCode.AGAIN: "run again",
}

HEAD = """# Faults, and what the program does about each

<!-- Written by `python -m tests.faults > tests/faults/README.md` from the rows beside this file; a test compares. -->

Each fault strikes the whole program alone: its real HTTP client against a vendor on real sockets, its ledger and its
files in a real file system, in virtual time. The job has two platforms, of which one is at a vendor with the fault, all
the time; the other one always comes to its end. Then the fault heals, held tasks are resolved, and the next run must
end with the complete master, with each chunk paid exactly once. Where a second exit code stands, it is that of a run in
which the fault strikes once. Pairs of faults, and more, are drawn by `python -m tests.simulation`.
"""


def markdown() -> str:
    """Write the table."""
    parts = [HEAD, counts()]
    for group, rows in groupby(ALL, key=lambda row: row.group):
        lines = [f"\n## {group}\n", "| fault | what the program does | exit code |", "|---|---|---|"]
        lines += [f"| {row.fault} | {row.does} | {codes(row)} |" for row in rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def codes(row: Row) -> str:
    """Say how runs end."""
    lasting, *once = row.codes
    return f"{lasting}, once: {once[0]}" if once else str(lasting)


def counts() -> str:
    """Count faults by group and by how a run ends while they last."""
    ends = list(dict.fromkeys(code for code in MEANINGS if any(row.lasting.code == code for row in ALL)))
    found = Counter((row.group, row.lasting.code) for row in ALL)
    lines = [
        "| faults | " + " | ".join(f"{int(code)}: {MEANINGS[code]}" for code in ends) + " | all |",
        "|---" * (len(ends) + 2) + "|",
    ]
    for group in GROUPS:
        numbers = [found[group, code] for code in ends]
        lines.append(f"| {group} | " + " | ".join(str(n or "") for n in numbers) + f" | {sum(numbers)} |")
    totals = [sum(found[group, code] for group in GROUPS) for code in ends]
    lines.append("| all | " + " | ".join(map(str, totals)) + f" | {sum(totals)} |")
    return "\n".join(lines) + "\n"
