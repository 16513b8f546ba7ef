"""`verify`: recount and re-hash what the job says of itself, from the files up. Changes nothing."""

from __future__ import annotations

import csv
import hashlib
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.errors import ExitCode, UsageError
from orchestrator.files import disk_errors, sha256_of
from orchestrator.intake import fingerprint
from orchestrator.job.access import opened_to_read
from orchestrator.job.lost_files import base_chunks, kept_columns
from orchestrator.job.scratch import job_files
from orchestrator.job.sheet import build_master, made_of, order_master
from orchestrator.jobdir.arrays import unpack_places
from orchestrator.jobdir.aside import folder_aside
from orchestrator.jobdir.layout import (
    LISTS,
    RESULT_ENDINGS,
    SUMMARY,
    chunk_path,
    columns_path,
    raw_result,
    result_stem,
    rows_path,
    verdict_path,
)
from orchestrator.jobdir.reused_cells import unpack_reused
from orchestrator.jobdir.row_files import rows_bytes
from orchestrator.jobdir.verdict_files import read_verdicts
from orchestrator.report import summary
from orchestrator.workers import Workers

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.job.world import World
    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared, with how many of each were found right, and what was found wrong or could not be compared.

    `not_compared` is what there was no reason to compare: no findings, but nobody may think that it was found right.
    """

    right: dict[str, int]
    findings: tuple[str, ...]
    exit_code: ExitCode
    not_compared: tuple[str, ...] = ()


async def verify_job(settings: Settings, world: World) -> VerifyReport:
    """Compare list, chunks, results, verdicts and master with the ledger and with each other.

    Raises `UsageError` when there is no job, or it was purged.
    """
    del world
    with opened_to_read(settings) as ledger:
        if ledger.runs.closed:
            raise UsageError(f"{settings.job.directory}: this job was purged; there is nothing left to verify")
        files = job_files(settings)
        files.bring_all(ledger, "")
        files.bring_records()
        check = _Check(ledger, settings)
        check.counts()
        check.inputs()
        check.chunks()
        check.lists()
        check.reused()
        check.money()
        check.verdicts()
        await check.master()
    findings = tuple(check.findings)
    exit_code = ExitCode.SOME_FAILED if findings else ExitCode.DONE
    return VerifyReport(check.right, findings, exit_code, tuple(check.not_compared))


class _Check:
    """One pass over everything; findings name the thing, never a number."""

    def __init__(self, ledger: Ledger, settings: Settings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._directory = settings.job.directory
        self.right: dict[str, int] = {}
        self.findings: list[str] = []
        self.not_compared: list[str] = []

    def counts(self) -> None:
        """Recount the list: read = accepted + duplicates + rejected, and the chunks cover what was accepted."""
        counts = self._ledger.plan.counts()
        if counts.read != counts.accepted + counts.duplicates + counts.rejected:
            self.findings.append("the counts of the list do not add up")
        row = 0
        for chunk in self._ledger.plan.chunks():
            if chunk.only is None:
                if chunk.first_row != row:
                    self.findings.append(f"chunk {chunk.chunk:06d} begins at row {chunk.first_row:,}, not {row:,}")
                row = chunk.first_row + chunk.rows
        if row != counts.accepted:
            self.findings.append(f"the chunks have {row:,} numbers, the list {counts.accepted:,}")

    def inputs(self) -> None:
        planned = self._ledger.plan.inputs()
        if any(record.path == "-" for record in planned):
            self.not_compared.append("the list: it came from standard input")
            return
        try:
            found = fingerprint(self._settings.job)
        except UsageError as error:
            self.findings.append(f"the list was not compared: {error}")
            return
        if [i.sha256 for i in found] != [i.sha256 for i in planned]:
            self.findings.append("the list is not the one that was planned")
        else:
            self.right["inputs"] = len(found)

    def chunks(self) -> None:
        """Hash every chunk file, and what stands beside it: kept columns, and the rows of a retry."""
        columns = kept_columns(self._ledger.plan.counts(), self._settings)
        for chunk in self._ledger.plan.chunks():
            self._hash("chunk files", chunk_path(self._directory, chunk.chunk), chunk.sha256)
            if columns and chunk.columns_sha256:
                self._hash("kept columns", columns_path(self._directory, chunk.chunk), chunk.columns_sha256)
            if chunk.only is not None and chunk.places is not None:
                content = rows_bytes(unpack_places(chunk.places))
                path = rows_path(self._directory, chunk.chunk)
                self._hash("rows of retries", path, hashlib.sha256(content).hexdigest())

    def lists(self) -> None:
        """Hash rejected.csv and duplicates.csv, and count their records."""
        listed = self._ledger.plan.listed()
        for name, expected in zip(LISTS, (listed.counts.rejected, listed.counts.duplicates), strict=True):
            path = self._directory / name
            try:
                with path.open(encoding="utf-8", newline="") as file:
                    found = sum(1 for _ in csv.reader(file, strict=True)) - 1
                altered = sha256_of(path) != listed.lists.get(name, "") != ""
            except OSError as error:
                self.findings.append(f"{path}: {error.strerror}")
            except (csv.Error, UnicodeDecodeError) as error:
                self.findings.append(f"{path}: can't be read ({type(error).__name__})")
            else:
                if found != expected:
                    self.findings.append(f"{path}: {found:,} records, not {expected:,}")
                elif altered:
                    self.findings.append(f"{path}: altered since it was written")
                else:
                    self.right[name] = found

    def reused(self) -> None:
        """Count anew what was taken from earlier jobs."""
        base = base_chunks(self._ledger)
        for name, standing in self._ledger.platforms.standing().items():
            if not standing.reused.tasks:
                continue
            found = 0
            for chunk in base:
                if (cells := self._ledger.plan.reused_cells(name, chunk.chunk)) is not None:
                    found += int((unpack_reused(cells, chunk.rows).codes > 0).sum())
            expected = standing.reused.known
            if found == expected:
                self.right["reused verdicts"] = self.right.get("reused verdicts", 0) + found
            else:
                self.findings.append(f"{name}: {found:,} verdicts of earlier jobs are there, {expected:,} were taken")

    def money(self) -> None:
        """Count what was spent anew: by the tasks, and by the events alone."""
        findings = self._ledger.platforms.money_findings()
        self.findings += findings
        if not findings:
            self.right["cost ledger"] = len(self._ledger.platforms.standing())

    def verdicts(self) -> None:
        """Hash results and verdicts of every task that is done, and check that they belong to it."""
        for key, task_id, chunk_sha256, verdicts_sha256, result_sha256 in self._ledger.tasks.evidence():
            path = verdict_path(self._directory, key.platform, key.chunk)
            if self._hash("verdict files", path, verdicts_sha256, "the next run or merge makes it anew"):
                verdicts = read_verdicts(path)
                if (verdicts.task_id, verdicts.chunk_sha256) != (task_id or "", chunk_sha256):
                    self.findings.append(f"{path}: of another task than {key}")
            stem = result_stem(self._directory, key.platform, key.chunk)
            way_out = f"resolve {key} --refetch has it fetched again, free" if task_id else ""
            self._hash("result files", raw_result(stem) or stem.with_suffix(RESULT_ENDINGS[0]), result_sha256, way_out)

    async def master(self) -> None:
        """Write the master once more, elsewhere, and compare it with what is there.

        Not when decisions, a retry or other platforms came after it: then it is older, not wrong, and that is said.
        """
        try:
            content = summary.read(self._directory)
        except (OSError, ValueError) as error:
            path = self._directory / SUMMARY
            self.findings.append(f"{path}: can't be read ({type(error).__name__}), so the master was not compared")
            return
        expected = {entry["path"]: entry["sha256"] for entry in content["master"]}
        for name, sha256 in expected.items():
            self._hash("master files", self._directory / name, sha256)
        now = made_of(self._ledger, self._settings)
        if not expected:
            self.not_compared.append("the master: none is written yet")
        elif self.findings:
            self.not_compared.append("the master with chunks and verdicts: the findings come first")
        elif content.get("master_made_of", now) != now:
            self.not_compared.append(
                "the master with chunks and verdicts: decisions, a retry or other platforms came after it; the next "
                "run or merge writes it anew"
            )
        else:
            formats = tuple(f for f in self._settings.output.formats if any(n.endswith(f".{f}") for n in expected))
            output = replace(self._settings.output, formats=formats)
            settings = replace(self._settings, output=output)
            with folder_aside(self._directory) as scratch:
                async with Workers(1) as workers:
                    report = await build_master(order_master(self._ledger, settings, into=scratch), workers)
                for file in report.files:
                    there, again = self._directory / file.path, scratch / file.path
                    if file.sha256 == expected.get(file.path) or _same_members(there, again):
                        self.right["master rows"] = file.rows
                    else:
                        self.findings.append(f"{there}: not what chunks and verdicts give")

    def _hash(self, kind: str, path: Path, sha256: str, way_out: str = "") -> bool:
        how = f"; {way_out}" if way_out else ""
        try:
            found = sha256_of(path)
        except OSError as error:
            self.findings.append(f"{path}: {error.strerror}{how}")
            return False
        if found != sha256:
            self.findings.append(f"{path}: altered since it was written{how}")
            return False
        self.right[kind] = self.right.get(kind, 0) + 1
        return True


def _same_members(one: Path, other: Path) -> bool:
    """Whether two zips hold the same: another release of a compressor packs the same content into other bytes."""

    def members(path: Path) -> list[tuple[str, int, int]]:
        with zipfile.ZipFile(path) as packed:
            return [(member.filename, member.file_size, member.CRC) for member in packed.infolist()]

    with disk_errors(one), suppress(zipfile.BadZipFile, NotImplementedError, ValueError):
        return zipfile.is_zipfile(one) and zipfile.is_zipfile(other) and members(one) == members(other)
    return False
