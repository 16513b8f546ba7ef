"""One call to the address that [notify] names. It is no vendor's, but this folder is the only one that speaks HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCEPTED: Final = range(200, 300)


async def call_webhook(url: str, body: bytes, headers: Mapping[str, str], *, agent: str, timeout_s: float) -> str:
    """Post `body` once and return why it was not taken, "" if it was. No redirect is followed, no answer read.

    The reason names neither the address, which may be a secret in itself, nor anything that was answered.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": agent}, trust_env=False
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return "" if answer.status in ACCEPTED else f"it answered with status {answer.status}"
    except TimeoutError:
        return f"no answer within {timeout_s:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: an address that no connection takes
        return f"it could not be reached ({type(error).__name__})"
