"""A job full of baits, a vendor that quotes them back, and the real command line, all in one virtual time.

Every command is typed as a person types it: through `cli.main`, which parses, runs and prints. Only what a process
would do differently is put in its place: the loop on which a command runs is the one on which the vendor lives, and
pieces run in its turns instead of in worker processes.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch
from urllib.parse import quote

from orchestrator import cli
from orchestrator.job.world import World
from orchestrator.sandbox import FAULTS, Options, Sandbox
from tests.privacy.baits import ENVIRON, KEY, NATIONAL, USER_ID, Search, lines, spellings, table, too_open
from tests.results.test_file_faults import Fault
from tests.simulation.faults import Mischief
from tests.simulation.front import Front
from tests.simulation.gateway import Gateway
from tests.simulation.hostile import HOSTILE, Truth, rows_of
from tests.simulation.loop import LIFE, Life, VirtualLoop
from tests.simulation.scenario import EPOCH, stream
from tests.simulation.whole import OnTheLoop
from tests.simulation.wire import Answer, content_of

CONFIG = """\
[job]
name = "spring"
inputs = ["list.txt", "crm.csv"]
directory = "job"
chunk_size = 4
default_region = "CH"
max_rejected = 1.0
[output]
formats = ["csv"]
keep_columns = true
[vendors.main]
base_url = "VENDOR"
user_id = "USER"
requests_per_second = 100.0
[platforms.instagram]
requests_per_second = 100.0
[platforms.amazon]
requests_per_second = 100.0
min_rows = 1
[polling]
min_interval_s = 1.0
max_interval_s = 20.0
give_up_after_h = 0.02
[backoff]
base_delay_s = 1.0
max_delay_s = 20.0
give_up_after_s = 60.0
[budget]
max_cost = 1.0
"""
PIECES = ("resolve", "engine", "merge", "verify")
LOOK_EVERY_ROUNDS = 60

MEANT_TO_HOLD_NUMBERS = re.compile(
    r"(?:master\.|rejected\.csv|duplicates\.csv|chunks/|results/|verdicts/|sandbox/|\.intake|\.extending|\.verify-)"
)
"""What `purge` removes; kept apart from the program's own list of it."""


def quotes() -> list[str]:
    """Everything that a vendor could say back to us: what it was sent, in whatever spelling, and what it gave us."""
    link = "http://files.example/t/1.zip?X-Amz-Expires=60&X-Amz-Credential=AKIAQUOTED&X-Amz-Signature=5ca1ab1e5ca1ab1e"
    numbers = [spelling for national in NATIONAL[:2] for spelling in spellings(national)]
    keys = (KEY, json.dumps(KEY), repr(KEY), quote(KEY, safe=""), f"X-API-Key: {KEY}")
    said = [f"cannot use {number}, see line 3" for number in numbers]
    said += [f"no such key {key}" for key in keys]
    said += [f"numbers {', '.join(numbers[:3])} are doubled"]
    stream(0, "quotes").shuffle(said)
    return [f"no user {USER_ID}", f"look at {link}", f"no key {KEY}", *said]


class Parrot(Gateway):
    """A gateway that quotes baits in every answer of its own, one spelling after the other."""

    def __init__(self, mischief: Mischief, note: Callable[..., None], search: Search) -> None:
        super().__init__(mischief, note)
        self._search = search
        self._said = 0
        self._quotes = quotes()

    def _quote(self) -> str:
        self._said += 1
        return self._quotes[(self._said - 1) % len(self._quotes)]

    def made_up(self, how: str, platform: str) -> Answer:
        answer = super().made_up(how, platform)
        content = content_of(answer.body)
        if content is not None and "task_id" not in content:
            answer.body = json.dumps(content | {"error": self._quote(), "message": self._quote()}).encode()
        elif answer.body.startswith(b"<html>"):
            answer.body = f"<html><body>{self._quote()}</body></html>".encode()
        return answer

    def bewitch(self, answer: Answer, task_id: str) -> None:
        super().bewitch(answer, task_id)
        content = content_of(answer.body)
        if content is None:
            return
        for signature in re.findall(r"X-Amz-Signature=([0-9a-f]+)", str(content.get("result_url"))):
            self._search.signatures.add(signature)
        if content.get("status") == "auditing":
            content["status"] = f"auditing {self._quote()}"
        answer.body = json.dumps(content | {"message": self._quote()}).encode()


