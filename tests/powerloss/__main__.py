"""The campaign: `python -m tests.powerloss --states N --from K` loses the power N times.

Every loss that breaks a promise is told with the command that repeats it; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.powerloss.campaign import Tally, lose_power


def say(text: str) -> None:
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.powerloss", description=__doc__)
    parser.add_argument("--states", type=int, default=600, help="how many")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one")
    parser.add_argument("--most-failures", type=int, default=20, help="stop after so many")
    options = parser.parse_args()
    begun, tally = time.monotonic(), Tally()
    for told in lose_power(options.first, options.states, tally):
        say(f"=== {told}")
        tally.broken.append(told)
        if len(tally.broken) >= options.most_failures:
            break
    kinds = ", ".join(f"{kind} kept {count}" for kind, count in sorted(tally.kinds.items()))
    say(
        f"{tally.states} power losses ({tally.distinct} that left something different) in "
        f"{time.monotonic() - begun:.0f} s, in {tally.recordings} recordings of {tally.calls} points and {tally.kills} "
        f"kills; of what was not synced: {kinds}; broken promises: {len(tally.broken)}"
    )
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
