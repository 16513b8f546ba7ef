"""Living through one row: the run with the fault, and the run after it has healed."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from orchestrator.errors import ExitCode, LockedError
from orchestrator.job.run import RunOptions, run_job
from orchestrator.records import Token
from tests.faults.bench import NIGHT_S, PASSES_AFTER_S, Bench, played
from tests.faults.rows import BY_NAME, End, Row
from tests.simulation.address import NAME, certificate, trusted
from tests.simulation.checks import promise
from tests.simulation.scenario import DAY_S

AT_WORK_S = 0.7
"""When both tasks are at the vendor, and none is finished."""


class Faulty:
    """The life of one bench; `end` and `said` are those of the run with the fault."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.end = End(-1, "", 0)
        self.said = ""

    async def live(self) -> None:
        """Go through all of it; raises `BrokenPromiseError`."""
        await self.prepare()
        with self.lasting():
            code = await self.struck()
            self.end, self.said = self.bench.end(code), self.bench.said
            self.bench.check_the_calm(code)
            await self.bench.heal()
            await self.heal()
            await self.bench.settle()
            code = await self.bench.run()
        promise(code is ExitCode.DONE, f"healed, the job ends with {code.value}: {self.bench.said}")
        self.bench.check_all_is_well()

    async def prepare(self) -> None:
        """Bring the job to where the fault strikes."""
        await self.bench.front.open()
        if self.bench.strike.begun:
            self.bench.stroke.healed = True
            await self.bench.run(RunOptions(submit_only=True))
            self.bench.stroke.healed = False

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Put in what must be in place through both runs."""
        yield

    async def struck(self) -> ExitCode:
        """Do the run with the fault."""
        if self.bench.passes:
            asyncio.get_running_loop().call_later(PASSES_AFTER_S, self._pass)
        return await self.bench.run()

    async def heal(self) -> None:
        """End what the bench does not know of."""

    def _pass(self) -> None:
        self._passing = asyncio.gather(self.bench.heal(), self.heal())


# --- address ---------------------------------------------------------------------------------------------------------


class Refused(Faulty):
    """Nobody listens."""

    async def prepare(self) -> None:
        pass

    async def heal(self) -> None:
        await self.bench.front.open()


class TimedOut(Refused):
    """Nobody answers."""

    async def prepare(self) -> None:
        self.bench.front.jam()

    async def heal(self) -> None:
        self.bench.front.unjam()
        await super().heal()


class Secured(Faulty):
    """The vendor speaks TLS, and the program trusts who made its certificate."""

    async def prepare(self) -> None:
        with self.lasting():
            self.certify("good")
            await super().prepare()

    def certify(self, fault: str) -> None:
        """Have the vendor show another certificate from now on."""
        assert self.bench.front.tls is not None
        certificate(fault).configure_cert(self.bench.front.tls)

    @contextmanager
    def lasting(self) -> Iterator[None]:
        with trusted():
            yield


class NotFound(Secured):
    """No resolver knows the name, until it heals."""

    known = True

    async def prepare(self) -> None:
        await super().prepare()
        self.known = False

    @contextmanager
    def lasting(self) -> Iterator[None]:
        real = socket.getaddrinfo

        def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
            if host == NAME and not self.known:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return real("127.0.0.1" if host == NAME else host, *arguments, **options)

        with super().lasting(), patch.object(socket, "getaddrinfo", look_up):
            yield

    async def heal(self) -> None:
        self.known = True


class BadCertificate(Secured):
    """It is a certificate with this fault, until it heals."""

    async def prepare(self) -> None:
        await super().prepare()
        self.certify(self.bench.strike.fault)

    async def heal(self) -> None:
        self.certify("good")


# --- host ------------------------------------------------------------------------------------------------------------


class ClockJumps(Faulty):
    """The wall clock jumps while the run goes on, or between two runs."""

    async def struck(self) -> ExitCode:
        fault = self.bench.strike.fault
        jump_s = DAY_S if "forward" in fault else -DAY_S
        if self.bench.strike.begun:
            self.jump(jump_s)
        else:
            asyncio.get_running_loop().call_later(AT_WORK_S, self.jump, jump_s)
        return await super().struck()

    def jump(self, by_s: float) -> None:
        self.bench.offset_s += by_s


class Suspended(Faulty):
    """The machine sleeps while tasks are at the vendor."""

    async def struck(self) -> ExitCode:
        asyncio.get_running_loop().call_later(AT_WORK_S, self.bench.sleep)
        code = await super().struck()
        promise(self.bench.slept_s == NIGHT_S, "nobody slept")
        return code


class SecondRun(Faulty):
    """Another run of the job is begun while one goes on, which is not disturbed."""

    async def struck(self) -> ExitCode:
        first = asyncio.create_task(self.bench.run())
        await asyncio.sleep(AT_WORK_S)
        code, told = ExitCode.DONE, ""
        try:
            await run_job(self.bench.settings(), RunOptions(), self.bench.world())
        except LockedError as error:
            code, told = error.exit_code, str(error)
        promise(await first is ExitCode.DONE, "the first run was disturbed")
        self.bench.said = told
        return code


class OlderLedger(Faulty):
    """The directory of a run that sent nothing is put back after the next one has sent everything."""

    async def prepare(self) -> None:
        await self.bench.run()  # nobody listens yet
        self.keep("first")
        await self.bench.front.open()
        await self.bench.run(RunOptions(submit_only=True))
        self.keep("second")
        shutil.rmtree(self.bench.directory)
        self.put_back("first")

    def keep(self, name: str) -> None:
        """Copy the job's directory."""
        shutil.copytree(self.bench.directory, self.bench.folder / name)

    def put_back(self, name: str) -> None:
        """Copy it back to its place, where nothing is now."""
        shutil.copytree(self.bench.folder / name, self.bench.directory)

    async def struck(self) -> ExitCode:
        return await self.bench.run(RunOptions(after=Token(2)))

    async def heal(self) -> None:
        shutil.rmtree(self.bench.directory, ignore_errors=True)
        self.put_back("second")


class NoLedger(OlderLedger):
    """Nothing is put back at all."""

    def put_back(self, name: str) -> None:
        if name != "first":
            super().put_back(name)


LIVES: dict[str, type[Faulty]] = {
    "refused": Refused,
    "no answer": TimedOut,
    BY_NAME: NotFound,
    "certificate of another host": BadCertificate,
    "expired certificate": BadCertificate,
    "certificate of an unknown maker": BadCertificate,
    "clock jumps forward": ClockJumps,
    "clock jumps back": ClockJumps,
    "suspended": Suspended,
    "second run": SecondRun,
    "older ledger": OlderLedger,
    "no ledger": NoLedger,
}


def suffer(row: Row, struck: str, *, once: bool) -> Faulty:
    """Live through a row with one of the two platforms struck, which are of different styles."""
    lives: list[Faulty] = []

    def make(folder: Path, loop: Any) -> Bench:
        bench = Bench(folder, loop, row.strike, struck, once=once)
        bench.tls = LIVES.get(row.strike.fault, Faulty) in {BadCertificate, NotFound}
        return bench

    def live(bench: Bench) -> Any:
        lives.append(LIVES.get(row.strike.fault, Faulty)(bench))
        return lives[0].live

    played(make, live)
    return lives[0]
