"""The simulation's gateway with one fault at a time, chosen and not drawn; and some faults more."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.simulation import faults
from tests.simulation.front import Front
from tests.simulation.gateway import Gateway, Note
from tests.simulation.wire import Answer, Ask, HungUpError, Line, content_of

PLACES = {
    "connection": faults.OF_CONNECTION,
    "submit": faults.OF_SUBMIT,
    "status": faults.OF_STATUS,
    "task": faults.OF_TASK,
    "link": faults.OF_LINK,
    "download": faults.OF_FILE,
}


class Stroke(faults.Mischief):
    """One fault that strikes `place` every time, or only `times` times; `which` chooses among its variants."""

    def __init__(self, place: str, fault: str, *, which: int = 0, times: int | None = None) -> None:
        self._place, self._fault, self._which, self._times = PLACES.get(place, ()), fault, which, times
        self.struck = 0
        self.healed = self.spared = False

    def draw(self, place: Sequence[str]) -> str:
        if self.healed or place is not self._place or (self.spared and place is faults.OF_STATUS):
            return ""
        if place is faults.OF_TASK:  # a spell stays on its task, and is counted each time that it works
            return self._fault
        return self._fault if self.strikes() else ""

    def strikes(self) -> bool:
        """Take one of the times that are left."""
        if self.healed or (self._times is not None and self.struck >= self._times):
            return False
        self.struck += 1
        return True

    def between(self, least: float, most: float) -> float:
        return (least + most) / 2

    def pick(self, options: Sequence[int]) -> int:
        return options[self._which % len(options)]


class ChosenGateway(Gateway):
    """Spoils answers with the one fault."""

    def __init__(self, stroke: Stroke, note: Note) -> None:
        super().__init__(stroke, note)
        self._stroke = stroke
        self._looks: Counter[str] = Counter()
        self.uncounted = False

    def bewitch(self, answer: Answer, task_id: str) -> None:
        if task_id == "balance":
            return
        super().bewitch(answer, task_id)
        content = content_of(answer.body)
        if self.uncounted and content:
            answer.body = json.dumps(content | {"success": 0}).encode()

    def _spell(self, answer: Answer, content: dict[str, Any], spell: str, task_id: str) -> None:
        if not spell or not self._stroke.strikes():
            return
        self._looks[task_id] += 1
        if spell == "backwards":  # and forwards again, for ever
            status, success = (("processing", 3), ("completed", 5), ("processing", 1), ("pending", 0))[
                self._looks[task_id] % 4
            ]
            content.update(status=status, success=success, failure=0, result_url=None)
            return
        super()._spell(answer, content, spell, task_id)

    def made_up(self, how: str, platform: str) -> Answer:
        match how.split(" "):
            case [status, "same"]:
                return Answer(int(status), {"Location": f"{self.base_url}/elsewhere"})
            case [status, "other"]:
                return Answer(int(status), {"Location": f"http://{self.trap}/elsewhere"})
            case _:
                return super().made_up(how, platform)


class ChosenFront(Front):
    """One vendor with one fault. Closed until `open`; `tls` makes it https."""

    def __init__(self, api: str, results: str, stroke: Stroke, note: Note, *, host: str = "127.0.0.1") -> None:
        super().__init__(api, results, stroke, note)
        self._stroke = stroke
        self.gateway: ChosenGateway = ChosenGateway(stroke, note)
        self.tls: ssl.SSLContext | None = None
        self.result_file: Callable[[Answer], bytes] | None = None
        self.on_sleep: Callable[[], None] = lambda: None
        self._host = host
        self._servers: list[asyncio.Server] = []
        self._sockets: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._lines: dict[Line, None] = {}

    async def start(self) -> None:
        """Take two ports; nothing listens there before `open`."""
        for kind in ("api", "file"):
            # named TCP: else asyncio does not switch Nagle's delay off, and virtual time runs away from it
            taken = socket.socket(proto=socket.IPPROTO_TCP)
            taken.bind(("127.0.0.1", 0))
            taken.settimeout(0)
            self._sockets.append(taken)
            self._servers.append(
                await asyncio.start_server(
                    self._serve(kind), sock=taken, ssl=self.tls, limit=1 << 22, start_serving=False
                )
            )
        ports = [taken.getsockname()[1] for taken in self._sockets]
        self.gateway.scheme = "https" if self.tls else "http"
        self.gateway.base_url = f"{self.gateway.scheme}://{self._host}:{ports[0]}"
        self.gateway.results_host = f"{self._host}:{ports[1]}"

    async def stop(self) -> None:
        await super().stop()
        for server in self._servers:
            server.close()

    async def open(self) -> None:
        for server in self._servers:
            await server.start_serving()

    def jam(self) -> None:
        """Let a connection neither be refused nor made: nobody takes them from a queue that is full."""
        self._sockets[0].listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.settimeout(0)
            filler.connect_ex(self._sockets[0].getsockname())
            self._fillers.append(filler)

    def unjam(self) -> None:
        for filler in self._fillers:
            filler.close()

    def cut_all(self) -> None:
        """Reset every connection there is."""
        for line in list(self._lines):
            line.reset()

    async def _converse(self, line: Line, kind: str) -> None:
        self._lines[line] = None
        try:
            await super()._converse(line, kind)
        finally:
            del self._lines[line]

    async def _status(self, line: Line, ask: Ask) -> None:
        self._stroke.spared = ask.target == "/v1/balance"  # whose answer nobody needs
        await super()._status(line, ask)

    async def _damaged(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        match how:
            case "sleep":
                self.on_sleep()
                raise HungUpError
            case "file" if self.result_file is not None:
                answer.body = self.result_file(answer)
            case _ if how.endswith((" same", " other")):
                answer = self.gateway.made_up(how, "")
        await super()._damaged(line, ask, answer, how)

    async def _garbled(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        if how == "sleep":
            self.on_sleep()
            raise HungUpError
        await super()._garbled(line, ask, answer, how)
