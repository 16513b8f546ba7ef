"""Folders as values."""

from __future__ import annotations

from pathlib import Path

Tree = dict[str, bytes | None]
"""A folder's files, by their path below it; None is a directory."""


def read_tree(folder: Path) -> Tree:
    """Read a folder as it is."""
    tree: Tree = {}
    for path in sorted(folder.rglob("*")):
        content = None if path.is_dir() else path.read_bytes()
        tree[str(path.relative_to(folder))] = content
    return tree


def write_tree(folder: Path, tree: Tree) -> None:
    """Make a folder, private as the program makes its own."""
    folder.mkdir(mode=0o700)
    for name, content in sorted(tree.items()):
        if content is None:
            (folder / name).mkdir(mode=0o700)
        else:
            (folder / name).touch(0o600, exist_ok=False)
            (folder / name).write_bytes(content)
