"""Bare lists of the numbers that have some verdict on a platform: lists/instagram-yes.txt, one number a line."""

from __future__ import annotations

from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Self

import numpy as np

from orchestrator.files import make_private_directory, replacing
from orchestrator.jobdir.digits import lines_of
from orchestrator.jobdir.layout import word_list_path, word_lists

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.master.base_chunks import ResolvedChunk


class WordLists:
    """Writes them all, block by block; a context manager, which names the files when all is written."""

    def __init__(self, directory: Path, platforms: tuple[str, ...], words: tuple[str, ...]) -> None:
        self._stack = ExitStack()
        self._directory = directory
        self._paths = {
            (place, word): word_list_path(directory, name, word)
            for place, name in enumerate(platforms)
            for word in words
        }
        self._files: dict[tuple[int, str], IO[bytes]] = {}

    def __enter__(self) -> Self:
        for key, path in self._paths.items():
            make_private_directory(path.parent)
            self._files[key] = self._stack.enter_context(replacing(path))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]  # the three that it was given

    def remove_others(self) -> None:
        """Remove lists that are not wanted any more: they would go on saying what was true of an earlier master."""
        for path in set(word_lists(self._directory)).difference(self._paths.values()):
            path.unlink(missing_ok=True)

    def write(self, block: ResolvedChunk) -> None:
        """Append the numbers of a block to the lists that they belong to."""
        for (place, word), file in self._files.items():
            column = block.columns[place]
            if word in column.words:
                numbers = block.numbers[column.codes == column.words.index(word)]
                file.write(lines_of((b"+", np.ascontiguousarray(numbers), b"\n"), len(numbers)))
