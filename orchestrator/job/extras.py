"""The extra files that a master needs: made of the raw results that are there, whenever other columns are wanted."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from orchestrator.errors import PieceDiedError
from orchestrator.files import make_private_directory
from orchestrator.jobdir.extra_files import CellKind, read_extras_head
from orchestrator.jobdir.layout import chunk_path, extras_path, raw_result, result_stem
from orchestrator.logger import log
from orchestrator.results import ExtrasOrder, ExtrasReport, check_limits, take_extras
from orchestrator.results.together import together

if TYPE_CHECKING:
    from pathlib import Path

    from orchestrator.ledger import Ledger
    from orchestrator.settings import Settings
    from orchestrator.workers import Workers


@dataclass(frozen=True, slots=True)
class WantedExtras:
    """The directory below which extra files lie, and the columns that those of each platform must have."""

    directory: Path
    columns: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ExtraOrders:
    """The extra files of a master: what is wanted, and an order for each file with the rows of its chunk."""

    wanted: WantedExtras
    orders: list[tuple[ExtrasOrder, int]]


def order_extras(ledger: Ledger, settings: Settings, into: Path) -> ExtraOrders | None:
    """Order the extra files of every result that was read, to lie below `into`; None when nobody wants any."""
    columns = {name: platform.extra_columns for name, platform in settings.platforms.items()}
    if not any(columns.values()):
        return None
    rows = {chunk.chunk: chunk.rows for chunk in ledger.plan.chunks()}
    orders = []
    for key, _, _, _, result_sha256 in ledger.tasks.evidence():
        if not columns.get(key.platform):
            continue
        stem = result_stem(settings.job.directory, key.platform, key.chunk)
        order = ExtrasOrder(
            result=raw_result(stem) or stem,
            chunk=chunk_path(settings.job.directory, key.chunk),
            target=extras_path(into, key.platform, key.chunk),
            platform=key.platform,
            columns=settings.platforms[key.platform].result_columns,
            names=columns[key.platform],
            result_sha256=result_sha256,
            without_verdict=not settings.platforms[key.platform].result_columns,
        )
        orders.append((order, rows[key.chunk]))
    return ExtraOrders(WantedExtras(into, columns), orders)


def workers_for_extras(settings: Settings) -> int:
    """Return how many workers are worth their start to a command that may have to read every result once more."""
    return settings.workers.count if settings.wants_extras else 1


async def make_extras(extras: ExtraOrders, workers: Workers) -> tuple[dict[str, CellKind], ...]:
    """Write the extra files that are missing, or have other columns; return for each platform what its columns hold.

    A result that can't be read any more has none: its cells are empty, and that is said.
    """
    heads = await asyncio.to_thread(
        lambda: {order.target: read_extras_head(order.target) for order, _ in extras.orders}
    )
    wanted = [
        (order, rows)
        for order, rows in extras.orders
        if (head := heads[order.target]) is None
        or (head.names, head.result_sha256) != (order.names, order.result_sha256)
    ]
    for folder in {order.target.parent for order, _ in wanted}:
        await asyncio.to_thread(make_private_directory, folder)
    waiting, pieces = deque(wanted), []
    while waiting:
        pieces.append(together(waiting, rows=itemgetter(1)))
    outcomes = await asyncio.gather(*(_take(workers, piece) for piece in pieces))
    _tell([outcome for outcomes_of_piece in outcomes for outcome in outcomes_of_piece])
    # Only what was written now is read again: a job may have a hundred thousand of these files.
    heads |= await asyncio.to_thread(lambda: {order.target: read_extras_head(order.target) for order, _ in wanted})
    kinds = {platform: dict.fromkeys(names, CellKind.NOTHING) for platform, names in extras.wanted.columns.items()}
    for order, _ in extras.orders:
        if (head := heads[order.target]) is not None:
            known = kinds[order.platform]
            known |= {name: max(known[name], kind) for name, kind in zip(head.names, head.kinds, strict=True)}
    return tuple(kinds.values())


async def _take(
    workers: Workers, piece: list[tuple[ExtrasOrder, int]]
) -> list[tuple[ExtrasOrder, ExtrasReport | Exception]]:
    orders = [order for order, _ in piece]
    limits = check_limits(sum(rows for _, rows in piece))
    try:
        return list(zip(orders, await workers.run(take_extras, orders, limits=limits), strict=True))
    except PieceDiedError as error:
        if len(orders) == 1:
            return [(orders[0], error)]
    # One of them broke the worker: by themselves, the others come through.
    alone = await asyncio.gather(*(_take(workers, [one]) for one in piece))
    return [outcome for outcomes in alone for outcome in outcomes]


def _tell(outcomes: list[tuple[ExtrasOrder, ExtrasReport | Exception]]) -> None:
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    there: dict[tuple[str, str], tuple[str, ...]] = {}
    for order, outcome in outcomes:
        task = f"{order.platform}/{order.chunk.stem}"
        if not isinstance(outcome, ExtrasReport):
            order.target.unlink(missing_ok=True)
            log.warning("extra_columns_not_read", task=task, reason=str(outcome))
            continue
        for name in outcome.missing:
            missing[order.platform, name].append(int(order.chunk.stem))
            there[order.platform, name] = outcome.there
    for (platform, name), chunks in missing.items():
        log.warning(
            "extra_column_not_there",
            platform=platform,
            column=name,
            results=len(chunks),
            there=", ".join(there[platform, name]),
        )
