"""The API port: submits, status calls and the balance, in both styles, exactly as documented.

Stricter than the vendor where it is unknown: an unknown field, a task asked for in the other style or under another
`user_id`, a body without a length are all refused.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from orchestrator.sandbox.catalog import ApiStyle, cost, max_rows, platform_of
from orchestrator.sandbox.chance import chance
from orchestrator.sandbox.course import TaskStatus
from orchestrator.sandbox.faults import Fate, Moment, link_is_expired, status_fate, submit_fate
from orchestrator.sandbox.form import BadFormError, CutOffError, Form, TooLargeError, UploadedFile, read_form
from orchestrator.sandbox.links import secret_of, signed_link
from orchestrator.sandbox.middleware import ENTRY, Refusal, ResetError, dated, logged
from orchestrator.sandbox.record import TaskRecord
from orchestrator.sandbox.results import ResultOrder, result_rows
from orchestrator.sandbox.state import NoMoneyError, Spacing, TooManyTasksError, VendorState
from orchestrator.sandbox.uploads import BadFileError, read_numbers

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

    from aiohttp.typedefs import Handler

    from orchestrator.sandbox.middleware import Clock

_FORM_OVERHEAD_BYTES = 64 << 10
_INLINE_BYTES = 64 << 10  # a file that small is read faster than a thread is woken
_ACCEPTED_SHARE = 0.1  # so many submits are answered 202
_ANONYMOUS = "sandbox"


class Api:
    """The vendor's API over one `VendorState`; `result_host` (host:port) is where links point to."""

    def __init__(self, state: VendorState, clock: Clock, key: str | None, builder: Executor) -> None:
        self.result_host = ""
        self.throttled = 0
        self._state, self._clock, self._key, self._builder = state, clock, key, builder
        self._spacing = Spacing(state.options.requests_per_second, state.options.tolerance_s)
        self._secret = secret_of(state.seed)
        self._parts = itertools.count()
        self._tallies: dict[str, tuple[int, int]] = {}
        self._kinds: dict[Any, str] = {
            self._submit_simple: "submit",
            self._submit_v1: "submit",
            self._status_simple: "status",
            self._status_v1: "status",
            self._balance: "balance",
        }

    def application(self) -> web.Application:
        app = web.Application(middlewares=[logged(self._state.requests, self._clock), self._guard])
        app.router.add_post("/{word}/api/simple/tasks", self._submit_simple)
        app.router.add_get("/{word}/api/simple/tasks/{task_id}", self._status_simple, allow_head=False)
        app.router.add_post("/v1/tasks", self._submit_v1)
        app.router.add_post("/v1/gettasks", self._status_v1)
        app.router.add_get("/v1/balance", self._balance, allow_head=False)
        app.on_response_prepare.append(dated(self._clock))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Hold every request to the rate, then to the key; refused ones count for the rate as well."""
        request[ENTRY].kind = self._kinds.get(request.match_info.handler, "other")
        early_s = self._spacing.too_soon_by(asyncio.get_running_loop().time())
        if early_s:
            self.throttled += 1
            raise Refusal(429, "too_many_requests", "requests come too fast", retry_after_s=math.ceil(early_s))
        given = request.headers.get("X-API-Key", "")
        if not given or (self._key is not None and not hmac.compare_digest(given.encode(), self._key.encode())):
            raise Refusal(401, "unauthorized", "the API key is missing or wrong")
        return await handler(request)

    async def _submit_simple(self, request: web.Request) -> web.StreamResponse:
        word = request.match_info["word"]
        if platform_of(ApiStyle.SIMPLE, word) is None:
            raise Refusal(404, "not_found", "no such platform")
        task = await self._submit(request, ApiStyle.SIMPLE, {"user_id"})
        stamp = _timestamp(task.created_at)
        answer = {"created_at": stamp, "updated_at": stamp, "task_id": task.id, "user_id": task.user_id}
        answer |= self._amounts(task)
        return self._created(task, answer | {"status": TaskStatus.PENDING, "total": 0, "success": 0, "failure": 0})

    async def _submit_v1(self, request: web.Request) -> web.StreamResponse:
        task = await self._submit(request, ApiStyle.V1, {"task_type"})
        answer = {"task_id": task.id, "status": TaskStatus.PENDING, "total": task.rows} | self._amounts(task)
        stamp = _timestamp(task.created_at)
        return self._created(task, answer | {"message": "Task created successfully", "created_at": stamp})

    def _created(self, task: TaskRecord, answer: dict[str, Any]) -> web.Response:
        accepted = chance(self._state.seed, "accepted", task.id) < _ACCEPTED_SHARE
        return web.json_response(answer, status=202 if accepted else 200)

    def _amounts(self, task: TaskRecord, *, is_over: bool = False) -> dict[str, Any]:
        """Return what the vendor says that a task costs: at first what it expects, at the end what it has taken."""
        options = self._state.options
        if options.currency is None:
            return {}
        told = {"estimated_amount": task.cost * options.estimate_factor} | (
            {"actual_amount": task.cost} if is_over else {}
        )
        return {name: {"amount": f"{usd:.9f}", "currency": options.currency} for name, usd in told.items()}

    async def _submit(self, request: web.Request, style: ApiStyle, allowed: set[str]) -> TaskRecord:
        """Take one submit from its first byte to a task on record; raise `Refusal` or `ResetError`."""
        entry, state = request[ENTRY], self._state
        entry.about, entry.nth = request.path, state.count("submit", request.path)
        fate = submit_fate(state.seed, state.faults, entry.about, entry.nth)
        await _befall(request, fate, Moment.EARLY)
        part = state.uploads / f"{next(self._parts)}.part"
        try:
            form = await self._receive(request, part, allowed)
            await _befall(request, fate, Moment.WHOLE)
            task = await self._make_task(style, request.match_info.get("word", ""), form)
        finally:
            part.unlink(missing_ok=True)
        entry.task_id = task.id
        await _befall(request, fate, Moment.MADE)
        return task

    async def _receive(self, request: web.Request, part: Path | None, allowed: set[str]) -> Form:
        """Read the body; every field must be among `allowed`."""
        most = self._state.options.max_upload_bytes
        if request.content_length is None:
            raise Refusal(411, "length_required", "the body needs a Content-Length")
        if request.content_length > most + _FORM_OVERHEAD_BYTES:
            raise Refusal(413, "file_too_large", f"the file has more than {most} bytes")
        try:
            form = await read_form(request.content, request.headers.get("Content-Type", ""), part, most)
        except BadFormError as error:
            raise Refusal(400, "bad_request", str(error)) from None
        except TooLargeError as error:
            raise Refusal(413, "file_too_large", str(error)) from None
        except CutOffError:
            raise ResetError from None
        if unknown := form.fields.keys() - allowed:
            raise Refusal(400, "bad_request", f"unknown field {min(unknown)!r}")
        return form

    async def _make_task(self, style: ApiStyle, word: str, form: Form) -> TaskRecord:
        """Make, admit and record the task of a whole form; nothing is charged unless this returns."""
        if form.upload is None:
            raise Refusal(400, "missing_field", "the field 'file' is missing")
        if style is ApiStyle.V1:
            word = form.fields.get("task_type", "")
        platform = platform_of(style, word)
        if platform is None:
            raise Refusal(400, "invalid_task_type", "task_type is missing or unknown; it is case-sensitive")
        rows, options = await self._rows(platform, form.upload), self._state.options
        billed = -(-rows // options.billing_block) * options.billing_block
        task = TaskRecord(
            id=self._state.new_task_id(style, word, form.upload.sha256),
            style=style,
            type=word,
            platform=platform,
            sha256=form.upload.sha256,
            size_bytes=form.upload.size_bytes,
            rows=rows,
            cost=round(cost(platform, billed) * options.price_factor, 9),
            file_name=form.upload.file_name,
            user_id=form.fields.get("user_id", _ANONYMOUS),
            created_at=self._clock(),
        )
        try:
            self._state.admit(task)
        except NoMoneyError:
            raise Refusal(402, "insufficient_balance", "the balance does not cover this task") from None
        except TooManyTasksError as error:
            wait_s = min(math.ceil(error.wait_s), 60)
            raise Refusal(429, "too_many_tasks", "too many unfinished tasks", retry_after_s=wait_s) from None
        form.upload.path.replace(self._state.upload_of(task.id))
        await self._state.charge(task)
        return task

    async def _rows(self, platform: str, upload: UploadedFile) -> int:
        """Count the rows as the vendor does, without duplicates, and hold them to the limits."""
        try:
            rows = len(await self._near(upload.size_bytes, read_numbers, upload.path))
        except BadFileError as error:
            raise Refusal(400, "invalid_file", str(error)) from None
        least, most = self._state.min_rows(platform), max_rows(platform)
        if not least <= rows <= most:
            limits = f"between {least} and {most} valid rows are needed, the file has {rows}"
            raise Refusal(400, "invalid_batch_size", limits)
        return rows

    async def _status_simple(self, request: web.Request) -> web.StreamResponse:
        if request.query.keys() - {"user_id"}:
            raise Refusal(400, "bad_request", "unknown parameter")
        task = self._known(ApiStyle.SIMPLE, request.match_info["task_id"])
        if task.type != request.match_info["word"] or request.query.get("user_id", task.user_id) != task.user_id:
            raise Refusal(404, "not_found", "no such task")
        return await self._status(request, task)

    async def _status_v1(self, request: web.Request) -> web.StreamResponse:
        form = await self._receive(request, None, {"task_id"})
        if "task_id" not in form.fields:
            raise Refusal(400, "missing_field", "the field 'task_id' is missing")
        return await self._status(request, self._known(ApiStyle.V1, form.fields["task_id"]))

    def _known(self, style: ApiStyle, task_id: str) -> TaskRecord:
        task = self._state.tasks.get(task_id)
        if task is None or task.style is not style:
            raise Refusal(404, "not_found", "no such task")
        return task

    async def _status(self, request: web.Request, task: TaskRecord) -> web.Response:
        """Answer where a task stands; an exported one gets a fresh link each time."""
        entry, state = request[ENTRY], self._state
        entry.task_id = entry.about = task.id
        entry.nth = state.count("status", task.id)
        entry_fate = status_fate(state.seed, state.faults, task.id, entry.nth)
        await _befall(request, entry_fate, Moment.EARLY)
        now = self._clock()
        progress = state.course_of(task).at(now)
        # The rows that are really in the result, and those that are missing; (0, 0) if the file is lost.
        if task.id not in self._tallies:
            self._tallies[task.id] = await self._near(task.size_bytes, _tally_of, state.order_of(task), task.rows)
        success, failure = self._tallies[task.id]
        status = progress.status if success or failure else TaskStatus.FAILED
        style_stamp = _timestamp if task.style is ApiStyle.SIMPLE else _short_timestamp
        answer: dict[str, Any] = {
            "created_at": style_stamp(task.created_at),
            "updated_at": style_stamp(progress.updated_at),
            "task_id": task.id,
            "user_id": task.user_id,
            "status": status,
            "total": task.rows,
            "success": success * progress.rows_done // task.rows,
            "failure": failure * progress.rows_done // task.rows,
        } | self._amounts(task, is_over=status in (TaskStatus.EXPORTED, TaskStatus.FAILED))
        if status is TaskStatus.EXPORTED:
            expired = link_is_expired(state.seed, state.faults, task.id, entry.nth)
            entry.fault = entry.fault or ("expired_link" if expired else "")
            lifetime_s = state.options.link_lifetime_s
            signed_at = now - lifetime_s - 60 if expired else now
            path = f"/externalcheck/{task.id}/{task.id}{state.order_of(task).extension}"
            answer["result_url"] = signed_link(self._secret, self.result_host, path, signed_at, lifetime_s)
        return web.json_response(answer)

    async def _near(self, size_bytes: int, work: Any, *arguments: Any) -> Any:
        """Run `work` here when its file is small, else in the builder's thread."""
        if size_bytes <= _INLINE_BYTES:
            return work(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._builder, work, *arguments)

    async def _balance(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"balance": self._state.balance})


