"""A zip has one reading, or none: its structure is checked before anybody believes it."""

from __future__ import annotations

import io
import random
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable

import pytest

from orchestrator.errors import DamagedResultError
from orchestrator.results.checked_zip import MAX_MEMBERS, MAX_RATIO, CheckedZip, ResultLimits

Make = Callable[..., bytes]
Rows = list[list[object]]

LIMITS = ResultLimits.for_rows(400)
ENTRY = b"PK\x01\x02"
END = b"PK\x05\x06"


def opened(content: bytes, limits: ResultLimits = LIMITS) -> CheckedZip:
    return CheckedZip(io.BytesIO(content), limits)


def members(content: bytes, limits: ResultLimits = LIMITS) -> dict[str, bytes]:
    archive = opened(content, limits)
    return {name: archive.read(name) for name in archive.names}


def refused(content: bytes, why: str, limits: ResultLimits = LIMITS) -> None:
    """Expect that all of the zip is refused, before any member is read."""
    with pytest.raises(DamagedResultError, match=why):
        opened(content, limits)


def unread(content: bytes, why: str, limits: ResultLimits = LIMITS) -> None:
    """Expect that a member is refused when it is read, and not before."""
    opened(content, limits)
    with pytest.raises(DamagedResultError, match=why):
        members(content, limits)


def patched(content: bytes, magic: bytes, offset: int, value: bytes, *, which: int = 0) -> bytes:
    """Return the content with bytes of its n-th header of a kind exchanged."""
    place = -1
    for _ in range(which + 1):
        place = content.index(magic, place + 1)
    return content[: place + offset] + value + content[place + offset + len(value) :]


def named(name: str, content: bytes = b"x", mode: int = 0) -> bytes:
    """Return a zip with one member whose name is written as it is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo("?" * len(name.encode()))
        member.external_attr = mode << 16
        archive.writestr(member, content)
    return packed.getvalue().replace(b"?" * len(name.encode()), name.encode())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_come_back(zipped: Make, method: int) -> None:
    """Every member comes back whole, stored or packed, also across blocks; folders are empty members."""
    parts = {"t/": b"", "t/all.csv": b"a,b\n" * 10, "big": random.Random(1).randbytes(5 << 20)}  # noqa: S311 - the same bytes again
    assert members(zipped(parts, method)) == parts


def test_a_writer_that_could_not_seek(zipped: Make) -> None:
    """Sizes behind the data, as writers to a pipe leave them, are no finding."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise OSError

        def tell(self) -> int:
            raise OSError

    packed = Pipe()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("all.csv", b"a,b\n")
        archive.writestr("other.csv", b"c,d\n")
    assert opened(packed.getvalue()).read("other.csv") == b"c,d\n"


def test_a_comment_is_no_finding(zipped: Make) -> None:
    """A zip may carry a comment."""
    packed = io.BytesIO(zipped({"all.csv": b"x"}))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.comment = b"made by a vendor"
    assert opened(packed.getvalue()).names == ["all.csv"]


def test_an_unsafe_name() -> None:
    """Libraries disagree on what this member is called."""
    unread(named("a\0.csv"), "unsafe name")


@pytest.mark.parametrize(
    "name",
    [
        *("x..csv", "a/b/c.csv", "...", "\u00fc.csv", "ab:c.csv"),
        *("/x.csv", "../x.csv", "a/../x.csv", "a/..", "C:x.csv", "c:/x.csv"),
        *("a\n.csv", "x" * 300),
    ],
)
def test_harmless_names(name: str) -> None:
    """Nothing is unpacked to a disk, so it is no finding where a name would lead."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, b"x")
    assert opened(packed.getvalue()).read(name) == b"x"


def test_backslashes() -> None:
    """Writers of Windows have put backslashes where slashes belong."""
    archive = opened(named("t\\all.csv"))
    assert archive.names == ["t/all.csv"]
    assert archive.read("t/all.csv") == b"x"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(kind: int) -> None:
    """A member is a file or a folder."""
    unread(named("all.csv", b"/etc/passwd", kind | 0o777), "a link or a device")
    assert members(named("all.csv", b"x", stat.S_IFREG | 0o600)) == {"all.csv": b"x"}


def test_doubled_names(zipped: Make) -> None:
    """Readers disagree on which of two members of one name counts, and some ignore case."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("all.csv", b"1")
        archive.writestr("all.csv", b"2")
        archive.writestr("other.csv", b"3")
    unread(packed.getvalue(), "two members of one name")
    unread(zipped({"all.csv": b"1", "ALL.csv": b"2"}), "two members of one name")
    assert opened(packed.getvalue()).read("other.csv") == b"3"


