"""The vendor's dialects: settings to requests, JSON to typed answers. Pure: no socket, no clock.

The documented fields are read; everything else in an answer is ignored. Numbers may come as strings or floats. A field
that an answer has twice, with two values, has none that could be believed: it is `TWICE`. Vendor text is quoted, in
messages and in the ledger, only after `quotable`: it may repeat phone numbers, our key, or a link.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, assert_never

from orchestrator.errors import DeniedError, RefusedError, TemporaryError
from orchestrator.redact import mask_numbers
from orchestrator.settings import PlatformSettings, Style
from orchestrator.vendor_api.meanings import (
    KNOWN_STATUSES,
    Accepted,
    Amount,
    Cause,
    Charge,
    Denied,
    InDoubt,
    PutOff,
    Refused,
    SubmitAnswer,
    TaskReport,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    Hide = Callable[[str], str]

MAX_ANSWER_BYTES: Final = 1 << 20
"""An answer of JSON is below a kilobyte; a larger one than this is not read to its end."""

MAX_RETRY_AFTER_S: Final = 3600.0
MAX_WORDS: Final = 200
MAX_COUNT: Final = 10**15
MAX_STATUS: Final = 64
MAX_AMOUNT: Final = 1_000_000
"""More than that no task costs, in any currency that is counted: the vendor has mixed something up."""

TWICE: Final = object()
_REPORTED: Final = ("task_id", "status", "total", "success", "failure", "result_url")

# Ids go into paths of URLs, where these stand for themselves, and into messages. Dots alone would walk up the path.
_TASK_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.~:=+@-]{1,128}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_DIGITS = re.compile(r"\d{7,}")
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+")
_PACKED: Final = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""How gzip begins, and zlib at each of its levels."""
_EITHER_FORMAT: Final = 32

_DENIES: Final = {
    401: "the vendor does not accept the key; check api_key_env or api_key_file",
    402: "the balance at the vendor is used up; top it up",
    403: "the key may not do this; ask the vendor what it is allowed to",
}
_NO_SUCH_PAGE: Final = frozenset({404, 405})
_MAY_HEAL: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Request:
    """One call, to be appended to a base URL: `fields` go as multipart form data, `query` into the URL."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: `content` is the JSON object, None if there was none, or not all of it arrived.

    `said` is the vendor's own message, safe to show; `retry_after` and `date` are those headers, empty when missing.
    `odd_id` is a task id that can't be used, as it came, but safe to show.
    """

    status: int
    content: dict[str, Any] | None = None
    said: str = ""
    retry_after: str = ""
    date: str = ""
    odd_id: str = ""


def is_task_id(value: object) -> bool:
    """Whether this can be a task id: 1 to 128 of `A-Z a-z 0-9 _ . ~ : = + @ -`, and not only dots."""
    return isinstance(value, str) and _TASK_ID.fullmatch(value) is not None


def task_id_of(value: object) -> str | None:
    """Return the task id that a vendor names in text or as a whole number, None for what can't be one."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text if isinstance(text, str) and is_task_id(text) else None


def submit_request(platform: PlatformSettings, user_id: str) -> Request:
    """Return the submit of `platform`; the file is one more field, called `file`."""
    match platform.style:
        case Style.SIMPLE:
            return Request("POST", platform.path, fields=_filled("user_id", user_id))
        case Style.V1:
            return Request("POST", platform.path, fields=(("task_type", platform.task_type),))
        case _:
            assert_never(platform.style)


def status_request(platform: PlatformSettings, user_id: str, task_id: str) -> Request:
    """Return the status call of one task; raises `RefusedError` for what can't be a task id."""
    if not is_task_id(task_id):
        raise RefusedError("this can't be a task id of the vendor; look it up there again", status=0)
    path = platform.path.rstrip("/")
    match platform.style:
        case Style.SIMPLE:
            return Request("GET", f"{path}/{task_id}", query=_filled("user_id", user_id))
        case Style.V1:
            return Request("POST", f"{path.rpartition('/')[0]}/gettasks", fields=(("task_id", task_id),))
        case _:
            assert_never(platform.style)


