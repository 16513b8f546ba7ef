"""A zip from outside: its structure is checked before a library believes it, its members before anybody reads them.

Whoever reads the same zip by its directory with another library finds the same members in the same places: nothing
stands behind the directory, or in two places. `zipfile` of Python 3.11 checks none of this. What is wrong with a member
is said when it is read, so it costs nobody who reads another one.

Nothing is ever unpacked to a disk. So a name may lead wherever it likes (`../all.csv`): it is no place, and no reason
to lose what was paid for.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from orchestrator.errors import DamagedResultError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MEMBERS: Final = 1000
MAX_RATIO: Final = 200
"""How many times smaller a large member may be than what it inflates to; sheets of results stay below 40."""

_RATIO_ABOVE_BYTES: Final = 4 << 20
_BLOCK_BYTES: Final = 1 << 20
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # the data, strongly, the directory
_UTF8: Final = 0x800
_END: Final = struct.Struct("<4s4H2LH")
_ENTRY_BYTES: Final = 46
_ENTRY_LENGTHS: Final = struct.Struct("<28x3H12x")  # of name, extra field and comment
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_END_64_MAGIC, _LOCATOR_MAGIC = b"PK\x06\x06", b"PK\x06\x07"
_END_MAGIC: Final = b"PK\x05\x06"
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_LONGEST_COMMENT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class ResultLimits:
    """What a result file may ask for.

    `inflated_bytes` are those of all members of one zip that are read, `rows` are counted as a sheet numbers them.
    """

    inflated_bytes: int
    rows: int = 1 << 20
    members: int = MAX_MEMBERS

    @classmethod
    def for_rows(cls, rows: int) -> ResultLimits:
        """Allow some five times what a chunk's rows take in every form that vendors pack together, wide ones too.

        A zip may have a picture for each row besides.
        """
        return cls(inflated_bytes=(16 << 20) + 2048 * rows, rows=1000 + 4 * rows, members=MAX_MEMBERS + rows)


class CheckedZip:
    """The members of a zip; raises `DamagedResultError` when its structure is not that of a plain one.

    `file` belongs to the caller, and is read on demand.
    """

    def __init__(self, file: IO[bytes], limits: ResultLimits) -> None:
        directory = _directory_start(file, limits)
        self._file = file
        self._limit = self._left = limits.inflated_bytes
        members = zipfile.ZipFile(file).infolist()
        _refuse_overlaps(file, members, directory)
        # With the slashes that the standard wants: writers of Windows have put backslashes there.
        names = [member.filename.replace("\\", "/") for member in members]
        self._members = dict(zip(names, members, strict=True))
        self._named = Counter(map(str.casefold, names))

    @property
    def names(self) -> list[str]:
        """The names of all members, folders too, with the slashes that zips should have."""
        return list(self._members)

    @property
    def is_workbook(self) -> bool:
        """Whether the zip is an xlsx: by the parts that every package has, in any case, not by any other name."""
        return not {name.casefold() for name in self._members}.isdisjoint(("[content_types].xml", "_rels/.rels"))

    def read(self, name: str) -> bytes:
        """Return a member's content; raises unless it is plain, and has the declared length and CRC.

        Every read counts towards what the zip may inflate to: nothing is kept.
        """
        member, size = self._members[name], 0
        if self._named[name.casefold()] > 1:  # readers disagree on which of them counts, and some ignore case
            raise DamagedResultError("the zip has two members of one name")
        _refuse_member(member)
        if member.file_size > self._left:
            raise DamagedResultError(f"the zip declares more than {self._limit:,} bytes")
        start = _start(self._file, member)
        blocks: list[bytes] = []
        for block in self._inflated(member, start):
            size += len(block)
            self._left -= len(block)  # and not what is declared, which may be less
            blocks.append(block)
            if size > member.file_size:
                break
        content = b"".join(blocks)
        if size != member.file_size or zlib.crc32(content) != member.CRC:
            raise DamagedResultError("a member of the zip has not the length and the checksum that it declares")
        return content

    def _inflated(self, member: zipfile.ZipInfo, start: int) -> Iterator[bytes]:
        """Yield what the packed bytes stand for, to their real end, a block at a time however far they inflate."""
        self._file.seek(start)
        if member.compress_type == zipfile.ZIP_STORED:
            yield from self._packed(member.compress_size)
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        for packed in self._packed(member.compress_size):
            rest = packed
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _BLOCK_BYTES)
                rest = inflater.unconsumed_tail
            if inflater.unused_data:
                break
        yield inflater.flush()
        if not inflater.eof or inflater.unused_data:
            raise DamagedResultError("a member of the zip does not end where it declares")

    def _packed(self, size: int) -> Iterator[bytes]:
        while size > 0:
            block = self._file.read(min(size, _BLOCK_BYTES))
            if not block:
                raise DamagedResultError("the zip was cut short")
            size -= len(block)
            yield block


def _directory_start(file: IO[bytes], limits: ResultLimits) -> int:
    """Return where the zip's directory starts, which reaches to the end of the file, or to a comment."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = file.read()
    place = tail.rfind(_END_MAGIC)
    if place < 0 or len(tail) - place < _END.size:
        raise DamagedResultError("the zip was cut short")
    *volumes, members, directory_size, start, comment = _END.unpack_from(tail, place)[1:]
    if place + _END.size + comment != len(tail):
        raise DamagedResultError("the zip has something behind its end")
    end = size - len(tail) + place
    if (large := _end_64(file, end)) is not None:  # writers that stream have it for small zips too
        end, *volumes, members, directory_size, start = large
    *disks, here = volumes
    if any(disks) or here != members:
        raise DamagedResultError("the zip has several volumes")
    if members > limits.members:
        raise DamagedResultError(f"the zip has {members:,} members")
    if start + directory_size != end:
        raise DamagedResultError("the zip's directory is not where it declares")
    file.seek(start)
    entries = file.read(directory_size)
    at = count = 0
    while at < len(entries):
        at += _ENTRY_BYTES + sum(_ENTRY_LENGTHS.unpack_from(entries, at))
        count += 1
    if at != len(entries):  # `zipfile` takes a last entry that reaches beyond
        raise DamagedResultError("the zip's directory is not as long as it declares")
    if count != members:
        raise DamagedResultError("the zip's directory does not hold what it declares")
    file.seek(0)
    return int(start)


