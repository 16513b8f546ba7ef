"""The file layer itself: what it remembers of a real process, and what it may and may not lose of that."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.powerloss.calls import read_calls, tracer
from tests.powerloss.disk import Disk
from tests.powerloss.fate import SECTOR, Drawn, Fate
from tests.powerloss.trees import read_tree, write_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace, which records a process, is for Linux")

Remember = Callable[..., tuple[Disk, int]]

PREAMBLE = "import os, sys; at = lambda name: os.path.join(sys.argv[1], name)\n"
EVERYTHING = """
with open(at("log"), "a") as file:
    file.write("one ")
    file.flush()
    file.write("two")
with open(at("log"), "a") as file:
    file.write(" three")
with open(at("old"), "wb") as file:
    file.write(bytes(2000))
    file.seek(700)
    file.write(b"seven hundred")
    file.flush()
    twin = os.dup(file.fileno())
    os.write(twin, b" and on")
    os.ftruncate(twin, 1500)
    os.pwrite(twin, b"far", 4000)
with open(at("old"), "wb") as file:
    file.write(b"short")
os.mkdir(at("made"))
os.mkdir(at("made/inner"))
os.rename(at("old"), at("made/inner/new"))
open(at("made/gone"), "w").close()
os.unlink("gone", dir_fd=os.open(at("made"), os.O_RDONLY))
open(at("victim"), "w").close()
with open(at("part"), "w") as file:
    file.write("heir")
os.replace(at("part"), at("victim"))
os.mkdir(at("empty"))
os.rmdir(at("empty"))
with open(at("unlinked"), "w") as file:
    os.unlink(at("unlinked"))
    file.write("into nothing")
"""


@pytest.fixture
def remember(tmp_path: Path) -> Remember:
    """Run Python code in a folder, give the disk that remembers it and the number of the last call."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def run(code: str) -> tuple[Disk, int]:
        log = tmp_path / "calls"
        command = [*tracer(log), sys.executable, "-I", "-S", "-c", PREAMBLE + code, str(folder)]
        subprocess.run(command, check=True)  # noqa: S603 - our own code
        disk, at = Disk(folder), 0
        for at, call in enumerate(read_calls(log, tmp_path), start=1):
            disk.take(at, call)
        return disk, at

    return run


class Nothing(Fate):
    """Everything that is not sure is lost."""

    def keeps_name(self) -> bool:
        return False

    def keeps_content(self) -> bool:
        return False

    def leaves(self, write: object, size: int) -> list[tuple[int, bytes]]:
        return []


def test_it_remembers_every_kind_of_change(remember: Remember) -> None:
    """All that was done, taken together, gives the folder as it really is."""
    disk, at = remember(EVERYTHING)

    assert disk.whole(at) == read_tree(disk.root)
    assert disk.whole(at)["made/inner/new"] == b"short"


def test_without_a_sync_nothing_is_sure(remember: Remember) -> None:
    """A folder in which nothing was synced may be empty."""
    disk, at = remember(EVERYTHING)

    assert disk.after(at, Nothing()) == {}


def test_a_content_is_sure_with_its_file_and_a_name_with_its_directory(remember: Remember) -> None:
    """What was written before the sync is there, what came after it may be missing."""
    disk, at = remember(
        "file = os.open(at('kept'), os.O_WRONLY | os.O_CREAT)\n"
        "os.write(file, b'sure'); os.fdatasync(file); os.write(file, b' unsure')\n"
        "os.fsync(os.open(at('.'), os.O_RDONLY))\n"
        "os.fsync(os.open(at('nameless'), os.O_WRONLY | os.O_CREAT))\n"
    )

    assert disk.after(at, Nothing()) == {"kept": b"sure"}


def test_a_rename_without_sync_leaves_the_old_or_the_new(remember: Remember) -> None:
    """A name leads to one of both files, whole."""
    disk, at = remember(
        "folder = os.open(at('.'), os.O_RDONLY)\n"
        "for name in ('file', 'file.part'):\n"
        "    file = os.open(at(name), os.O_WRONLY | os.O_CREAT); os.write(file, name.encode()); os.fsync(file)\n"
        "os.fsync(folder); os.rename(at('file.part'), at('file'))\n"
    )
    seen = {disk.after(at, Drawn(random.Random(seed)))["file"] for seed in range(50)}  # noqa: S311 - test data

    assert seen == {b"file", b"file.part"}


