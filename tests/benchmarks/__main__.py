"""Measure everything beside its baseline and print one table, in Markdown.

    python -m tests.benchmarks                        # all of it, up to 20 minutes on two cores
    python -m tests.benchmarks --quick                # small sizes: whether it works, and rough ratios
    python -m tests.benchmarks --only intake help     # some rows
    python -m tests.benchmarks --size master=10_000_000 --only master
    python -m tests.benchmarks --hundred              # the list of 100 M lines too

Every row comes from one run on one machine: both sides take turns, start-up and syncs included, and what they wrote is
compared; a difference, or a benchmark that can't be done, is a row that says so, and exit code 1. Ratios are medians of
the turns. Memory is resident memory, summed over all processes of the program, at its peak.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback
from dataclasses import replace

from tests.benchmarks import intake
from tests.benchmarks.figures import HEADER, Row, line
from tests.benchmarks.rows import BENCHMARKS, FULL, GROWTH_HEADER, NONE, QUICK, Size, growth

GROWTH = (1_000_000, 10_000_000)
HUNDRED = 100_000_000
QUICK_GROWTH = (50_000, 500_000)


def say(text: str) -> None:
    """Write a line at once: what was measured stands, whatever comes after it."""
    print(text, flush=True)  # noqa: T201 - the point


def measured(name: str, size: Size) -> bool:
    """Print the rows of one benchmark; return whether it could be done and both sides agreed."""
    print(f"measuring {name}", file=sys.stderr, flush=True)  # noqa: T201 - it takes minutes
    try:
        for row in BENCHMARKS[name](size):
            say(line(row))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the other rows are wanted all the same
        traceback.print_exception(error)
        said = " ".join(str(error).split()).replace("|", "/")[:200]
        say(line(Row(name, NONE, NONE, NONE, NONE, NONE, NONE, f"**failed**: {said}")))
        return False
    return True


def grown(sizes: tuple[int, ...]) -> None:
    """Print how time and memory of reading a list grow with it."""
    say(f"\nReading a list, as it grows (100 M lines in less than 2 GiB; aim: 1 GiB):\n\n{GROWTH_HEADER}")
    for lines in sizes:
        print(f"measuring {lines:,} lines", file=sys.stderr, flush=True)  # noqa: T201 - it takes minutes
        say(growth(lines, intake.alone(lines)))


def sizes_of(given: argparse.Namespace) -> dict[str, Size]:
    """Return the size of each benchmark; raises `ValueError` for a wish that can't be read."""
    sizes = dict(QUICK if given.quick else FULL)
    for wish in given.size:
        name, _, count = wish.partition("=")
        if name not in sizes:
            raise ValueError(f"{name}: no such benchmark; there are {', '.join(sizes)}")
        sizes[name] = replace(sizes[name], count=int(count))
    return sizes


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=[*BENCHMARKS, "growth"], default=[*BENCHMARKS, "growth"])
    parser.add_argument("--quick", action="store_true", help="small sizes, once each")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=COUNT", help="another size of a benchmark")
    parser.add_argument("--hundred", action="store_true", help="read a list of 100 M lines too")
    given = parser.parse_args()
    try:
        sizes = sizes_of(given)
    except ValueError as error:
        parser.error(str(error))
    say(f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}\n")
    say(f"{line(HEADER)}\n{'|---' * len(Row.__slots__)}|")
    well = [measured(name, sizes[name]) for name in BENCHMARKS if name in given.only]
    if given.hundred or "growth" in given.only:
        grown((QUICK_GROWTH if given.quick else GROWTH) + (HUNDRED,) * given.hundred)
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
