"""Uploads: multipart/form-data read as it comes, the file part straight to disk and hashed on its way.

A body counts as whole with the `--` of its closing delimiter. What follows (the customary line break) is no part of
the form, and a vendor may well act without waiting for it; so a client that holds back no more than that has already
bought a task. Anything less than the closing delimiter makes no task.

No library does this: aiohttp's own reader and `multipart` 2.0 wait for what follows the delimiter, and around the
callbacks of `python-multipart` 0.0.34 as many lines are needed as here (176 against 182), with a dependency.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import ClientError
from aiohttp.http_exceptions import HttpProcessingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiohttp import StreamReader

_MAX_FIELD_BYTES = 1_024
_MAX_HEAD_BYTES = 8_192
_BOUNDARY = re.compile(r'^multipart/form-data;.*\bboundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*(name|filename)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))', re.IGNORECASE)
_PRIVATE = 0o600


class BadFormError(ValueError):
    """The body is whole but no form as documented; the message is for the answer."""


class TooLargeError(ValueError):
    """The uploaded file has more bytes than the vendor takes."""


class CutOffError(Exception):
    """The body did not arrive whole: the client is gone."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An uploaded file on disk."""

    path: Path
    file_name: str
    sha256: str
    size_bytes: int


@dataclass(slots=True)
class Form:
    """What a body brought; `upload` is the part named `file`."""

    fields: dict[str, str] = field(default_factory=dict)
    upload: UploadedFile | None = None


async def read_form(content: StreamReader, content_type: str, part: Path | None, max_bytes: int) -> Form:
    """Read a form up to its closing delimiter.

    The part `file` is written to `part`; with None a file is refused. Raises `BadFormError`, `TooLargeError`,
    `CutOffError`, and `OSError` of the disk; `part` may be left behind then.
    """
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise BadFormError("the body must be multipart/form-data")
    delimiter = b"\r\n--" + (match[1] or match[2]).encode()
    body = _Body(content)
    form = Form()
    await body.until(delimiter, _at_most(0, "text before the form"))
    while (mark := await body.exactly(2)) != b"--":
        if mark != b"\r\n":
            raise BadFormError("a delimiter without a line break")
        name, file_name = await _read_head(body)
        if name in form.fields or (name == "file" and form.upload):
            raise BadFormError(f"the field {name!r} stands twice")
        if name == "file":
            if part is None:
                raise BadFormError("no file is expected here")
            if not file_name:
                raise BadFormError("the field 'file' must be a file, with a file name")
            form.upload = await _store(body, delimiter, part, file_name, max_bytes)
            continue
        value = bytearray()
        keep = _at_most(_MAX_FIELD_BYTES, f"the field {name!r}", value.extend)
        await body.until(delimiter, keep)
        try:
            form.fields[name] = value.decode()
        except UnicodeDecodeError:
            raise BadFormError(f"the field {name!r} is not UTF-8") from None
    return form


async def _read_head(body: _Body) -> tuple[str, str]:
    """Return the name and the file name ("" if there is none) of the part that begins here."""
    head = bytearray(b"\r\n")
    await body.until(b"\r\n\r\n", _at_most(_MAX_HEAD_BYTES, "the head of a part", head.extend))
    for line in head.decode("utf-8", "replace").split("\r\n"):
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition" and value.strip().lower().startswith("form-data;"):
            parameters = _PARAMETER.findall(value)
            found = {key.lower(): bare or re.sub(r"\\(.)", r"\1", quoted) for key, quoted, bare in parameters}
            if "name" in found:
                return found["name"], found.get("filename", "")
    raise BadFormError("a part without a name")


async def _store(body: _Body, delimiter: bytes, part: Path, file_name: str, max_bytes: int) -> UploadedFile:
    digest, size_bytes = sha256(), 0
    # Plain writes on the loop: they end in the page cache, and a thread for each block would cost more.
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as file:

        def keep(block: bytes) -> None:
            nonlocal size_bytes
            size_bytes += len(block)
            if size_bytes > max_bytes:
                raise TooLargeError(f"the file has more than {max_bytes} bytes")
            digest.update(block)
            file.write(block)

        await body.until(delimiter, keep)
    return UploadedFile(part, file_name, digest.hexdigest(), size_bytes)


def _at_most(limit: int, what: str, keep: Callable[[bytes], object] = len) -> Callable[[bytes], None]:
    """Return a sink that hands blocks to `keep` and raises `BadFormError` beyond `limit` bytes."""
    seen = 0

    def sink(block: bytes) -> None:
        nonlocal seen
        seen += len(block)
        if seen > limit:
            raise BadFormError(f"{what} is too long")
        keep(block)

    return sink


class _Body:
    """The bytes of a body, looked at from delimiter to delimiter."""

    def __init__(self, content: StreamReader) -> None:
        self._content = content
        self._bytes = bytearray(b"\r\n")  # the first delimiter has no line break of its own before it

    async def until(self, delimiter: bytes, sink: Callable[[bytes], None]) -> None:
        """Hand all that stands before `delimiter` to `sink`, in blocks, and pass over the delimiter."""
        while (at := self._bytes.find(delimiter)) < 0:
            surely = len(self._bytes) - len(delimiter) + 1
            if surely > 0:
                sink(bytes(self._bytes[:surely]))
                del self._bytes[:surely]
            await self._more()
        sink(bytes(self._bytes[:at]))
        del self._bytes[: at + len(delimiter)]

    async def exactly(self, count: int) -> bytes:
        while len(self._bytes) < count:
            await self._more()
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    async def _more(self) -> None:
        try:
            block = await self._content.readany()
        except (OSError, ClientError, HttpProcessingError) as error:
            raise CutOffError from error
        if not block:
            raise CutOffError
        self._bytes += block