async def _befall(request: web.Request, fate: Fate, moment: Moment) -> None:
    """Let happen what `fate` holds for this moment."""
    if fate.slow_s and fate.slow_moment is moment:
        request[ENTRY].fault = "slow"
        await asyncio.sleep(fate.slow_s)
    if not fate.fault or fate.moment is not moment:
        return
    request[ENTRY].fault = fate.fault
    if fate.fault == "error_500":
        raise Refusal(500, "internal_error", "please try again later")
    if fate.fault == "throttle_429":
        raise Refusal(429, "too_many_requests", "please slow down", retry_after_s=fate.retry_after_s)
    raise ResetError


def _tally_of(order: ResultOrder, rows: int) -> tuple[int, int]:
    if not order.upload.exists():
        return 0, 0
    if not order.faults & {"missing_rows", "foreign_rows"}:
        return rows, 0
    found = result_rows(order)
    return len(found.numbers), found.missing


def _timestamp(at: float) -> str:
    """Spell epoch seconds as the documented examples do: up to nine digits, without trailing zeros."""
    whole = math.floor(at)
    digits = f"{int((at - whole) * 1e9):09d}".rstrip("0")
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}{digits and '.' + digits}Z"


def _short_timestamp(at: float) -> str:
    """Spell epoch seconds as the v1 status example does: three digits."""
    return f"{datetime.fromtimestamp(at, UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
