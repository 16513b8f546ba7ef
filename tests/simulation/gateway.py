"""What a gateway puts in the place of the vendor's words: answers of its own, spells on tasks, wrong links."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.simulation.faults import OF_ACCESS, OF_LINK, OF_TASK, Mischief
from tests.simulation.hostile import bomb_answer
from tests.simulation.wire import Answer, content_of

Note = Callable[..., None]
ABSURD = ("999999999999", "-5", "soon", "inf", "1e400", "nan", "0", "86400")
STATUSES = ("pending", "processing", "completed")
UNREAL = "unreal"
"""What task ids begin with that no vendor ever gave."""


class Gateway:
    """Spoils answers. `owners` maps task ids to platforms; `unreal` are ids that no vendor ever gave.

    `trap` is the address of a host that nobody may ever connect to.
    """

    def __init__(self, mischief: Mischief, note: Note) -> None:
        self._mischief, self._note = mischief, note
        self._spells: dict[str, str] = {}
        self._files: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.unreal: set[str] = set()
        self.scheme = "http"
        self.base_url = self.results_host = self.trap = ""

    def bewitch(self, answer: Answer, task_id: str) -> None:
        """Put the task's own spell, and a fault of its link, into an answer."""
        content = content_of(answer.body)
        if answer.status != 200 or content is None:
            return
        if task_id not in self._spells:
            self._spells[task_id] = self._mischief.draw(OF_TASK) or self._mischief.draw(OF_ACCESS)
        if not self._mischief.healed:
            self._spell(answer, content, self._spells[task_id].partition(": ")[2], task_id)
        if content.get("result_url"):
            content["result_url"] = self._link(content["result_url"], task_id)
        if answer.status == 200:
            answer.body = json.dumps(content).encode()

    def _spell(self, answer: Answer, content: dict[str, Any], spell: str, task_id: str) -> None:
        ended = content.get("status") in {"exported", "completed"}
        unready = {"result_url": None, "success": 0, "failure": 0}
        match spell:
            case "stuck":
                content.update(unready, status="processing")
            case "backwards":
                content.update(
                    unready, status=STATUSES[self._mischief.pick((0, 1, 2))], success=self._mischief.pick(range(9))
                )
            case "unknown":
                content.update(unready, status=("auditing", "", "ÜBER\ud800", 7)[self._mischief.pick((0, 1, 2, 3))])
            case "failed":
                content.update(unready, status="failed")
            case "total differs":
                content["total"] = self._mischief.pick((0, 1, 5, 10**6, -4))
            case "absurd counts":
                content.update(total=10**400, success=[1], failure="many")
            case "denied":
                answer.status, answer.body = 403, b'{"error":"forbidden"}'
            case "gone":
                answer.status, answer.body = 404, b'{"error":"not_found"}'
            case "completed for ever" if ended:
                content.update(status="completed", result_url=None)
            case "without a link" if ended:
                content["result_url"] = ("", None)[self._mischief.pick((0, 1))]
            case "another task":
                content["task_id"] = "another"
            case _:
                return
        self._note("spell", spell=spell, task=task_id)

    def _link(self, link: str, task_id: str) -> str:  # noqa: C901, PLR0911 - one case a fault
        path = link.partition("//")[2].partition("/")[2]
        self._files[task_id] = path
        ours = f"{self.scheme}://{self.results_host}/"
        fault = self._mischief.draw(OF_LINK)
        if fault:
            self._note("fault", fault=fault, about=task_id)
        others = [other for other in self._files if other != task_id]
        match fault.partition(": ")[2]:
            case "of another task" if others:
                return ours + self._files[others[self._mischief.pick(range(len(others)))]]
            case "to another host":
                return f"http://files.example/{path}"
            case "private address":
                return f"https://10.0.0.1/{path}"
            case "no link":
                return "see your mail"
            case "brackets":
                return "https://[]@"
            case "half a character":
                return f"https://files.example/\ud800/{path}"
            case "very long":
                return "https://files.example" + "".join(f"/{place}" for place in range(50_000))
            case "ftp":
                return f"ftp://127.0.0.1/{path}"
            case "http":
                return f"http://localhost:{self.trap.rpartition(':')[2]}/{path}"
            case "this machine":
                return f"https://{self.trap}/{path}"
            case "a name that leads here":
                return f"https://localhost:{self.trap.rpartition(':')[2]}/{path}"
            case "expired":
                return ours + path.replace("X-Amz-Expires=3600", "X-Amz-Expires=1")
            case _:
                return ours + path

    def unreal_id(self, platform: str, end: str) -> str:
        """Make up a task id that no vendor ever gave."""
        task_id = f"{UNREAL}{end}"
        self.unreal.add(task_id)
        self.owners[task_id] = platform
        return task_id

    def made_up(self, how: str, platform: str) -> Answer:  # noqa: PLR0911 - one case a fault
        """Make an answer of a gateway."""
        words = json.dumps({"error": "some_error", "message": "some words, +41791234567"}).encode()
        page = b"<html><body>it did not work</body></html>"
        date = {"Date": "Fri, 21 Nov 2025 12:00:00 GMT", "Retry-After": "Fri, 21 Nov 2025 12:00:09 GMT"}
        match how:
            case "429 absurd":
                return Answer(429, {"Retry-After": ABSURD[self._mischief.pick(range(len(ABSURD)))]}, words)
            case "429 date":
                return Answer(429, date, words)
            case "500 html":
                return Answer(500, {"Content-Type": "text/html"}, page)
            case "html":
                return Answer(200, {"Content-Type": "text/html"}, page)
            case "empty":
                return Answer(200)
            case "without id" | "200 without id":
                return Answer(200, {}, b'{"status": "pending"}')
            case "unknown id" | "200 with unknown id":
                content = {"task_id": self.unreal_id(platform, f"{len(self.unreal):04d}"), "status": "pending"}
                return Answer(200, {}, json.dumps(content).encode())
            case "bomb":
                return bomb_answer()
            case "429 after":
                return Answer(429, {"Retry-After": "7"}, words)
            case "301" | "302" | "307" | "308":
                where = (self.base_url + "/elsewhere", f"http://{self.trap}/")[self._mischief.pick((0, 1))]
                return Answer(int(how), {"Location": where})
            case "204":
                return Answer(204)
            case _:
                return Answer(int(how), {}, page if how in {"502", "503", "504"} else words)
