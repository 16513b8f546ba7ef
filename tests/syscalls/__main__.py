"""The campaign: `python -m tests.syscalls` fails a run of a small job at every system call that matters, in turn.

Each point that breaks a promise is told with the command that hits it again; the exit code is 1 if there was one.
The order is drawn, with one of each kind of place first; a campaign that is interrupted tells what was done until then.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.syscalls.disk import live_on, small_disk
from tests.syscalls.harness import Bench, BrokenPromiseError
from tests.syscalls.living import Life, all_points, live
from tests.syscalls.points import ANYWHERE, FAULTS, Point, one_of_each_first

DISK = "disk"
"""What `--calls` names the full disk, which is no call."""

ROOMS_KIB = range(0, 480, 8)
"""How much room there is left on the disk; a job needs about 400 KiB at a time."""

EVERY = 50


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, broken = time.monotonic(), 0
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        with Bench(folder) as bench:
            try:
                for results in (_points(bench, options), _disk(bench, folder, options)):
                    for done, counted in enumerate(results, start=1):
                        broken += not counted
                        total.update(counted)
                        if done % EVERY == 0:
                            say(f"{done} done, broken: {broken or 'none'}")
            except KeyboardInterrupt:
                say("interrupted")
    say("\n".join(f"{count:6} {name}" for name, count in sorted(total.items())))
    say(f"{time.monotonic() - begun:.0f} s; broken: {broken or 'none'}")
    return 1 if broken else 0


def _points(bench: Bench, options: argparse.Namespace) -> Iterator[list[str]]:
    """Live through the chosen points; yield what each is counted as, nothing where it broke a promise."""
    points, unreachable = all_points(bench)
    chosen = [Point.parse(options.point)] if options.point else _chosen(points, options)
    say(f"{len(chosen)} of {len(points)} points; {unreachable} calls on files are reached by none")
    bench.files()
    with ThreadPoolExecutor(options.at_once) as pool:
        futures = [pool.submit(_told, bench, point) for point in chosen]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _chosen(points: list[Point], options: argparse.Namespace) -> list[Point]:
    calls, errors = options.calls.split(","), options.errors.split(",")
    some = [point for point in points if point.kind in calls and point.fault in errors]
    order = random.Random(options.seed)  # noqa: S311 - which ones are tried, not what they do
    return one_of_each_first(order.sample(some, len(some)))[: round(options.share * len(some))]


def _told(bench: Bench, point: Point) -> list[str]:
    """Live through one point and return what it counts as; say so when it breaks a promise."""
    try:
        return _counted(point, live(bench, point))
    except BrokenPromiseError as error:
        say(f"=== python -m tests.syscalls --point '{point}'\n{error}")
        return []


def _counted(point: Point, life: Life) -> list[str]:
    place = point.kind if point.file else f"{point.kind} anywhere"
    if not life.met:
        return [f"point {place} {point.fault}, not met"]
    later = ", ".join(map(str, life.later))
    return [f"point {place} {point.fault}", f"{point.fault} ended the run with {life.code}", f"went on with {later}"]


def _disk(bench: Bench, folder: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    if options.point or DISK not in options.calls.split(","):
        return
    with small_disk(folder / "disk") as disk:
        for room_kib in ROOMS_KIB:
            try:
                yield ["point full disk", f"full disk ended the run with {live_on(bench, disk, room_kib)}"]
            except BrokenPromiseError as error:
                say(f"=== a disk with {room_kib} KiB left: {error}")
                yield []


def _options() -> argparse.Namespace:
    faults = sorted({fault for some in (*FAULTS.values(), *ANYWHERE.values()) for fault in some})
    calls = ",".join(dict.fromkeys([*FAULTS, *ANYWHERE, DISK]))
    parser = argparse.ArgumentParser(prog="python -m tests.syscalls", description=__doc__)
    parser.add_argument("--calls", default=calls, help=f"these only, separated by commas; all are {calls}")
    parser.add_argument("--errors", default=",".join(faults), help=f"these only; all are {','.join(faults)}")
    parser.add_argument("--share", type=float, default=1.0, help="only so much of the points, 0 to 1")
    parser.add_argument("--seed", type=int, default=0, help="which part, in which order")
    parser.add_argument("--at-once", type=int, default=2, help="how many jobs run beside each other")
    parser.add_argument("--folder", type=Path, help="an empty folder, where jobs that break a promise are left")
    parser.add_argument("--point", help="this one only, as a failure names it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