def balance_request() -> Request:
    """Return the look at the balance, which both styles share."""
    return Request("GET", "/v1/balance")


def read_content(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, None for anything else; see `TWICE` for its values."""
    try:
        content = json.loads(_text_of(body), object_pairs_hook=_without_doubt)
    except (ValueError, RecursionError):  # RecursionError: thousands of nested brackets
        return None
    return content if isinstance(content, dict) else None


def _text_of(body: bytes) -> str:
    """Return an answer as text, whatever it says of itself: what counts in it is ASCII, and worth more than its rest.

    Gateways pack what nobody asked them to pack; the words of a vendor may be in any encoding.
    """
    if body.startswith(_PACKED):
        try:
            body = zlib.decompressobj(zlib.MAX_WBITS | _EITHER_FORMAT).decompress(body, MAX_ANSWER_BYTES)
        except zlib.error:
            return ""
    try:
        return body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        pass
    try:
        return body.decode("gb18030")  # whose signs may have a backslash or a quote for their second byte
    except UnicodeDecodeError:
        return body.decode("latin-1")


def with_quotable_status(content: dict[str, Any] | None, hide: Hide) -> dict[str, Any] | None:
    """Return `content` with a status that may be shown: nobody knows all of the vendor's words for it."""
    status = (content or {}).get("status")
    if not content or not isinstance(status, str) or status in KNOWN_STATUSES:
        return content
    return content | {"status": quotable(status, hide)}


def words_of(content: dict[str, Any] | None, hide: Hide) -> str:
    """Return what the vendor says in `error` and `message`, quotable and short; "" for nothing."""
    found = [(content or {}).get(key) for key in ("error", "message")]
    texts = [value.get("message") if isinstance(value, dict) else value for value in found]
    said = ": ".join(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))
    return quotable(said, hide)[:MAX_WORDS] if said else ""


def odd_id_of(content: dict[str, Any] | None, hide: Hide) -> str:
    """Return a task id that can't be used, for a person to look for at the vendor; "" when there is none."""
    value = (content or {}).get("task_id")
    if value in (None, "") or value is TWICE or task_id_of(value) is not None:
        return ""
    try:
        return quotable(json.dumps(value), hide)[:MAX_WORDS]
    except (TypeError, ValueError):  # something in it is there twice
        return ""


def quotable(text: str, hide: Hide) -> str:
    """Make vendor text fit for messages, logs and the ledger: one line without numbers and what `hide` takes out."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    one_line = _QUERY.sub(r"\1?…", one_line)  # signed links say what they are in a dozen ways
    return _DIGITS.sub("[number]", mask_numbers(hide(one_line)))


def read_submit(answer: HttpAnswer, platform: PlatformSettings, *, whole_sent: bool) -> SubmitAnswer:
    """Say what the answer to a submit means; `whole_sent`: the last bytes had gone out."""
    status, wait_s = answer.status, retry_after_s(answer)
    names_a_task = whole_sent and not _is_ok(answer) and _named(answer) is not None
    if names_a_task or status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT}:
        return _unclear(answer, whole_sent=whole_sent)
    if status in _DENIES:
        return Denied(_quoted(answer, _DENIES[status]), status, answer.content is not None)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return PutOff(_quoted(answer, "too many requests"), wait_s, Cause.THROTTLED)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and answer.content is not None:
        return PutOff(_quoted(answer, "the vendor failed and made no task"), wait_s, Cause.FAILED)
    if 400 <= status < 500:  # noqa: PLR2004 - the bounds of a class of status codes
        return Refused(_quoted(answer, _advice(answer, platform)), status)
    accepted = _accepted(answer, platform)
    return _unclear(answer, whole_sent=whole_sent) if accepted is None else accepted


def read_silence(reason: str, *, whole_sent: bool) -> SubmitAnswer:
    """Say what a submit without an answer means: a whole request may have made a task, any other can't have."""
    return InDoubt(reason) if whole_sent else PutOff(reason)


