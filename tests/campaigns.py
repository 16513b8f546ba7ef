"""Every campaign behind one command.

    python -m tests.campaigns                         # every test of all of them, some 20 minutes
    python -m tests.campaigns --quick                 # those whose turn it is, as CI runs them
    python -m tests.campaigns simulation faults       # every test of some
    python -m tests.campaigns --full powerloss        # one with all that it can draw, which may take hours
    python -m tests.campaigns --table                 # what stands in tests/README.md

A campaign proves what a single test can't: whole jobs, real processes, thousands of drawn cases. Its tests are the
folder of its name. Where these take long, only a part of them is run for a commit, by its time, and another part for
the next: that is the quick form. The full form is a command of its own, with options of its own (`--help` shows them).
The exit code is 1 if any campaign failed; the others run all the same.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign. `folder` has its tests, `full` are the modules that are run, with their options.

    `takes` is how long the full form takes on two quiet cores, `last` what the last whole run was and found. The quick
    form runs one in `one_in` of its tests.
    """

    name: str
    what: str
    full: tuple[str, ...]
    takes: str
    last: str
    one_in: int = 1

    @property
    def folder(self) -> str:
        return f"tests/{self.name}"


CAMPAIGNS = (
    Campaign(
        "simulation",
        "whole jobs in virtual time, with faults, kills, retries, grown lists, restarts; their ledger in a file or in "
        "PostgreSQL, their files here or in a bucket, coordinators lost, replaced, woken; quotes, budgets, prices, "
        "conditions, a month before; the pure rules alone, fast",
        (
            "tests.simulation --seeds 20000",
            "tests.simulation --ledger database --seeds 2000",
            "tests.simulation --ledger bucket --seeds 2000",
            "tests.simulation --money --seeds 2000",
            "tests.simulation --fast --seeds 1000000",
        ),
        "5 h",
        "20,000 jobs on one version and 2,000 after it: 98,000 runs, 13,000 kills, 366,000 faults, none broken; some "
        "900 with their ledger in a database, 100 with their files in a bucket, too, and 500 of money over the last "
        "versions: three faults, mended, worlds that no vendor has, and an operator who asks the same few for ever",
        one_in=3,
    ),
    Campaign(
        "job",
        "whole jobs, command by command: plan, run, retry, resolve, extend, reuse, enrich and the rest",
        ("pytest tests/job",),
        "5 min",
        "in every run of CI",
    ),
    Campaign(
        "mistakes",
        "what people get wrong, with what the program says to it; every way out that a message names is taken",
        ("pytest tests/mistakes",),
        "2 min",
        "in every run of CI",
    ),
    Campaign(
        "storage",
        "whole jobs in buckets of S3 servers, of Azure's emulator, and as Google's; their inputs there too; machines "
        "that take over from others; buckets and databases that fall silent",
        ("pytest tests/storage",),
        "2 min",
        "a third of it in each run of CI",
        one_in=3,
    ),
    Campaign(
        "faults",
        "each fault of network, vendor and files alone, healed afterwards",
        ("pytest tests/faults",),
        "2 min",
        "a third of it in each run of CI",
        one_in=3,
    ),
    Campaign(
        "syscalls",
        "SIGKILL, ENOSPC, EIO, EMFILE at the n-th call of real processes, with strace; a disk that is full",
        ("tests.syscalls",),
        "1 h",
        "all 1,356 points on an earlier version, 250 after it",
        one_in=3,
    ),
    Campaign(
        "powerloss",
        "the power cut at a point of a recorded run; what was not synced is lost, torn or reordered",
        ("tests.powerloss --states 2000",),
        "30 min",
        "2,000 losses, none broken",
        one_in=3,
    ),
    Campaign(
        "privacy",
        "every command under every fault, everything that is written searched for numbers, keys and links",
        ("tests.privacy",),
        "20 min",
        "151 lives, 2,950 commands, 34 MB searched on an earlier version",
        one_in=3,
    ),
    Campaign(
        "fuzz",
        "broken lists and results are read or refused; readers agree on drawn tables, and lose nothing of them",
        (
            *("tests.fuzz.lists --seeds 10000", "tests.fuzz.tables --seeds 100000"),
            *("tests.fuzz.results --seeds 20000", "tests.fuzz.readers --seeds 20000"),
        ),
        "2 h",
        "23,500 lists and 101,000 messy tables over several versions, the last 3,000 lists and 8,000 tables nearly on "
        "this one; 20,000 broken results on an earlier version",
    ),
    Campaign(
        "e2e",
        "the program as a process: kills, signals, streams, machines that lack something, messy lists, a loop that is "
        "held up; its report in a browser",
        ("pytest tests/e2e",),
        "5 min",
        "a third of it in each run of CI",
        one_in=3,
    ),
    Campaign(
        "engines",
        "pieces in worker processes that die, hoard and hang; pieces on a real Dask cluster, of which workers and "
        "scheduler are killed and frozen in the middle",
        ("pytest tests/engines",),
        "3 min",
        "a third of it in each run of CI",
        one_in=3,
    ),
    Campaign(
        "pipelines",
        "the pipelines that init writes, played with their real shell: interrupted, killed, an older directory, none",
        ("tests.pipelines --numbers 50000",),
        "5 min",
        "see the manual: ci",
        one_in=3,
    ),
    Campaign(
        "ablations",
        "safeguards taken out one at a time, in a copy of the package; a named test must fail",
        ("pytest tests/ablations",),
        "4 min",
        "a sixth of it in each run of CI",
        one_in=6,
    ),
    Campaign(
        "benchmarks",
        "speed and memory beside what a user would write without the program; the table of the manual's page on speed",
        ("tests.benchmarks",),
        "20 min",
        "see the manual: speed",
        one_in=3,
    ),
)