def test_a_name_that_differs_inside(zipped: Make) -> None:
    """The directory and the member's own header name it alike."""
    unread(zipped({"all.csv": b"x"}).replace(b"all.csv", b"bll.csv", 1), "two names")


def test_too_many_members(zipped: Make) -> None:
    """A zip of a thousand members passes, and one for each row besides; of one more does not."""
    most = MAX_MEMBERS + 400
    assert len(opened(zipped({str(i): b"" for i in range(most)})).names) == most
    refused(zipped({str(i): b"" for i in range(most + 1)}), "1,401 members")


def test_declared_size(zipped: Make) -> None:
    """A member that declares more than the cap is refused without being inflated."""
    unread(zipped({"all.csv": bytes(1001)}), "declares more than", ResultLimits(1000))


def test_what_is_read_is_limited_together(zipped: Make) -> None:
    """Members that are never read may be of any size; those that are read share the cap, lies about sizes included."""
    content = zipped({"1.png": bytes(900), "2.csv": bytes(600), "3.csv": bytes(600), "4.csv": bytes(400)})
    archive = opened(content, ResultLimits(1000))
    assert archive.read("2.csv") == bytes(600)
    with pytest.raises(DamagedResultError, match="declares more than 1,000 bytes"):
        archive.read("3.csv")
    assert archive.read("4.csv") == bytes(400)
    lying = zipped({"1.csv": bytes(2 << 20), "2.csv": b"x"}).replace(struct.pack("<L", 2 << 20), struct.pack("<L", 10))
    archive = opened(lying, ResultLimits(1000))
    with pytest.raises(DamagedResultError, match="not the length"):
        archive.read("1.csv")
    with pytest.raises(DamagedResultError, match="declares more than"):
        archive.read("2.csv")


@pytest.mark.parametrize("declared", [10, 49_999, 50_001])
def test_real_size(zipped: Make, declared: int) -> None:
    """A member that inflates to more or less than it declares is refused, although its beginning is right."""
    content = zipped({"all.csv": bytes(50_000)})
    unread(content.replace(struct.pack("<L", 50_000), struct.pack("<L", declared)), "not the length")


def test_a_bomb_is_never_inflated_whole(zipped: Make) -> None:
    """A member that lies about its size is inflated one block too far, and no further."""
    lying = zipped({"all.csv": bytes(50 << 20)}).replace(struct.pack("<L", 50 << 20), struct.pack("<L", 10))
    tracemalloc.start()
    unread(lying, "not the length")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 << 20


def test_ratio(zipped: Make) -> None:
    """What inflates to hundreds of times its size is a bomb, even below the cap; small members may."""
    unread(zipped({"all.csv": bytes(5 << 20)}), f"{MAX_RATIO} times")
    members(zipped({"all.csv": bytes(3 << 20)}))


def test_wrong_checksum(zipped: Make) -> None:
    """A member whose bytes do not have the declared CRC is refused."""
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        content = zipped({"all.csv": b"a,b\n" * 100}, method)
        unread(patched(content, ENTRY, 16, b"\x01\x02\x03\x04"), "the checksum")


@pytest.mark.parametrize("flag", [0x1, 0x40, 0x2000])
def test_encryption(zipped: Make, flag: int) -> None:
    """Every kind of encryption is refused by name."""
    unread(patched(zipped({"all.csv": b"x"}), ENTRY, 8, struct.pack("<H", flag)), "encrypted")


def test_odd_compression(zipped: Make) -> None:
    """Only the two methods that every zip program writes are inflated."""
    unread(zipped({"all.csv": b"x"}, zipfile.ZIP_BZIP2), "method 12")


def test_overlapping_members(zipped: Make) -> None:
    """Two members that share packed bytes, as in a zip bomb without nesting, are refused."""
    content = zipped({"1.csv": b"x" * 50, "2.csv": b"x" * 50}, zipfile.ZIP_STORED)
    refused(patched(content, ENTRY, 42, bytes(4), which=1), "overlap")
    first = content.index(ENTRY)
    longer = struct.pack("<LL", 80, 80)
    refused(patched(content, ENTRY, 20, longer), "overlap")
    refused(patched(content, ENTRY, 20, longer, which=1), "overlap with its directory")
    assert first


def test_a_member_inside_of_another(zipped: Make) -> None:
    """A member that holds another one, header and all: each is whole by itself, but the same bytes count twice."""
    inner, inner_entry = split(zipped({"2.csv": b"y" * 50}))
    outer, outer_entry = split(zipped({"1.csv": inner}, zipfile.ZIP_STORED))
    directory = outer_entry + patched(inner_entry, ENTRY, 42, struct.pack("<L", outer.index(inner)))
    end = struct.pack("<4s4H2LH", END, 0, 0, 2, 2, len(directory), len(outer), 0)
    refused(outer + directory + end, "overlap")