def read_report(answer: HttpAnswer, task_id: str) -> TaskReport:
    """Return the report on `task_id`; raises `CallError`s."""
    content = _content(answer)
    if twice := [key for key in _REPORTED if content.get(key) is TWICE]:
        raise TemporaryError(f"the vendor's report says {' and '.join(twice)} twice, each time something else")
    named = content.get("task_id")
    if named not in (None, "") and task_id_of(named) != task_id:
        raise TemporaryError("the vendor answered for another task")
    status = content.get("status")
    if not isinstance(status, str) or not status.strip():
        raise TemporaryError("the vendor's report names no status")
    total, success, failure = (_count(content.get(key)) or 0 for key in ("total", "success", "failure"))
    url = content.get("result_url")
    link = url.strip() if isinstance(url, str) else ""
    # JSON can spell half characters, which no file takes.
    plain = status.strip().lower()[:MAX_STATUS].encode(errors="replace").decode()
    return TaskReport(task_id, plain, total, success, failure, link or None, _charge(content))


def read_balance(answer: HttpAnswer) -> float | None:
    """Return the balance in USD with any credit, None when the vendor has no such page; raises `CallError`s."""
    if answer.status in _NO_SUCH_PAGE or (_is_ok(answer) and answer.content is None):
        return None
    content = _content(answer)
    balance = _number(content.get("balance"))
    # A line of credit is as good as money: only what surely does not suffice may stop anything. So `daily_limit` and
    # `used_today` are left alone: nobody says in what they are counted, and a day later they begin anew.
    return None if balance is None else balance + max(0.0, _number(content.get("credit")) or 0.0)


def is_of_vendor(answer: HttpAnswer) -> bool:
    """Whether the vendor itself is there, by its answer to what is free to ask; raises `TemporaryError` if not at all.

    Its own words are JSON; without any it may only have said that there is no such page.
    """
    try:
        _content(answer)
    except DeniedError as error:
        return error.sure
    except RefusedError:
        return True
    except TemporaryError:
        if _is_ok(answer):
            return False
        raise
    return True


def retry_after_s(answer: HttpAnswer) -> float | None:
    """Return the vendor's wish in seconds, 0 to 3600.

    A date is measured against the answer's own `Date`, so our clock and its error play no part.
    """
    if not answer.retry_after:
        return None
    wait_s = _number(answer.retry_after, allow_infinite=True)
    if wait_s is None:
        until, now = read_date(answer.retry_after), read_date(answer.date)
        if until is None or now is None:
            return None
        wait_s = (until - now).total_seconds()
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


@lru_cache(maxsize=64)  # a date changes once a second, answers come faster
def read_date(header: str) -> datetime | None:
    """Return an HTTP date with its time zone, None for anything else."""
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else None


