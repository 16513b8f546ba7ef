"""What a job comes to on paper, from figures that were measured: the table of the manual's page on scale.

    python -m tests.benchmarks.scale

Every figure below was measured by another benchmark here, or is a price that a reader may put his own in the place of.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CHUNK_ROWS = 20_000
TASK_S = 1740.0
"""The vendor's example: a task of 20,000 numbers takes 29 minutes."""
STATUS_CALLS = 7.8
"""A task, where the vendor tells progress (`makespan`)."""
READ_A_CORE = 1_300_000
CHECKED_A_CORE = 500_000
CELLS_A_CORE = 2_400_000
"""A second: lines read and cut into chunks, rows of workbooks checked, cells written of a master in csv."""
NUMBER_BYTES = 13
RESULT_BYTES = 18
VERDICT_BYTES = 1
"""A number: as a line, of a list or a chunk; as a row of a zipped result, the larger kind; as a verdict."""
LEDGER_BYTES_A_TASK = 700
"""In SQLite, events and all, of a task that is done."""
TASK_CPU_S = 0.003
"""Of the coordinator's processor, for a task."""

USD_A_CHECK = 0.0001
USD_A_CORE_HOUR = 0.05
USD_A_GIB_MONTH = 0.10
COORDINATOR_CORES = 2

SIZES = (1_000_000, 100_000_000, 1_000_000_000, 5_000_000_000)
PLATFORMS = (2, 10)
IN_FLIGHT = (20, 200)


@dataclass(frozen=True, slots=True)
class Scale:
    """A job of `numbers` for some platforms, of each of which `in_flight` tasks are at the vendor at a time."""

    numbers: int
    platforms: int
    in_flight: int

    @property
    def tasks(self) -> int:
        return -(-self.numbers // CHUNK_ROWS) * self.platforms

    @property
    def vendor_h(self) -> float:
        """How long the vendor takes: platforms are worked on beside each other."""
        turns = math.ceil(self.tasks / self.platforms / self.in_flight)
        return turns * TASK_S / 3600

    @property
    def requests_a_second(self) -> float:
        """Submits and status calls, over the vendor's time; downloads come from elsewhere."""
        return self.tasks * (1 + STATUS_CALLS) / (self.vendor_h * 3600)

    @property
    def core_hours(self) -> float:
        """Of all pieces: reading, checking, the master."""
        checks = self.numbers * self.platforms
        return (self.numbers / READ_A_CORE + checks / CHECKED_A_CORE + checks / CELLS_A_CORE) / 3600

    @property
    def read_min(self) -> float:
        """How long the list takes on eight cores."""
        return self.numbers / READ_A_CORE / 8 / 60

    @property
    def cores_busy(self) -> float:
        """How many cores checking and dispatch keep busy while the vendor works."""
        seconds = self.numbers * self.platforms / CHECKED_A_CORE + self.tasks * TASK_CPU_S
        return seconds / (self.vendor_h * 3600)

    @property
    def stored_bytes(self) -> float:
        """What lies in the directory at the end, and in the ledger."""
        a_number = NUMBER_BYTES + self.platforms * (RESULT_BYTES + VERDICT_BYTES) + NUMBER_BYTES + 4 * self.platforms
        return self.numbers * a_number + self.tasks * LEDGER_BYTES_A_TASK

    @property
    def moved_bytes(self) -> float:
        """What is read from and written to a place that machines share: the list goes to the workers as it is."""
        reading = self.numbers * (NUMBER_BYTES + 5 * 8 + NUMBER_BYTES)  # blocks; rows, products twice, accepted; chunks
        a_check = NUMBER_BYTES + 2 * RESULT_BYTES + NUMBER_BYTES + 2 * VERDICT_BYTES
        return reading + self.numbers * self.platforms * a_check

    @property
    def checks_usd(self) -> float:
        return self.numbers * self.platforms * USD_A_CHECK

    @property
    def machines_usd(self) -> float:
        """A coordinator for as long as the vendor works, the core hours of pieces, and the storage for as long."""
        months = max(self.vendor_h / 730, 1.0)
        cores = COORDINATOR_CORES * self.vendor_h + self.core_hours
        return cores * USD_A_CORE_HOUR + self.stored_bytes / 2**30 * USD_A_GIB_MONTH * months


HEADER = (
    "| numbers x platforms | in flight | tasks | vendor | requests/s | reading, 8 cores | core hours | cores busy | "
    "stored | moved | checks | machines |"
)


def row(scale: Scale) -> str:
    """Return a line of the table."""
    cells = (
        f"{_count(scale.numbers)} x {scale.platforms}",
        f"{scale.in_flight}",
        f"{scale.tasks:,}",
        _time(scale.vendor_h),
        f"{scale.requests_a_second:.1f}",
        f"{scale.read_min:.1f} min",
        f"{scale.core_hours:,.1f}",
        f"{scale.cores_busy:.2f}",
        _size(scale.stored_bytes),
        _size(scale.moved_bytes),
        f"{scale.checks_usd:,.0f} USD",
        f"{scale.machines_usd:,.0f} USD",
    )
    return "| " + " | ".join(cells) + " |"


def table() -> str:
    scales = [Scale(n, p, most) for n in SIZES for p in PLATFORMS for most in IN_FLIGHT]
    return "\n".join([HEADER, "|" + "---|" * HEADER.count(" | ") + "---|", *map(row, scales)])


def _count(numbers: int) -> str:
    return f"{numbers // 10**9} G" if numbers >= 10**9 else f"{numbers // 10**6} M"


def _time(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.0f} days"


def _size(size_bytes: float) -> str:
    for unit, one in (("TB", 10**12), ("GB", 10**9)):
        if size_bytes >= one:
            return f"{size_bytes / one:,.1f} {unit}"
    return f"{size_bytes / 10**6:,.0f} MB"


if __name__ == "__main__":
    print(table())  # noqa: T201