def test_unsynced_writes_are_lost_torn_and_overtaken(remember: Remember) -> None:
    """Of two writes either may be missing; of one, any sectors, its end, or its content but not its length."""
    disk, at = remember(
        "file = os.open(at('file'), os.O_WRONLY | os.O_CREAT); os.fsync(os.open(at('.'), os.O_RDONLY))\n"
        f"os.write(file, b'a' * {2 * SECTOR}); os.write(file, b'b' * {2 * SECTOR})\n"
    )
    seen = {disk.after(at, Drawn(random.Random(seed)))["file"] or b"" for seed in range(1000)}  # noqa: S311 - test data
    a, b, zeros = b"a" * SECTOR, b"b" * SECTOR, bytes(SECTOR)

    assert {b"", a + a, a + a + b + b, zeros + zeros + b + b} <= seen, "lost, in order, all, overtaken"
    assert {zeros + a, zeros + a + b + b, a + a + zeros + b} <= seen, "torn at sectors"
    assert any(0 < len(content) < SECTOR for content in seen), "torn anywhere"
    assert zeros + zeros in seen, "longer, without content"
    assert any(len(content) == 2 * SECTOR and len(set(content)) > 50 for content in seen), (
        "with old content of the disk"
    )


def test_in_order_the_first_so_many_operations_are_kept(remember: Remember) -> None:
    """A journal's order: a name that is there says that every earlier name is there too."""
    disk, at = remember("for name in 'abcdef': open(at(name), 'w').close()")
    for seed in range(200):
        fate = Drawn(random.Random(seed))  # noqa: S311 - test data
        left = disk.after(at, fate)
        if fate.kind == "in order":
            assert list(left) == list("abcdef")[: len(left)]


def test_a_disk_that_lies_has_synced_nothing(remember: Remember) -> None:
    """With its syncs taken away the same program has nothing that is sure."""
    disk, at = remember("file = os.open(at('a'), os.O_CREAT); os.fsync(file); os.fsync(os.open(at('.'), os.O_RDONLY))")

    assert disk.after(at, Nothing()) == {"a": b""}
    assert disk.after(at, Nothing(), lambda sync: sync.directory) == {}


def test_a_folder_can_begin_with_what_another_power_loss_left(remember: Remember, tmp_path: Path) -> None:
    """What was there at the beginning is sure, and can be changed as anything else."""
    tree = {"job": None, "job/file": b"old", "job/other": b""}
    write_tree(tmp_path / "copy", tree)
    disk = Disk(tmp_path / "copy")
    disk.fill(tree)

    assert disk.after(0, Nothing()) == tree == read_tree(tmp_path / "copy")
    assert oct((tmp_path / "copy" / "job" / "file").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    "code",
    [
        "open(at('a'), 'w').close(); os.link(at('a'), at('b'))",
        "os.symlink('a', at('b'))",
        "import mmap; f = open(at('a'), 'w+b'); f.write(b'x'); f.flush(); mmap.mmap(f.fileno(), 1)",
    ],
)
def test_what_it_does_not_know_is_an_error(remember: Remember, code: str) -> None:
    """A call whose traces on a disk are not modelled is refused, not overlooked."""
    with pytest.raises(ValueError, match="does not know"):
        remember(code)


def test_two_threads_at_the_disk_at_once_are_an_error(tmp_path: Path) -> None:
    """Whose change came first can't be told, so such a log is refused; a thread that is elsewhere may interrupt."""
    name = "".join(f"\\x{byte:02x}" for byte in os.fsencode(tmp_path / "a"))
    log = tmp_path / "calls"
    begun = f'7 fsync(3<{name}> <unfinished ...>\n8 write(1, "\\x41", 1) = 1\n'
    log.write_text(begun + "7 <... fsync resumed>) = 0\n")
    (call,) = read_calls(log, tmp_path)
    assert (call.name, call.arguments[0].path) == ("fsync", tmp_path / "a")

    log.write_text(begun + f'8 unlink("{name}") = 0\n7 <... fsync resumed>) = 0\n')
    with pytest.raises(ValueError, match="overtook"):
        list(read_calls(log, tmp_path))


def test_a_relative_path_is_an_error(tmp_path: Path) -> None:
    """Where it leads can't be told from the log, so nothing of that kind is overlooked."""
    log = tmp_path / "calls"
    log.write_text('7 unlink("\\x61") = 0\n')
    with pytest.raises(ValueError, match="relative"):
        list(read_calls(log, tmp_path))