def _without_doubt(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        content[key] = TWICE if key in content and content[key] != value else value
    return content


def _filled(name: str, value: str) -> tuple[tuple[str, str], ...]:
    return ((name, value),) if value else ()


def _is_ok(answer: HttpAnswer) -> bool:
    return 200 <= answer.status < 300  # noqa: PLR2004 - the bounds of a class of status codes


def _named(answer: HttpAnswer) -> str | None:
    return task_id_of((answer.content or {}).get("task_id"))


def _accepted(answer: HttpAnswer, platform: PlatformSettings) -> Accepted | None:
    """Return the task that was made, None unless the vendor names it."""
    content, task_id = answer.content, _named(answer)
    if content is None or task_id is None or not _is_ok(answer):
        return None
    total = _count(content.get("total"))
    # The simple style answers before it has counted, with 0.
    known = None if platform.style is Style.SIMPLE and total == 0 else total
    return Accepted(task_id, known, _charge(content))


def _charge(content: dict[str, Any]) -> Charge:
    return Charge(_amount(content.get("estimated_amount")), _amount(content.get("actual_amount")))


def _amount(value: object) -> Amount | None:
    """Read `{"amount": "0.25", "currency": "USD"}`, rounded up to 1e-9; None for what can't be an amount.

    Decimals as text, since the sum of what is read as floats drifts. What is not in that shape says nothing.
    """
    told = value.get("amount") if isinstance(value, dict) else None
    if not isinstance(value, dict) or isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        amount = Decimal(str(told))
    except InvalidOperation:
        return None
    if not amount.is_finite() or not 0 <= amount <= MAX_AMOUNT:
        return None
    currency = str(value.get("currency", "")).strip().upper()
    nano = int((amount * 1_000_000_000).to_integral_value(ROUND_CEILING))
    return Amount(nano, currency if _CURRENCY.fullmatch(currency) else "")


def _unclear(answer: HttpAnswer, *, whole_sent: bool) -> SubmitAnswer:
    if _is_ok(answer):
        odd = f": it says {answer.odd_id}" if answer.odd_id else ""
        reason = f"an answer without a usable task id{odd}"
    elif (named := _named(answer)) is not None:
        reason = f"an answer that names the task {named}, and has the status of one that made none"
    elif 300 <= answer.status < 400:  # noqa: PLR2004 - the bounds of a class of status codes
        reason = "a redirect, which is never followed; check base_url"
    else:
        reason = "an answer that does not tell whether a task was made"
    reason = _quoted(answer, reason)
    return InDoubt(reason) if whole_sent else PutOff(reason, retry_after_s(answer))


def _advice(answer: HttpAnswer, platform: PlatformSettings) -> str:
    """Say what to change after a refusal."""
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return (
            "the file is too large for the vendor; begin a job in another directory, and make chunk_size smaller there"
        )
    if "invalid_batch_size" in answer.said:
        return (
            f"the vendor wants more rows in a task than min_rows = {platform.min_rows} of the platform, counted after "
            "it dropped invalid ones; raise min_rows; where chunk_size is below it, begin a job in another directory "
            "with both raised"
        )
    if answer.status in _NO_SUCH_PAGE:
        return "there is no such page; check base_url, and style and path of the platform"
    return "the vendor does not take this request; check style, path and task_type of the platform"


def _quoted(answer: HttpAnswer, reason: str) -> str:
    said = f" ({answer.said})" if answer.said else ""
    return f"HTTP {answer.status}: {reason}{said}"


def _content(answer: HttpAnswer) -> dict[str, Any]:
    """Return the JSON object of a good answer to a call that is safe to repeat, or raise what its status means.

    A redirect counts as temporary: the call reached a page of a gateway, not the vendor's answer, and giving up on a
    paid task because of it would be worse than asking again.
    """
    status = answer.status
    if status in _DENIES:
        raise DeniedError(_quoted(answer, _DENIES[status]), status=status, sure=answer.content is not None)
    if 400 <= status < 500 and status not in _MAY_HEAL:  # noqa: PLR2004 - the bounds of a class of status codes
        raise RefusedError(_quoted(answer, "the vendor does not take this call"), status=status)
    if not _is_ok(answer) or answer.content is None:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        reason = _quoted(answer, "no usable answer")
        raise TemporaryError(reason, retry_after_s=retry_after_s(answer), throttled=throttled)
    return answer.content


def _number(value: object, *, allow_infinite: bool = False) -> float | None:
    """Return a finite number that came as a number or as text, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) or (allow_infinite and math.isinf(number)) else None


def _count(value: object) -> int | None:
    """Read a count; an absurd one is cut to what a ledger can hold."""
    number = _number(value)
    return None if number is None else int(min(max(0.0, number), MAX_COUNT))
