"""What became of each input, and of each sheet or member of one: the counts of the whole list, taken apart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.records import InputAccount, Unread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.intake.scanning import Scanned
    from orchestrator.intake.sources.find import Input
    from orchestrator.intake.stored_rows import StoredRows

_ALSO = "its cells look like telephone numbers, too; [job] column takes several names"
_LEFT = "most rows have none there; where they are meant, [job] column takes several names"


def accounts(
    inputs: Sequence[Input], scanned: Scanned, repeated: Sequence[int], *, guessed: bool
) -> tuple[InputAccount, ...]:
    """Return an account of each input; `repeated` counts the duplicates in each of the files of rows, in list order.

    `guessed` says that nobody has named the columns of numbers.
    """
    files: dict[Input, list[tuple[StoredRows, int]]] = defaultdict(list)
    for (found, stored), count in zip(scanned.rows, repeated, strict=True):
        files[found].append((stored, count))
    return tuple(
        _account(found.source, drawn.member, files[found], guessed=guessed)
        for found, drawn in zip(inputs, scanned.drawn, strict=True)
    )


def _account(name: str, member: str, files: Sequence[tuple[StoredRows, int]], *, guessed: bool) -> InputAccount:
    read = sum(stored.rows for stored, _ in files)
    rejected = sum(sum(stored.rejected.values()) for stored, _ in files)
    duplicates = sum(count for _, count in files)
    accepted = sum(stored.numbers for stored, _ in files) - duplicates
    whole = InputAccount(name, read, accepted, duplicates, rejected)
    declared = next((stored.declared for stored, _ in files if stored.declared is not None), None)
    parts: tuple[InputAccount, ...] = ()
    look = next((stored.look for stored, _ in files if stored.look is not None), None)
    above = 0 if look is None else look.above
    also = [look.headers[place] for place in look.also] if look is not None and guessed else []
    left = sum(stored.left for stored, _ in files)
    own = (
        *(Unread("titles above the header", above, "they are no rows of the table"),) * (above > 0),
        *(Unread(f'column "{name}"', 0, _ALSO) for name in also),
        *(Unread(f"{left:,} number{'s' * (left > 1)} in other columns", 0, _LEFT),) * (left > 0),
    )
    unread: tuple[Unread, ...] = own
    if declared is not None:
        unread = (*own, *declared.unread, *(one for other in declared.others for one in other.unread))
        if declared.sheet:
            parts = (
                replace(whole, name=declared.sheet, unread=(*own, *declared.unread), is_hidden=declared.is_hidden),
            )
        parts += declared.others
    elif member:
        parts = (replace(whole, name=member),)
    columns = () if look is None or not look.headers else tuple(look.headers[index] for index in look.indexes)
    return replace(whole, unread=unread, parts=parts, columns=columns, guessed=bool(columns) and guessed)