def split(content: bytes) -> tuple[bytes, bytes]:
    """Return the members and the directory of a zip."""
    start, end = content.index(ENTRY), content.index(END)
    return content[:start], content[start:end]


@pytest.mark.parametrize(
    ("magic", "offset", "value", "why"),
    [
        (b"PK\x03\x04", 8, b"\x08\0", "not as its directory declares"),
        (b"PK\x03\x04", 6, b"\x01\0", "not as its directory declares"),
        (b"PK\x03\x04", 0, b"PK\x03\x05", "not as its directory declares"),
        (ENTRY, 30, b"\x09\0", "not as long as it declares"),
        (ENTRY, 32, b"\x63\0", "not as long as it declares"),
        (END, 4, b"\x01\0", "several volumes"),
        (END, 8, b"\x02\0", "several volumes"),
        (END, 8, b"\x02\0\x02\0", "does not hold what it declares"),
        (END, 16, b"\xff\xff\xff\xff", "not where it declares"),
        (END, 20, b"\x01\0", "behind its end"),
    ],
)
def test_headers_that_disagree(zipped: Make, magic: bytes, offset: int, value: bytes, why: str) -> None:
    """Whatever could be read in two ways is refused: all of the zip, or a member when it is read."""
    refuse = unread if magic == b"PK\x03\x04" and offset else refused
    refuse(patched(zipped({"all.csv": b"x"}, zipfile.ZIP_STORED), magic, offset, value), why)


def test_what_stands_around_it(zipped: Make) -> None:
    """Something before the first member or behind the end makes offsets a matter of opinion."""
    content = zipped({"all.csv": b"x"})
    refused(b"PK" + bytes(50) + content, "not where it declares")
    refused(content + b"?", "behind its end")


def test_cut_anywhere(zipped: Make) -> None:
    """A zip that was cut short is refused, wherever it was cut."""
    content = zipped({"all.csv": b"a,b\n" * 100, "b.csv": b""})
    for size in range(len(content)):
        with pytest.raises((DamagedResultError, zipfile.BadZipFile)):
            members(content[:size])


def test_packed_data_that_ends_elsewhere(zipped: Make) -> None:
    """A member's packed bytes end where the directory says, not before and not after."""
    content = zipped({"all.csv": bytes(1000)}, zipfile.ZIP_DEFLATED)
    place = content.index(ENTRY)
    size = struct.unpack_from("<L", content, place + 20)[0]
    unread(patched(content, ENTRY, 20, struct.pack("<L", size - 1)), "does not end where")
    longer = content[:place] + b"??" + content[place:]
    moved = patched(longer, END, 16, struct.pack("<L", place + 2))
    unread(patched(moved, ENTRY, 20, struct.pack("<L", size + 2)), "does not end where")


def test_limits_follow_the_chunk() -> None:
    """A larger chunk may have a larger result, and a sheet with more rows."""
    small, large = ResultLimits.for_rows(20_000), ResultLimits.for_rows(10_000_000)
    assert large.inflated_bytes > small.inflated_bytes > 16 << 20
    assert (small.rows, small.members) == (81_000, 21_000)


def test_workbook_by_content(xlsx: Make, zipped: Make, rows: Rows) -> None:
    """A workbook is a zip with a workbook part, whatever its name."""
    assert opened(xlsx(rows)).is_workbook
    assert not opened(zipped({"result.xlsx": xlsx(rows)})).is_workbook


def with_64(content: bytes, **other: int) -> bytes:
    """Return the zip with the records of zip64, which writers that stream have also when nothing is large."""
    place = content.index(END)
    _, _, _, here, members, size, start, _ = struct.unpack("<4s4H2LH", content[place:])
    said = {"here": here, "members": members, "size": size, "start": start, "place": place} | other
    record = struct.pack(
        "<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *(said[k] for k in ("here", "members", "size", "start"))
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, said["place"], 1)
    return content[:place] + record + locator + END + struct.pack("<4H2LH", 0, 0, 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2, 0)


def test_zip64_records_in_a_small_zip(zipped: Make) -> None:
    """What a zip64 record says counts, and is held to the same rules."""
    content = zipped({"all.csv": b"a,b\n", "b.csv": b""})
    assert opened(with_64(content)).read("all.csv") == b"a,b\n"
    with_64_members = io.BytesIO()
    with zipfile.ZipFile(with_64_members, "w") as archive, archive.open("all.csv", "w", force_zip64=True) as member:
        member.write(b"a,b\n")
    assert opened(with_64(with_64_members.getvalue())).read("all.csv") == b"a,b\n"
    refused(with_64(content, here=1), "several volumes")
    refused(with_64(content, here=9999, members=9999), "9,999 members")
    refused(with_64(content, start=3), "not where it declares")
