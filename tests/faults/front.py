"""The simulation's gateway with one fault at a time, chosen and not drawn; and some faults more."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
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
BOMB_BYTES = 1 << 30
PIECE_BYTES = 1 << 20


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
    """Spoils answers with the one fault. `trap` is the address of a host that nobody may ever connect to."""

    def __init__(self, stroke: Stroke, note: Note) -> None:
        super().__init__(stroke, note)
        self._stroke = stroke
        self._looks: Counter[str] = Counter()
        self.scheme, self.trap = "http", ""
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

    def _link(self, link: str, task_id: str) -> str:
        told = super()._link(link, task_id)
        path = told.partition("//")[2].partition("/")[2]
        match self._mischief.draw(LINKS):
            case "http":
                return f"http://localhost:{self.trap.rpartition(':')[2]}/{path}"
            case "a name that leads here":
                return f"https://localhost:{self.trap.rpartition(':')[2]}/{path}"
            case "this machine":
                return f"https://{self.trap}/{path}"
        return told.replace("http:", f"{self.scheme}:", 1) if self.results_host in told else told

    def made_up(self, how: str, platform: str) -> Answer:
        words = b'{"error": "some_error", "message": "some words, +41791234567"}'
        match how.split(" "):
            case [status, "same"]:
                return Answer(int(status), {"Location": f"{self.base_url}/elsewhere"})
            case [status, "other"]:
                return Answer(int(status), {"Location": f"http://{self.trap}/elsewhere"})
            case ["429", "after"]:
                return Answer(429, {"Retry-After": "7"}, words)
            case ["bomb"]:
                return Answer(200, {"Content-Encoding": "deflate", "Content-Type": "application/json"}, bomb())
            case _:
                return super().made_up(how, platform)


LINKS = ("links of this table",)
PLACES["other link"] = LINKS


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
        self._sockets: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._lines: dict[Line, None] = {}
        self._fetches = 0

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

    async def _fetch(self, line: Line, ask: Ask) -> None:
        self._fetches += 1
        await super()._fetch(line, ask)

    async def _damaged(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        match how:
            case "403 in the middle" if self._fetches % 2 == 0:
                answer = self.gateway.made_up("403", "")
            case "403 in the middle":
                await line.send(answer.raw(close=False)[: -len(answer.body) // 2])
                raise line.reset()
            case "endless":
                await self._pour(line)
            case "sleep":
                self.on_sleep()
                raise HungUpError
            case "drip":
                await self._drip(line, answer)
            case "file" if self.result_file is not None:
                answer.body = self.result_file(answer)
            case _ if how.partition(" ")[0].isdigit():
                answer = self.gateway.made_up(how, "")
        await super()._damaged(line, ask, answer, how)

    async def _pour(self, line: Line) -> None:
        """Send without announcing a length, until the other side has had enough."""
        await line.send(b"HTTP/1.1 200 Any\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + bytes(PIECE_BYTES) + b"\r\n"
        while not line.writer.is_closing():
            await line.send(piece)
        raise HungUpError

    async def _drip(self, line: Line, answer: Answer) -> None:
        """Send a byte now and then: never nothing, and never an end."""
        await line.send(answer.raw(close=True)[: -len(answer.body)])
        for byte in answer.body:
            await line.send(bytes([byte]))
            await asyncio.sleep(25.0)
        raise HungUpError

    async def _garbled(self, line: Line, ask: Ask, answer: Answer, how: str) -> None:
        match how:
            case "closed":
                raise HungUpError
            case "silence":
                raise await line.stalled()
            case "sleep":
                self.on_sleep()
                raise HungUpError
            case "id twice":
                content = content_of(answer.body) or {}
                answer.body = json.dumps(content)[:-1].encode() + b', "task_id": "another"}'
                await self._reply(line, ask, answer)
                return
        await super()._garbled(line, ask, answer, how)


@cache
def bomb() -> bytes:
    """Return a megabyte of deflate that unpacks to a gigabyte."""
    packer = zlib.compressobj(1)
    head = packer.compress(b"[") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(b" " * PIECE_BYTES) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * (BOMB_BYTES // PIECE_BYTES)


class Trap:
    """A host that no request may ever reach."""

    def __init__(self) -> None:
        self.connections = 0

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._caught, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()

    async def _caught(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()