def tests_command(chosen: list[Campaign], *, quick: bool) -> list[str]:
    """One call of pytest for all of them, so that the long tests of one fill the gaps of another."""
    # More than there are cores: a played pipeline, a deadline or a cluster that starts waits half of its time. Not
    # "auto": beside psutil that counts physical cores, and most virtual machines call two of theirs one.
    processes = str((os.cpu_count() or 1) + 2)
    its_turn = ["--turn", str(turn())] if quick else []
    command = [sys.executable, "-m", "pytest", "--numprocesses", processes, "--dist", "worksteal", *its_turn]
    return [*command, *(campaign.folder for campaign in chosen)]


def turn() -> int:
    """Return by which number it is chosen whose turn it is: the time of the last commit, which any clone knows.

    Where there is no git it is the day.
    """
    asked = ["git", "-C", str(Path(__file__).parent), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - no shell
    except (OSError, ValueError, subprocess.CalledProcessError):
        return int(time.time()) // 86_400


def whose_turn(nodes: Collection[str], now: int) -> set[str]:
    """Return which tests of campaigns, by their node ids, are to be run `now`; those of other folders always are.

    The cases of one test are spread over all turns, after a shuffle that is always the same: those of two parameters
    come in a regular order, and one in three of them might have one value of a parameter each time.
    """
    one_in = {campaign.folder: campaign.one_in for campaign in CAMPAIGNS}
    folders: dict[str, list[str]] = {}
    for node in sorted(nodes, key=lambda node: (node.partition("[")[0], zlib.crc32(node.encode()))):
        folders.setdefault("/".join(node.split("/")[:2]), []).append(node)
    chosen: set[str] = set()
    for folder, tests in folders.items():
        every = one_in.get(folder, 1)
        chosen.update(tests[now % every :: every])
    return chosen


def full_commands(chosen: list[Campaign]) -> list[list[str]]:
    return [[sys.executable, "-m", *shlex.split(command)] for campaign in chosen for command in campaign.full]


def table() -> str:
    """Return what stands in tests/README.md."""
    rows = ["| campaign | what it does | full form takes | last whole run |", "|---|---|---|---|"]
    rows += [f"| `{c.name}` | {c.what} | {c.takes} | {c.last} |" for c in CAMPAIGNS]
    return "\n".join(rows) + "\n"


def main() -> int:
    """Run what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaigns", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [campaign.name for campaign in CAMPAIGNS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all of them when left out: {', '.join(names)}")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--quick", action="store_true", help="the tests whose turn it is, as CI runs them")
    forms.add_argument("--full", action="store_true", help="with all that they can draw")
    forms.add_argument("--table", action="store_true", help="print the table of campaigns")
    forms.add_argument("--turn", action="store_true", help="print by which number it is chosen whose turn it is")
    given = parser.parse_args()
    if unknown := sorted(set(given.names).difference(names)):
        parser.error(f"there is no campaign {', '.join(unknown)}; there are {', '.join(names)}")
    if given.turn:
        sys.stdout.write(f"{turn()}\n")
        return 0
    if given.table:
        sys.stdout.write(table())
        return 0
    chosen = [campaign for campaign in CAMPAIGNS if campaign.name in (given.names or names)]
    failed = 0
    for command in full_commands(chosen) if given.full else [tests_command(chosen, quick=given.quick)]:
        told, begun = shlex.join(command[1:]), time.monotonic()
        print(f"+ python {told}", file=sys.stderr, flush=True)  # noqa: T201 - it may take hours
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - our own
        failed += code != 0
        print(f"exit code {code} after {time.monotonic() - begun:.0f} s: {told}", file=sys.stderr, flush=True)  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
