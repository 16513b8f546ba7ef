"""What becomes of the operations that no sync had made sure when the power failed."""

from __future__ import annotations

import random

from tests.powerloss.operations import Write

SECTOR = 512
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


class Fate:
    """What becomes of operations that no sync made sure: by itself it keeps them all, as after a kill."""

    def meets(self, unsure: int) -> None:
        """Learn how many operations are at its mercy."""

    def keeps_name(self) -> bool:
        return True

    def keeps_content(self) -> bool:
        return True

    def leaves(self, write: Write, size: int) -> list[tuple[int, bytes]]:
        """Return which parts of a write are left, with their offsets in it; `size` is the file's so far."""
        return [(0, write.data)]

    def garbage(self, size: int) -> bytes:
        """Return what shared memory leaves behind."""
        return bytes(size)


class Drawn(Fate):
    """A fate that a seed draws: nothing is kept, everything, all in order up to one point, or this and that."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.kind = chance.choice(("nothing", "everything", "in order", "in order", "mixed", "mixed", "mixed"))
        self._names, self._contents = chance.choice(SHARES), chance.choice(SHARES)
        self._torn = chance.choice((0.0, 0.3, 0.8))
        self._left = 0

    def meets(self, unsure: int) -> None:
        self._left = self._chance.randint(0, unsure)

    def keeps_name(self) -> bool:
        return self._keeps(self._names)

    def keeps_content(self) -> bool:
        return self._keeps(self._contents)

    def _keeps(self, share: float) -> bool:
        if self.kind == "in order":
            self._left -= 1
            return self._left >= 0
        return self.kind == "everything" or (self.kind == "mixed" and self._chance.random() < share)

    def leaves(self, write: Write, size: int) -> list[tuple[int, bytes]]:
        if self._keeps(self._contents):
            return [(0, write.data)]
        tears = self._left == -1 if self.kind == "in order" else self.kind == "mixed"
        if not tears or self._chance.random() >= self._torn:
            return []
        how = self._chance.choice((self._beginning, self._sectors, self._stale))
        return how(write, size)

    def _beginning(self, write: Write, size: int) -> list[tuple[int, bytes]]:
        return [(0, write.data[: self._chance.randrange(len(write.data) + 1)])]

    def _sectors(self, write: Write, size: int) -> list[tuple[int, bytes]]:
        """Leave some of the sectors, which begin at multiples of their size in the file."""
        first = -(write.offset % SECTOR)
        starts = [max(0, start) for start in range(first, len(write.data), SECTOR) if self._chance.random() < 0.5]
        return [(start, write.data[start : start + SECTOR - (write.offset + start) % SECTOR]) for start in starts]

    def _stale(self, write: Write, size: int) -> list[tuple[int, bytes]]:
        """Make the file longer, but leave in the new part what was on the disk before."""
        start = max(0, size - write.offset)
        stale = self._chance.choice((bytes, self._chance.randbytes))(max(0, len(write.data) - start))
        return [(start, stale)] if stale else []

    def garbage(self, size: int) -> bytes:
        return self._chance.choice((bytes, self._chance.randbytes))(size)
