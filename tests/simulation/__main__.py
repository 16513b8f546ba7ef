"""The campaign: `python -m tests.simulation --seeds N --from K` lives through N seeds of the whole program.

Every seed that breaks a promise is told with the command that replays it; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from tests.postgres import Server
from tests.simulation.checks import BrokenPromiseError
from tests.simulation.elsewhere import VirtualDatabase
from tests.simulation.fast import play_fast
from tests.simulation.money import MoneyOperator
from tests.simulation.money_scenario import drawn_money
from tests.simulation.playing import play
from tests.simulation.scenario import drawn, moved
from tests.simulation.whole import Story


def say(text: str) -> None:
    """Print what any terminal can take: some of it is half characters that a fault has sent."""
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def main() -> int:
    options = _options()
    with virtual_database() if options.ledger != "file" else nullcontext() as database:
        return _campaign(options, database)


def _campaign(options: argparse.Namespace, database: VirtualDatabase | None) -> int:
    begun, failed = time.monotonic(), []
    total: Counter[str] = Counter()
    virtual_s = 0.0
    for seed in range(options.first, options.first + options.seeds):
        try:
            story = _play(seed, options, database)
        except BrokenPromiseError as error:
            failed.append(seed)
            say(f"=== seed {seed}: {error}")
            if len(failed) >= options.most_failures:
                break
            continue
        if (seed + 1 - options.first) % 500 == 0:
            say(f"{seed + 1 - options.first} seeds, broken: {failed or 'none'}")
        total.update(story.counts)
        virtual_s += story.virtual_s
        if options.trace:
            say("\n".join(story.trace))
    took_s = time.monotonic() - begun
    done = seed - options.first + 1
    say(f"{done} seeds in {took_s:.1f} s, {virtual_s / 3600:.1f} virtual hours; broken: {failed or 'none'}")
    if options.counts:
        say("\n".join(f"{count:8} {name}" for name, count in sorted(total.items())))
    return 1 if failed else 0


@contextmanager
def virtual_database() -> Iterator[VirtualDatabase]:
    """Start a server for the whole campaign."""
    server = Server()
    try:
        database = VirtualDatabase(server.make())
        yield database
        database.close()
    finally:
        server.remove()


def _play(seed: int, options: argparse.Namespace, database: VirtualDatabase | None) -> Story:
    if options.fast:
        return Story(seed, counts=Counter(events=play_fast(seed)))
    if options.money:
        return play(seed, drawn_money(seed), "--money", live=MoneyOperator)
    if options.faults:
        chosen = drawn(seed, faults=options.faults.split(","), rate=options.rate)
        return play(seed, chosen, shlex.join(["--faults", options.faults, "--rate", str(options.rate)]))
    if database is not None:
        where = moved(drawn(seed), in_bucket=options.ledger == "bucket")
        return play(seed, where, f"--ledger {options.ledger}", database=database)
    return play(seed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--fast", action="store_true", help="the fast tier: schedule and rules alone")
    where = "where the ledger is: a file, a PostgreSQL database, or that with the directory in a bucket"
    parser.add_argument("--ledger", choices=("file", "database", "bucket"), default="file", help=where)
    parser.add_argument("--money", action="store_true", help="quotes, budgets, prices, conditions, a month before")
    parser.add_argument("--trace", action="store_true", help="print what happens")
    parser.add_argument("--counts", action="store_true", help="print how often each thing happened")
    parser.add_argument("--faults", help="these, separated by commas, instead of drawn ones")
    parser.add_argument("--rate", type=float, default=0.3, help="how often they strike, 0 to 1")
    parser.add_argument("--most-failures", type=int, default=20, help="stop after so many")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
