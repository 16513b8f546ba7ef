"""A disk that remembers what a program did to a folder, and what of it may be left after a power loss.

What is sure is what POSIX says: the content of a file up to its last sync, and the names in a directory up to the last
sync of that directory. Of everything else each operation by itself is there, is not there, or is there in part: so
later ones may have overtaken earlier ones, a name may be there without the content, and the content without a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.powerloss.calls import Call
from tests.powerloss.fate import Fate
from tests.powerloss.operations import Content, Description, Lies, Rename, Resize, Sync, Write, honest
from tests.powerloss.trees import Tree

SHARED_MEMORY = "-shm"


@dataclass
class Disk:
    """One folder. `at` counts the calls of the whole recording, so that several disks share one order of events."""

    root: Path
    contents: list[Content] = field(default_factory=list)
    names: list[Rename] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    _directories: dict[int, dict[str, int]] = field(default_factory=lambda: {0: {}})
    _sizes: dict[int, int] = field(default_factory=dict)
    _open_files: dict[int, Description] = field(default_factory=dict)
    _inodes: int = 0

    def fill(self, tree: Tree) -> None:
        """Begin with a folder that is whole on the disk."""
        for name, content in sorted(tree.items()):
            parent, last = self._place(self.root / name)
            inode = self._made(0, parent, last, directory=content is None)
            if content:
                self._resized(0, inode, 0, content)
        everything = [*self._directories, *self._sizes]
        self.syncs += [Sync(0, inode, "", inode in self._directories) for inode in everything]

    # --- what a program does -----------------------------------------------------------------------------------------

    def take(self, at: int, call: Call) -> None:
        """Take one call of the program in; raises `ValueError` for one whose traces on a disk are not known."""
        match call.name:
            case "open" | "openat" | "creat":
                self._open(at, call)
            case "write" | "pwrite64":
                self._write(at, call)
            case "lseek" | "dup" | "dup2" | "dup3" | "fcntl":
                self._use_descriptor(call)
            case "ftruncate":
                self._resize(at, call)
            case "fsync" | "fdatasync":
                self._sync(at, call)
            case "rename" | "renameat" | "renameat2":
                self._rename(at, call)
            case "unlink" | "unlinkat" | "rmdir":
                self._remove(at, call)
            case "mkdir" | "mkdirat":
                self._make_directory(at, call)
            case "mmap" if _harmless(call):
                pass
            case _:
                raise ValueError(f"this disk does not know {call.name}")

    def _inside(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and path != self.root

    def _find(self, path: Path) -> int | None:
        inode = 0
        for name in path.relative_to(self.root).parts:
            found = self._directories.get(inode, {}).get(name)
            if found is None:
                return None
            inode = found
        return inode

    def _place(self, path: Path) -> tuple[int, str]:
        parent = self._find(path.parent)
        if parent is None:
            raise ValueError(f"{path}: nobody made its directory")
        return parent, path.name

    def _made(self, at: int, parent: int, name: str, *, directory: bool) -> int:
        self._inodes += 1
        self._directories[parent][name] = self._inodes
        if directory:
            self._directories[self._inodes] = {}
        else:
            self._sizes[self._inodes] = 0
        self.names.append(Rename(at, self._inodes, None, (parent, name)))
        return self._inodes

    def _open(self, at: int, call: Call) -> None:
        position = 1 if call.name == "openat" else 0
        path, flags = call.path(position), call.arguments[position + 1].text.split("|")
        if not self._inside(path):
            return
        self._open_files[call.result] = Description("O_APPEND" in flags)
        inode = self._find(path)
        if inode is None and "O_CREAT" in flags:
            self._made(at, *self._place(path), directory=False)
        elif inode is not None and "O_TRUNC" in flags and self._sizes[inode]:
            self._sizes[inode] = 0
            self.contents.append(Resize(at, inode, 0))

    def _use_descriptor(self, call: Call) -> None:
        file = self._open_files.setdefault(call.arguments[0].number, Description())
        if call.name == "lseek":
            file.position = call.result
        elif call.name != "fcntl" or call.arguments[1].text.startswith("F_DUPFD"):
            self._open_files[call.result] = file

    def _file(self, call: Call) -> int | None:
        """Return the file behind the call's descriptor; None when it is elsewhere, or has no name any more."""
        path = call.arguments[0].path
        return self._find(path) if path is not None and self._inside(path) else None

    def _write(self, at: int, call: Call) -> None:
        inode = self._file(call)
        if inode is None:
            return
        data = (call.arguments[1].data or b"")[: call.result]
        if call.name == "pwrite64":
            self._resized(at, inode, call.arguments[3].number, data)
            return
        file = self._open_files[call.arguments[0].number]
        offset = self._sizes[inode] if file.appending else file.position
        file.position = offset + len(data)
        self._resized(at, inode, offset, data)

    def _resized(self, at: int, inode: int, offset: int, data: bytes) -> None:
        self._sizes[inode] = max(self._sizes[inode], offset + len(data))
        self.contents.append(Write(at, inode, offset, data))

    def _resize(self, at: int, call: Call) -> None:
        inode = self._file(call)
        if inode is not None:
            self._sizes[inode] = call.arguments[1].number
            self.contents.append(Resize(at, inode, self._sizes[inode]))

    def _sync(self, at: int, call: Call) -> None:
        path = call.arguments[0].path
        if path is not None and (path == self.root or self._inside(path)):
            inode = self._find(path)
            if inode is not None:
                self.syncs.append(Sync(at, inode, path.name, inode in self._directories))

    def _rename(self, at: int, call: Call) -> None:
        positions = (0, 1) if call.name == "rename" else (1, 3)
        old, new = (call.path(position) for position in positions)
        if not self._inside(old) and not self._inside(new):
            return
        (parent, name), (other, other_name) = self._place(old), self._place(new)
        inode = self._directories[parent].pop(name)
        self._directories[other][other_name] = inode
        self.names.append(Rename(at, inode, (parent, name), (other, other_name)))

    def _remove(self, at: int, call: Call) -> None:
        path = call.path(1 if call.name == "unlinkat" else 0)
        if self._inside(path):
            parent, name = self._place(path)
            self.names.append(Rename(at, self._directories[parent].pop(name), (parent, name), None))

    def _make_directory(self, at: int, call: Call) -> None:
        path = call.path(1 if call.name == "mkdirat" else 0)
        if self._inside(path):
            self._made(at, *self._place(path), directory=True)

    # --- what is left ------------------------------------------------------------------------------------------------

    def whole(self, cut: int) -> Tree:
        """Return the folder as it was after call `cut`, as any program saw it."""
        return self.after(cut, Fate())

    def after(self, cut: int, fate: Fate, lies: Lies = honest) -> Tree:
        """Return what `fate` leaves of the folder when the power fails after call `cut`.

        A sync of which `lies` says so did nothing: a disk that only says that it has written, or a program that did
        not ask.
        """
        synced: dict[int, int] = {}
        for sync in self.syncs:
            if sync.at <= cut and not lies(sync):
                synced[sync.inode] = sync.at
        names = [change for change in self.names if change.at <= cut]
        contents = [change for change in self.contents if change.at <= cut]
        fate.meets(
            sum(change.at > synced.get(change.inode, -1) for change in contents)
            + sum(any(change.at > synced.get(d, -1) for d in change.directories) for change in names)
        )
        directories: dict[int, dict[str, int]] = {}
        files: dict[int, bytearray] = {}
        for change in sorted((*names, *contents), key=lambda change: change.at):
            if isinstance(change, Rename):
                sure = all(change.at <= synced.get(directory, -1) for directory in change.directories)
                if sure or fate.keeps_name():
                    _rename(directories, change)
            else:
                _alter(
                    files.setdefault(change.inode, bytearray()), change, fate, change.at <= synced.get(change.inode, -1)
                )
        return dict(_walk(0, "", directories, files, frozenset(self._directories), fate))


