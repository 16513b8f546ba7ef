from __future__ import annotations

import asyncio
import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.sandbox.form import BadFormError, CutOffError, Form, TooLargeError, read_form

if TYPE_CHECKING:
    from pathlib import Path

TYPE = "multipart/form-data; boundary=B0und"
FILE = b"+41798284651\r\n--B0un\n+12025551234\n"


def part(name: str, content: bytes, extra: str = "") -> bytes:
    return f'--B0und\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


FILE_PART = part("file", FILE, '; filename="in put.txt"')
WHOLE = part("task_type", b"amazon") + FILE_PART + b"--B0und--\r\n"


def reader(blocks: list[bytes], *, ended: bool = True) -> StreamReader:
    stream = StreamReader(Mock(spec=BaseProtocol), 2**16, loop=asyncio.get_running_loop())
    for block in blocks:
        stream.feed_data(block)
    if ended:
        stream.feed_eof()
    return stream


async def read(body: bytes, upload: Path | None, *, max_bytes: int = 1000, content_type: str = TYPE) -> Form:
    return await read_form(reader([body]), content_type, upload, max_bytes)


async def test_a_form_is_read_and_its_file_stored(tmp_path: Path) -> None:
    """Fields come back as text; the file is on disk, byte for byte, with its hash."""
    form = await read(WHOLE, tmp_path / "u.part")
    assert form.fields == {"task_type": "amazon"}
    assert form.upload is not None
    assert (form.upload.file_name, form.upload.size_bytes) == ("in put.txt", len(FILE))
    assert form.upload.sha256 == hashlib.sha256(FILE).hexdigest()
    assert (tmp_path / "u.part").read_bytes() == FILE
    assert (tmp_path / "u.part").stat().st_mode & 0o777 == 0o600


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
async def test_it_does_not_matter_where_the_network_cuts(tmp_path: Path, cuts: list[int]) -> None:
    """Any split into blocks gives the same form."""
    edges = [0, *sorted(set(cuts)), len(WHOLE)]
    upload = tmp_path / "u.part"
    stream = StreamReader(Mock(spec=BaseProtocol), 2**16, loop=asyncio.get_running_loop())
    reading = asyncio.create_task(read_form(stream, TYPE, upload, 1000))
    for start, end in pairwise(edges):
        await asyncio.sleep(0)
        stream.feed_data(WHOLE[start:end])
    assert (await reading).fields == {"task_type": "amazon"}
    assert upload.read_bytes() == FILE
    upload.unlink()


@pytest.mark.parametrize("length", [0, 1, 60, len(WHOLE) - 60, len(WHOLE) - 5, len(WHOLE) - 4, len(WHOLE) - 3])
async def test_anything_less_than_the_closing_delimiter_is_cut_off(tmp_path: Path, length: int) -> None:
    """An incomplete body is told from a bad one: it makes no task, whatever it would have been."""
    with pytest.raises(CutOffError):
        await read(WHOLE[:length], tmp_path / "u.part")


async def test_the_closing_delimiter_is_enough(tmp_path: Path) -> None:
    """The line break behind it is not waited for: who holds back only that has sent a whole form."""
    form = await asyncio.wait_for(read_form(reader([WHOLE[:-2]], ended=False), TYPE, tmp_path / "u.part", 1000), 5)
    assert form.upload is not None


async def test_a_reset_in_the_middle_is_cut_off(tmp_path: Path) -> None:
    """A broken connection raises in the stream; that is the same as an early end."""
    stream = reader([WHOLE[:100]], ended=False)
    reading = asyncio.create_task(read_form(stream, TYPE, tmp_path / "u.part", 1000))
    await asyncio.sleep(0)
    stream.set_exception(ConnectionResetError())
    with pytest.raises(CutOffError):
        await reading


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"hello" + WHOLE, "before the form"),
        (FILE_PART + FILE_PART + b"--B0und--", "'file' stands twice"),
        (part("a", b"1") + part("a", b"2") + b"--B0und--", "'a' stands twice"),
        (part("a", b"x" * 1025) + b"--B0und--", "'a' is too long"),
        (part("a", b"\xff") + b"--B0und--", "not UTF-8"),
        (part("file", FILE) + b"--B0und--", "with a file name"),
        (b"--B0und\r\nX-Other: 1\r\n\r\n1\r\n--B0und--", "without a name"),
        (b'--B0und\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--B0und--', "without a name"),
        (b"--B0und\r\nX: " + b"y" * 9000 + b"\r\n\r\n", "head of a part is too long"),
        (b"--B0undary\r\n", "without a line break"),
    ],
)
async def test_what_is_no_form_is_refused(tmp_path: Path, body: bytes, message: str) -> None:
    """The message says what is wrong."""
    with pytest.raises(BadFormError, match=message):
        await read(body, tmp_path / "u.part")


async def test_a_file_must_be_expected() -> None:
    """A status call brings none."""
    with pytest.raises(BadFormError, match="no file is expected"):
        await read(WHOLE, None)


@pytest.mark.parametrize("content_type", ["", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_other_bodies_are_refused(tmp_path: Path, content_type: str) -> None:
    """The documented calls are multipart/form-data."""
    with pytest.raises(BadFormError, match="must be multipart/form-data"):
        await read(WHOLE, tmp_path / "u.part", content_type=content_type)


async def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    """Reading stops there; it is not stored to its end."""
    with pytest.raises(TooLargeError, match="more than 20 bytes"):
        await read(WHOLE, tmp_path / "u.part", max_bytes=20)


async def test_quoted_and_bare_parameters(tmp_path: Path) -> None:
    """Boundaries and names may be quoted, with escapes, or bare."""
    body = b'--B0und\r\ncontent-disposition: form-data; name=file; filename="a\\"b.txt"\r\n\r\n+1\r\n--B0und--'
    form = await read(body, tmp_path / "u.part", content_type='multipart/form-data; boundary="B0und"')
    assert form.upload is not None
    assert form.upload.file_name == 'a"b.txt'
