"""A vendor in a process of its own, small jobs of it, and what has to hold after one of them was hit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import orchestrator
from orchestrator.errors import ExitCode
from orchestrator.sandbox import read_tasks
from tests.e2e.harness import SEED, Job, right_word

NUMBERS = [f"+4179828{4600 + place}" for place in range(30)]
LINES = [*NUMBERS[:20], "n/a", NUMBERS[0], "", *NUMBERS[20:]]
KEY = "k-syscalls-test-key"
TASKS = 3

CONFIG = """
[job]
name = "{name}"
inputs = ["numbers.txt"]
directory = "{directory}"
chunk_size = 10
[vendors.main]
base_url = "{base_url}"
requests_per_second = inf
[platforms.instagram]
requests_per_second = inf
[polling]
min_interval_s = 0.02
max_interval_s = 0.1
[backoff]
base_delay_s = 0.02
max_delay_s = 0.1
[budget]
max_cost = 1.0
[output]
formats = ["csv"]
[workers]
count = 1
"""


class BrokenPromiseError(AssertionError):
    """Something that has to hold did not."""


def demand(holds: object, what: str) -> None:
    """Raise `BrokenPromiseError` unless it holds."""
    if not holds:
        raise BrokenPromiseError(what)


@dataclass
class Small(Job):
    """A job of thirty numbers in three chunks, written as csv; `name` tells its tasks apart at the vendor.

    `prefix` are words before every command, such as those that enter a name space.
    """

    name: str = ""
    vendor: Path = Path()
    place: Path = Path()
    prefix: tuple[str, ...] = ()
    temporary: Path = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = self.folder.parent / "tmp"
        self.temporary.mkdir()
        self.environ = self.environ | {"TMPDIR": str(self.temporary)}

    @property
    def directory(self) -> Path:
        return self.place

    def run(self, *under: str, command: tuple[str, ...] = ("run",)) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, below the words `under`."""
        config = ["-c", str(self.folder / "config.toml")]
        return subprocess.run(  # noqa: S603 - our own program
            [*self.prefix, *under, sys.executable, "-m", "orchestrator", *command, *config],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environ,
            timeout=120,
            check=False,
        )

    def charged(self) -> Counter[str]:
        """Count the vendor's tasks of each chunk."""
        mine = [task.file_name for task in read_tasks(self.vendor) if task.file_name.startswith(f"{self.name}-")]
        return Counter(name.rsplit("-", 2)[-2] for name in mine)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*")}


class Bench:
    """The vendor, which ends with the block, and a folder for jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME") or name.startswith("COV")}
        ours = str(Path(orchestrator.__file__).parents[1])
        self._environ = kept | {"EKYCPRO_API_KEY": KEY, "PYTHONPATH": ours}
        self._vendor = folder / "vendor"
        self._jobs = 0
        self._reference: set[str] | None = None

    def __enter__(self) -> Self:
        options = ["--directory", str(self._vendor), "--seed", str(SEED), "--pace", "1e9"]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "orchestrator", "sandbox", *options],
            stdout=subprocess.PIPE,
            text=True,
            env=self._environ,
        )
        assert self._process.stdout is not None
        self._base_url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)

    def job(self, disk: Path | None = None, prefix: tuple[str, ...] = (), seen: Path | None = None) -> Small:
        """Make a job, in a folder of its own; it writes to `disk`, which we see at `seen`, when that is given."""
        self._jobs += 1
        name = f"small{self._jobs}"
        folder = self.folder / name
        (folder / "home").mkdir(parents=True)
        directory = disk or folder / "home" / "out"
        (folder / "home" / "numbers.txt").write_text("\n".join(LINES))
        text = CONFIG.format(name=name, directory=directory, base_url=self._base_url)
        (folder / "home" / "config.toml").write_text(text)
        place = seen or directory
        return Small(folder / "home", self._environ, ("instagram",), name, self._vendor, place, prefix)

    def files(self) -> set[str]:
        """Return the names that a job leaves behind when nothing goes wrong."""
        if self._reference is None:
            job = self.job()
            demand(job.run().returncode == ExitCode.DONE, "a clean run ends with 0")
            self._reference = job.files()
        return self._reference


DOCUMENTED = (ExitCode.DONE, ExitCode.HELD, ExitCode.STORAGE, ExitCode.AGAIN)
"""How a run may end that meets one fault of the disk: it came through, holds what is in doubt, or says what to mend."""


def check_end(run: subprocess.CompletedProcess[str], *, killed: bool = False, also: ExitCode | None = None) -> None:
    """Check that a run that was hit ended as documented, or with `also`, without a word that is not for users."""
    said = run.stdout + run.stderr
    codes = (-signal.SIGKILL,) if killed else (*DOCUMENTED, also)
    demand(run.returncode in codes, f"exit code {run.returncode}:\n{said[-1500:]}")
    demand("Traceback" not in said, f"a traceback:\n{said[-1500:]}")
    demand(not any(number in said for number in NUMBERS), f"a number in clear:\n{said[-1500:]}")


def finish(job: Small) -> list[int]:
    """Go on with a job as a user would, to its end; return the exit codes of the runs, and check what it left."""
    codes, resubmitted = [], Counter[str]()
    for _ in range(2):
        end = job.run()
        codes.append(end.returncode)
        if end.returncode != ExitCode.HELD:
            break
        resubmitted += Counter(key.partition("/")[2] for key in job.summary()["held"])
        settled = job.run(command=("resolve", "--all", "--resubmit"))
        demand(settled.returncode == 0, f"resolve ended with {settled.returncode}:\n{settled.stderr}")
    demand(codes[-1] == ExitCode.DONE, f"the last run ended with {codes}:\n{end.stdout}{end.stderr[-1500:]}")
    check_charges(job, resubmitted)
    return codes


def check_charges(job: Small, resubmitted: Counter[str]) -> None:
    """Check that the vendor charged each chunk once, and once more at most where that was asked for."""
    charged = job.charged()
    demand(len(charged) == TASKS, f"tasks at the vendor: {dict(charged)}")
    twice = {chunk: times for chunk, times in charged.items() if times > 1 + resubmitted[chunk]}
    demand(not twice, f"charged {twice}, sent again on request {dict(resubmitted)}")


def check_left(job: Small, files: set[str]) -> None:
    """Check that the master is complete and right, and that nothing else than the documented files is there."""
    rows = job.master()
    right = [[number, right_word("instagram", number)] for number in NUMBERS]
    demand(rows == [["Number", "instagram"], *right], f"the master: {rows}")
    demand(job.summary()["state"] == "finished", "summary.json does not say finished")
    demand(job.files() == files, f"left behind: {job.files() - files}, missing: {files - job.files()}")