def _rename(directories: dict[int, dict[str, int]], change: Rename) -> None:
    if change.old:
        directories.setdefault(change.old[0], {}).pop(change.old[1], None)
    if change.new:
        directories.setdefault(change.new[0], {})[change.new[1]] = change.inode


def _alter(file: bytearray, change: Content, fate: Fate, sure: bool) -> None:  # noqa: FBT001 - of one caller
    if isinstance(change, Resize):
        if sure or fate.keeps_content():
            del file[change.size :]
            file.extend(bytes(change.size - len(file)))
        return
    for start, data in [(0, change.data)] if sure else fate.leaves(change, len(file)):
        begin = change.offset + start
        file.extend(bytes(max(0, begin - len(file))))
        file[begin : begin + len(data)] = data


def _walk(
    inode: int,
    prefix: str,
    directories: Mapping[int, Mapping[str, int]],
    files: Mapping[int, bytearray],
    are_directories: frozenset[int],
    fate: Fate,
) -> Iterable[tuple[str, bytes | None]]:
    for name, inside in sorted(directories.get(inode, {}).items()):
        if inside in are_directories:
            yield prefix + name, None
            yield from _walk(inside, f"{prefix}{name}/", directories, files, are_directories, fate)
        elif name.endswith(SHARED_MEMORY):
            yield prefix + name, fate.garbage(len(files.get(inside, bytearray())))
        else:
            yield prefix + name, bytes(files.get(inside, bytearray()))


def _harmless(call: Call) -> bool:
    """Tell whether a mapping can't change a file that counts: SQLite's shared memory is made anew after a crash."""
    _, _, protection, flags, descriptor, *_ = call.arguments
    writes = "PROT_WRITE" in protection.text and "MAP_SHARED" in flags.text
    return not writes or str(descriptor.path).endswith(SHARED_MEMORY)
