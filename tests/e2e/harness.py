"""Messy lists, what has to come out of them, and the program as a user starts it."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import phonenumbers

from orchestrator import sandbox
from orchestrator.tasks import TaskKey

WriteList = Callable[..., "Expected"]
Check = Callable[..., None]
StartVendor = Callable[..., "Vendor"]

SEED = 7
REGION = "CH"


@dataclass
class Expected:
    """What a plain loop over phonenumbers makes of a list: numbers in order of appearance, and the rest counted."""

    numbers: list[str] = field(default_factory=list)
    read: int = 0
    duplicates: int = 0
    rejected: int = 0


@dataclass
class Job:
    """A job in a directory of its own, and the program on it."""

    folder: Path
    environ: dict[str, str]
    platforms: tuple[str, ...] = ("instagram", "amazon")
    cwd: Path | None = field(default=None, kw_only=True)
    """Where its commands are started; None is where the tests are."""

    @property
    def directory(self) -> Path:
        return self.folder / "out"

    def configure(self, **sections: str) -> None:
        """Write config.toml: a section's name → its lines."""
        text = "\n".join(f"[{name.replace('__', '.')}]\n{lines}\n" for name, lines in sections.items())
        (self.folder / "config.toml").write_text(text)

    def start(self, command: str, *options: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "orchestrator", command, "-c", str(self.folder / "config.toml"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=self.cwd,
            env=self.environ,
            start_new_session=True,
        )

    def call(self, command: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        with self.start(command, *options) as process:
            out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.directory / "summary.json").read_text())
        return content

    def master(self, name: str = "master.csv") -> list[list[str]]:
        with (self.directory / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))

    def held(self) -> list[str]:
        """Name the held tasks, as status prints them for programs."""
        report = json.loads(self.call("status", "--json").stdout.splitlines()[-1])
        return list(report["held"])


@dataclass
class Vendor:
    """The embedded vendor as a process of its own, as `orchestrator sandbox` starts it."""

    process: subprocess.Popen[str]
    base_url: str
    directory: Path

    def charged(self) -> list[sandbox.TaskRecord]:
        return sandbox.read_tasks(self.directory)


def messy_lines(count: int, seed: int) -> list[str]:
    """Give lines as people have them: formats of many countries, duplicates in other clothes, junk, blanks."""
    rng = random.Random(seed)  # noqa: S311 - test data
    regions = ["CH", "DE", "GB", "US", "FR", "BR", "IN", "TR", "ES", "IT"]
    mobiles = [phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE) for region in regions]
    examples = [(m.country_code, m.national_number) for m in mobiles if m and m.country_code and m.national_number]
    styles = [
        phonenumbers.PhoneNumberFormat.E164,
        phonenumbers.PhoneNumberFormat.E164,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.RFC3966,
    ]
    junk = ["", "   ", "n/a", "12", "call me", "+", "+999123456789", "00", "=1+1", "+41 79 828 46 5", "ü☎", "0" * 40]
    lines: list[str] = []
    for _ in range(count):
        chance = rng.random()
        if chance < 0.03:
            lines.append(rng.choice(junk))
        elif chance < 0.08 and lines:
            lines.append(f" {rng.choice(lines[-1000:])}\t")
        else:
            country, national = rng.choice(examples)
            number = phonenumbers.PhoneNumber(country, national + rng.randrange(80_000))
            style = rng.choice(styles)
            lines.append(phonenumbers.format_number(number, style))
    return lines


def expect(lines: list[str], region: str | None = REGION) -> Expected:
    """Read the lines as a user would without us."""
    found = Expected()
    seen: set[str] = set()
    for line in lines:
        if not line.strip():
            continue
        found.read += 1
        try:
            number = phonenumbers.parse(line.strip(), region)
        except phonenumbers.NumberParseException:
            found.rejected += 1
            continue
        if not phonenumbers.is_valid_number(number):
            found.rejected += 1
            continue
        text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        if text in seen:
            found.duplicates += 1
            continue
        seen.add(text)
        found.numbers.append(text)
    return found


def right_word(platform: str, number: str) -> str:
    """Give the vendor's verdict as the master has to show it."""
    return sandbox.verdict(SEED, platform, number).lower()


def chunk_files(directory: Path) -> dict[int, list[str]]:
    return {int(path.stem): path.read_text().split() for path in sorted((directory / "chunks").glob("*.txt"))}


def key_of(record: sandbox.TaskRecord) -> TaskKey:
    """Read which task a file belongs to from the name it was sent under: JOB-PLATFORM-CHUNK-HASH8.txt."""
    _, platform, chunk, _ = record.file_name.rsplit("-", 3)
    return TaskKey(platform, int(chunk))


def configure(
    job: Job,
    *,
    vendor: str = 'base_url = "sandbox"\nrequests_per_second = inf',
    faults: str = "[]",
    pace: int = 50_000,
) -> None:
    """Configure a job of both documented platforms without limits of pace."""
    job.configure(
        job='name = "e2e"\ninputs = ["numbers.txt"]\ndirectory = "out"\nchunk_size = 5_000\ndefault_region = "CH"',
        vendors__main=vendor,
        platforms__instagram="requests_per_second = inf",
        platforms__amazon="requests_per_second = inf",
        polling="min_interval_s = 0.2\nmax_interval_s = 2.0",
        backoff="base_delay_s = 0.1\nmax_delay_s = 1.0",
        budget="max_cost = 100.0",
        output='formats = ["csv"]',
        sandbox=f"seed = {SEED}\nfaults = {faults}\npace = {pace}",
    )


def sections(base_url: str) -> dict[str, str]:
    """Return what a job has beside its own sections that has several tasks at a vendor most of the time."""
    return {
        "vendors__main": f'base_url = "{base_url}"\nrequests_per_second = inf',
        "platforms__instagram": "requests_per_second = inf\nmax_in_flight = 4",
        "platforms__amazon": "requests_per_second = inf\nmax_in_flight = 4",
        "polling": "min_interval_s = 0.2\nmax_interval_s = 1.0",
        "backoff": "base_delay_s = 0.1\nmax_delay_s = 1.0",
        "budget": "max_cost = 100.0",
        "output": 'formats = ["csv"]',
    }