class InTurn(Mischief):
    """Mischief that picks one thing after the other: each is seen soon."""

    _picked = -1

    def pick(self, options: Sequence[int]) -> int:
        self._picked += 1
        return options[self._picked % len(options)]


class WatchedLoop(VirtualLoop):
    """A virtual loop that shows the directory now and then as a kill would leave it."""

    look: Callable[[], object] = staticmethod(lambda: None)

    def _run_once(self) -> None:
        super()._run_once()
        if self.rounds % LOOK_EVERY_ROUNDS == 0:
            self.look()

    def close(self) -> None:
        """Stay open: every command of a stage runs on this loop."""

    def end(self) -> None:
        super().close()


class Stage:
    """One job in a folder; `findings` are what anybody could read, `looks` how often the directory was looked at."""

    def __init__(self, folder: Path, faults: Sequence[str] = (), files: Sequence[Fault] = HOSTILE) -> None:
        """Live in `folder`; `faults` are names of the simulation's and the sandbox's, which strike every call.

        `files` are what "file: hostile" sends, one after the other; `sent` are the names of those that were.
        """
        self.folder = folder
        self.search = Search()
        self.findings: list[str] = []
        self.codes: list[tuple[str, int]] = []
        self.looks = self.modes = self.workbooks = 0
        self._loop = WatchedLoop(lambda: 0.001)
        self._loop.most_rounds = 400_000
        self._mischief = InTurn(random.Random(1), faults, 1.0)  # noqa: S311 - it has to be repeatable
        self._files = files
        self.sent: set[str] = set()
        self._undo = contextlib.ExitStack()
        self.vendor = Sandbox(
            folder / "vendor",
            faults=[name for name in faults if name in FAULTS],
            pace=1.0,
            key=KEY,
            clock=self._clock,
            options=Options(min_rows={"amazon": 1}),
        )
        self._front: Front | None = None

    @property
    def directory(self) -> Path:
        return self.folder / "job"

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def __enter__(self) -> Self:
        self._undo.callback(self._loop.end)
        self._undo.callback(os.umask, os.umask(0))
        self._undo.enter_context(contextlib.chdir(self.folder))
        self._undo.enter_context(patch.dict(os.environ, ENVIRON))
        self._undo.enter_context(patch("orchestrator.job.world.real_world", self._world))
        self._undo.enter_context(patch("asyncio.run", self._run))
        for name in PIECES:
            self._undo.enter_context(patch(f"orchestrator.job.{name}.Workers", OnTheLoop))
        self._undo.enter_context(patch.object(logging.getLogger(), "handlers", []))
        self._undo.enter_context(watched(self._look_before))
        self._loop.run_until_complete(self._open())
        self._loop.look = self._look
        self.write_config()
        (self.folder / "list.txt").write_text("\n".join(lines()) + "\n")
        (self.folder / "crm.csv").write_text("\n".join(table()) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.look = lambda: None
        try:
            self._loop.run_until_complete(self._close())
        finally:
            self._undo.close()

    def write_config(self, **replaced: str) -> None:
        """Write the configuration, with further lines under tables: `vendors__main="proxy = ..."`."""
        assert self._front is not None
        text = CONFIG.replace("VENDOR", self._front.base_url).replace("USER", USER_ID)
        for table_name, more in replaced.items():
            head = f"[{table_name.replace('__', '.')}]\n"
            assert head in text, head
            text = text.replace(head, f"{head}{more}\n")
        self.config.write_text(text)

    def heal(self) -> None:
        """Let the faults stop."""
        self._mischief.healed = True

    # --- typing ------------------------------------------------------------------------------------------------------

    def type(self, *command: str, stop_after_s: float | None = None) -> int:
        """Type a command; return its exit code. All that it says is searched, and the directory afterwards."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            if stop_after_s is not None:
                self._loop.call_later(stop_after_s, self._loop.deliver, 15)
            code = cli.main(command)
        for name, text in (("stdout", out.getvalue()), ("stderr", err.getvalue())):
            self._found(f"{' '.join(command)[:40]}: {name}", self.search.in_text(text))
        self.codes.append((command[0] if command else "", code))
        self.said = out.getvalue() + err.getvalue()
        return code

    def job(self, *command: str) -> int:
        """Type a command of the job."""
        return self.type(*command, "-c", str(self.config))

    def held(self) -> list[str]:
        """Ask which tasks are held, as a script would."""
        self.job("status", "--held", "--json")
        return [task["task"] for task in json.loads(self.said.splitlines()[-1])["held_tasks"]]

    # --- searching ---------------------------------------------------------------------------------------------------

    def search_all(self, *, purged: bool = False) -> None:
        """Search every file of the job and its name, and see that nobody else may open it."""
        paths = sorted(self.directory.rglob("*"))
        self._found("modes", too_open([self.directory, *paths]))
        self.modes += len(paths) + 1
        self._found("file names", self.search.in_text("\n".join(str(path.relative_to(self.folder)) for path in paths)))
        for path in paths:
            name = path.relative_to(self.directory).as_posix()
            if path.is_file():
                self.workbooks += path.suffix == ".xlsx"
                meant = not purged and MEANT_TO_HOLD_NUMBERS.match(name) is not None
                self._found(name, self.search.in_file(path, holds_numbers=meant))

    def _found(self, where: str, found: Sequence[str]) -> None:
        self.findings += [f"{where}: {what}" for what in found]

    def _look(self) -> None:
        """Look at what a kill at this moment would leave."""
        self.looks += 1
        for _ in range(2):
            try:
                paths = [self.directory, *self.directory.rglob("*")] if self.directory.exists() else []
                self._found("modes in the middle", too_open(paths))
            except FileNotFoundError:
                continue
            self.modes += len(paths)
            return

    def _look_before(self, path: Path) -> None:
        """Look at something that is about to get another name, or none."""
        if self.directory in path.parents and os.path.lexists(path):
            paths = [path, *(path.rglob("*") if path.is_dir() else ())]
            self._found("modes before the end", too_open(paths))
            self.modes += len(paths)

    # --- the world ---------------------------------------------------------------------------------------------------

    def _clock(self) -> float:
        return EPOCH + self._loop.time()

    def _world(self) -> World:
        return World(self._clock, stream(0, "program"), os.environ, None, sys.stderr)

    async def _open(self) -> None:
        await self.vendor.start()
        api, results = (url.removeprefix("http://") for url in (self.vendor.base_url, self.vendor.result_url))
        self._front = Front(api, results, self._mischief, self._note)
        self._front.truth, self._front.hostile = self._truth, list(self._files)
        self._front.gateway = Parrot(self._mischief, lambda *_, **__: None, self.search)
        await self._front.start()

    def _note(self, _event: str, **facts: Any) -> None:
        self.sent.update({facts["hostile"]} if "hostile" in facts else ())

    def _truth(self, task_id: str) -> tuple[str, Truth]:
        record = next(record for record in self.vendor.tasks if record.id == task_id)
        return record.platform, rows_of(record, self.vendor.directory, seed=0)

    async def _close(self) -> None:
        assert self._front is not None
        await self._front.stop()
        await self.vendor.stop()

    def _run(self, command: Coroutine[Any, Any, Any]) -> Any:
        """Stand in for `asyncio.run`: the same loop goes on."""
        context = copy_context()
        context.run(LIFE.set, Life())
        task = context.run(self._loop.create_task, command)
        return self._loop.run_until_complete(task)


@contextlib.contextmanager
def watched(look: Callable[[Path], object]) -> Iterator[None]:
    """Show every path to `look` before it is renamed or removed: what is temporary is seen at its end."""

    def first_look(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **named: Any) -> Any:
            if named.get("dir_fd") is None and isinstance(path, str | os.PathLike):
                look(Path(path).absolute())
            return real(path, *arguments, **named)

        return call

    with contextlib.ExitStack() as stack:
        for module, names in ((os, ("rename", "replace", "remove", "unlink", "rmdir")), (shutil, ("rmtree",))):
            for name in names:
                stack.enter_context(patch.object(module, name, first_look(getattr(module, name))))
        yield
