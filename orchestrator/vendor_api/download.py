"""Result files: from a link to a private part file, without ever trusting the other side.

No key, no cookies and no redirects go with it. What could not be fetched whole leaves no part behind.
"""

from __future__ import annotations

from http import HTTPStatus
from io import FileIO
from typing import TYPE_CHECKING, Final

import aiohttp

from orchestrator.errors import DamagedResultError, LinkExpiredError, RefusedError, TemporaryError
from orchestrator.files import BLOCK_BYTES, SMALL_BYTES, disk_errors, open_private, write_whole
from orchestrator.vendor_api.deadline import Deadline
from orchestrator.vendor_api.dialects import HttpAnswer, retry_after_s
from orchestrator.vendor_api.hosts import UnsafeAddressError, not_a_link, unsafe_host
from orchestrator.vendor_api.opened_files import opened
from orchestrator.vendor_api.trouble import TROUBLE, reason_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from yarl import URL

    from orchestrator.vendor_api.deadline import Times

DRIP_BYTES: Final = 64 * 1024
"""What each `drip_s` must bring at least, unless the file ends: about 1 KiB/s."""

# S3 answers an expired signature with 403, expired temporary credentials with 400, a removed object with 404 or 410.
_EXPIRED: Final = frozenset({400, 401, 403, 404, 410})
_MAY_HEAL: Final = frozenset({408, 429})


async def fetch(session: aiohttp.ClientSession, url: URL, part: Path, *, max_bytes: int, times: Times) -> None:
    """Write the file behind `url` to `part`; see `VendorClient.download` for the errors."""
    deadline = Deadline()
    try:
        async with deadline:
            deadline.within(times.drip_s, "no answer to the result link")
            async with session.get(url, allow_redirects=False) as response:
                _check_head(response, max_bytes)
                await _store(_watched(response, deadline, times, max_bytes), part)
    except (aiohttp.InvalidURL, UnicodeError) as error:
        raise not_a_link() from error
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, UnsafeAddressError):
            raise unsafe_host(error.host) from error
        raise TemporaryError(reason_of(error, deadline)) from error
    except TROUBLE as error:
        raise TemporaryError(f"the download broke off: {reason_of(error, deadline)}") from error


_TOO_SLOW: Final = f"neither the end of the file nor {DRIP_BYTES // 1024} KiB more"


def _check_head(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    status = response.status
    if status in _EXPIRED:
        raise LinkExpiredError(f"HTTP {status}: the result link no longer opens the file")
    if 300 <= status < 500 and status not in _MAY_HEAL:  # noqa: PLR2004 - the bounds of classes of status codes
        raise RefusedError(f"HTTP {status}: the result link does not lead to a file", status=status)
    if status != HTTPStatus.OK:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        retry_after, date = (response.headers.get(name, "") for name in ("Retry-After", "Date"))
        wait_s = retry_after_s(HttpAnswer(status, retry_after=retry_after, date=date))
        reason = f"HTTP {status}: the result can't be fetched now"
        raise TemporaryError(reason, retry_after_s=wait_s, throttled=throttled)
    if (response.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError(f"the result file is larger than {max_bytes} bytes", status=HTTPStatus.OK)


async def _watched(
    response: aiohttp.ClientResponse, deadline: Deadline, times: Times, max_bytes: int
) -> AsyncIterator[bytes]:
    """Yield what comes, as long as it comes fast enough and is not too much."""
    total = window = 0
    deadline.within(times.drip_s, _TOO_SLOW)
    while data := await _more(response):
        total += len(data)
        window += len(data)
        if total > max_bytes:
            raise _too_large(max_bytes)
        if window >= DRIP_BYTES:
            deadline.within(times.drip_s, _TOO_SLOW)
            window = 0
        yield data


async def _more(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readany()
    except aiohttp.ClientPayloadError as error:
        # The same error, whether the connection was torn down or ended in good order.
        protocol = None if response.connection is None else response.connection.protocol
        if protocol is not None and isinstance(protocol.exception(), aiohttp.ClientOSError):
            raise  # the way is bad, not the file
        raise DamagedResultError("the result file ended before its announced length") from error


async def _store(content: AsyncIterator[bytes], part: Path) -> None:
    """Write `content` in blocks; a part that was not completed is removed.

    A small file is written on the loop: a hop to a thread costs several times as much.
    """
    try:
        head = bytearray()
        async for data in content:
            head += data
            if len(head) > SMALL_BYTES:
                break
        if len(head) <= SMALL_BYTES:
            with disk_errors(part), FileIO(part, "w", opener=open_private) as small:
                write_whole(small, head)
            return
        async with opened(part, "wb", open_private) as file:
            block = head
            async for data in content:
                if len(block) >= BLOCK_BYTES:
                    with disk_errors(part):
                        await file.write(bytes(block))
                    block.clear()
                block += data
            with disk_errors(part):
                await file.write(bytes(block))
    except BaseException:
        with disk_errors(part):
            part.unlink(missing_ok=True)  # noqa: ASYNC240 - a wait here could be cancelled, and leave the part
        raise