def _end_64(file: IO[bytes], end: int) -> tuple[int, ...] | None:
    """Return where a zip64 record before the end record starts, and what it says in the place of that one."""
    if end < _END_64.size + _LOCATOR.size:
        return None
    file.seek(end - _LOCATOR.size - _END_64.size)
    record = file.read(_END_64.size)
    magic, *_ = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if magic != _LOCATOR_MAGIC:
        return None
    magic, _, _, _, *said = _END_64.unpack(record)
    if magic != _END_64_MAGIC:
        raise DamagedResultError("the zip's end is not where it declares")
    return end - _LOCATOR.size - _END_64.size, *said


def _refuse_member(member: zipfile.ZipInfo) -> None:
    name, mode = member.orig_filename.replace("\\", "/"), member.external_attr >> 16
    if not name or "\0" in name:  # where some libraries end it
        raise DamagedResultError("a member of the zip has an unsafe name")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DamagedResultError("a member of the zip is a link or a device")
    if member.flag_bits & _ENCRYPTED:
        raise DamagedResultError("the zip is encrypted")
    if member.compress_type not in _METHODS:
        raise DamagedResultError(f"the zip is packed by method {member.compress_type}, which no vendor uses")
    if member.file_size > max(_RATIO_ABOVE_BYTES, MAX_RATIO * member.compress_size):
        raise DamagedResultError(f"a member of the zip inflates to more than {MAX_RATIO} times its size")


def _refuse_overlaps(file: IO[bytes], members: list[zipfile.ZipInfo], directory: int) -> None:
    """Members must stand one after the other, before the directory."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise DamagedResultError("members of the zip overlap")
        _, _, name_length, extra_length = _local_header(file, member)
        end = member.header_offset + _LOCAL.size + name_length + extra_length + member.compress_size
    if end > directory:
        raise DamagedResultError("members of the zip overlap with its directory")


def _start(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Return where a member's data starts; its own header must agree with the directory."""
    flags, method, name_length, extra_length = _local_header(file, member)
    if method != member.compress_type or (flags ^ member.flag_bits) & (_ENCRYPTED | _UTF8):
        raise DamagedResultError("a member of the zip is not as its directory declares")
    if file.read(name_length) != member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437"):
        raise DamagedResultError("a member of the zip has two names")
    return member.header_offset + _LOCAL.size + name_length + extra_length


def _local_header(file: IO[bytes], member: zipfile.ZipInfo) -> tuple[int, int, int, int]:
    """Return what a member says of itself: flags, method, and the lengths of its name and of its extra field."""
    file.seek(member.header_offset)
    magic, _, flags, method, *_, name_length, extra_length = _LOCAL.unpack(file.read(_LOCAL.size))
    if magic != _LOCAL_MAGIC:
        raise DamagedResultError("a member of the zip is not as its directory declares")
    return flags, method, name_length, extra_length
