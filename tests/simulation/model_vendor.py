"""The vendor of the fast tier."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from orchestrator.dispatch.caution import NEARLY_ALL
from orchestrator.errors import DeniedError, RefusedError, TemporaryError
from orchestrator.settings import PlatformSettings
from orchestrator.tasks import TaskKey
from orchestrator.vendor_api.client import Leave
from orchestrator.vendor_api.meanings import (
    Accepted,
    Cause,
    Denied,
    InDoubt,
    PutOff,
    Refused,
    SubmitAnswer,
    TaskReport,
)
from tests.simulation.model import SHA256, Gone, Pause

if TYPE_CHECKING:
    from tests.simulation.fast import Model


class World(NamedTuple):
    """What a seed decides: how often what goes wrong, until the faults stop."""

    wrong: Mapping[str, float]
    takes_s: float
    latency_s: float


SUBMIT_FAULTS = (
    "cut",
    "lost while it waits",
    "lost while it waits",
    "early refusal",
    "early stop",
    "throttled",
    "unwell",
    "refused",
    "stop",
    "doubt",
    "doubt unmade",
    "same id",
)
STATUS_FAULTS = ("temporary", "throttled look", "denied", "unknown task")
ASK_FAULTS = ("silent",)
TASK_FAULTS = ("stuck", "failed task", "no link", "gone for good", "backwards", "wrong link")
FILE_FAULTS = ("expired", "broken", "refused file", "damaged")
RESULT_FAULTS = ("hollow",)
FAULTS = (*ASK_FAULTS, *RESULT_FAULTS, *SUBMIT_FAULTS, *STATUS_FAULTS, *TASK_FAULTS, *FILE_FAULTS)


class ModelVendor:
    """A vendor of a few lines, for all platforms; it charges when a whole submit has reached it and it makes a task."""

    def __init__(self, model: Model, world: World) -> None:
        self._model, self._world = model, world
        self._made: dict[str, tuple[TaskKey, float, float]] = {}
        self._spells: dict[str, str] = {}
        self._ids = itertools.count(1)
        self.shares: dict[TaskKey, float] = {}
        self.spoke: set[str] = set()
        self.healed = False

    def _strikes(self, *names: str) -> str:
        if self.healed:
            return ""
        draw = self._model.chance.random
        return next((name for name in names if (rate := self._world.wrong.get(name, 0.0)) and draw() < rate), "")

    def _latency(self) -> Pause:
        return Pause(0.001 + self._world.latency_s * self._model.chance.random())

    def make(self, key: TaskKey) -> str:
        task_id = f"t{next(self._ids)}"
        takes_s = self._world.takes_s * self._model.chance.uniform(0.5, 1.5)
        self._made[task_id] = (key, self._model.now, takes_s)
        self._model.ledger.rows[key].charged += 1
        return task_id

    def unowned(self, key: TaskKey) -> list[str]:
        taken = {row.task_id for row in self._model.ledger.rows.values()}
        return [task_id for task_id, (made, _, _) in self._made.items() if made == key and task_id not in taken]

    async def submit(
        self,
        platform: PlatformSettings,
        file: Path,
        file_name: str,
        *,
        leave: Leave,
        ready: Callable[[str], Any],
        release: Callable[[str], Any],
        last_look: Callable[[], None],
    ) -> SubmitAnswer:
        del file_name
        key = TaskKey(platform.task_type, int(file.stem))
        await leave()
        await self._latency()
        match self._strikes(*SUBMIT_FAULTS):
            case "cut":
                return PutOff("cut")
            case "early refusal":
                return Refused("early", 400)
            case "early stop":
                return Denied("early", self._model.chance.choice((402, 403)), self._model.chance.random() < 0.5)
            case fault:
                await ready(SHA256)
                if fault == "lost while it waits":
                    return PutOff("lost")
                await release(SHA256)
                last_look()
                await self._latency()
                return await self._answer(key, fault)

    async def _answer(self, key: TaskKey, fault: str) -> SubmitAnswer:  # noqa: PLR0911 - one for each kind of answer
        match fault:
            case "throttled":
                return PutOff("slower", self._model.chance.choice((None, 0.0, 3.0, 3600.0)), Cause.THROTTLED)
            case "unwell":
                return PutOff("unwell", cause=Cause.FAILED)
            case "refused":
                return Refused("refused", 413)
            case "stop":
                return Denied("no money", self._model.chance.choice((402, 403)), self._model.chance.random() < 0.5)
            case "doubt unmade":
                return InDoubt("lost on its way there")
            case _:
                task_id = self.make(key)
                await self._latency()
        if fault == "doubt":
            return InDoubt("lost on its way back")
        return Accepted("t1" if fault == "same id" else task_id, 1)

    async def ask(self, platform: PlatformSettings, *, leave: Leave) -> None:
        await leave()
        await self._latency()
        if self._strikes("silent"):
            raise TemporaryError("broken off")
        self.spoke.add(platform.vendor)

    async def status(self, platform: PlatformSettings, task_id: str, *, leave: Leave) -> TaskReport:
        await leave()
        await self._latency()
        match self._strikes(*STATUS_FAULTS):
            case "temporary":
                raise TemporaryError("broken off")
            case "throttled look":
                raise TemporaryError("slower", retry_after_s=self._model.chance.choice((None, 2.0)), throttled=True)
            case "denied":
                raise DeniedError("no key", status=self._model.chance.choice((401, 403)), sure=True)
            case "unknown task":
                raise RefusedError("unknown", status=404)
        report = self._report(task_id, platform)
        self.spoke.add(platform.vendor)
        return report

    def _report(self, task_id: str, platform: PlatformSettings) -> TaskReport:
        del platform
        if task_id not in self._spells:
            self._spells[task_id] = self._strikes(*TASK_FAULTS)
        spell = "" if self.healed else self._spells[task_id]
        if spell == "gone for good":
            raise RefusedError("gone", status=404)
        if spell == "failed task":
            return TaskReport(task_id, "failed", 100, 0, 0, None)
        _, at, takes_s = self._made[task_id]
        share = min(1.0, (self._model.now - at) / takes_s)
        if spell == "backwards":
            share *= self._model.chance.random()
        if spell == "stuck":
            share = min(share, 0.3)
        if share < 1.0:
            return TaskReport(task_id, "processing", 100, int(100 * share), 0, None)
        link = "link/t1" if spell == "wrong link" else f"link/{task_id}"
        return TaskReport(task_id, "exported", 100, 100, 0, None if spell == "no link" else link)

    def share(self, key: TaskKey) -> float:
        """Return for what share of its numbers a result has a verdict."""
        share = self._model.chance.choice((0.0, 0.5)) if self._strikes("hollow") else 1.0
        self.shares[key] = share
        past = self._model.past[key.platform]
        past.read = past.read or share >= NEARLY_ALL
        return share

    async def download(self, task_id: str) -> None:
        del task_id
        await self._latency()
        match self._strikes(*FILE_FAULTS):
            case "expired":
                raise Gone("expired")
            case "broken":
                raise Gone("temporary")
            case "refused file":
                raise Gone("refused")
            case "damaged":
                raise Gone("damaged")
