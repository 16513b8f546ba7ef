"""The quote: what a job sends and costs, as a file that a later run is held to.

It fixes the list, the calls, the prices, the tasks and the sum of the whole job, so it stays the same while a run is
interrupted and goes on; `retry`, `--extend`, a resubmit, another price or platform make another one. A digest goes over
all of it. What stands for the list and the digest are made with a key that only the ledger has: whoever has the file
can't try numbers on it, and can't write another one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from orchestrator.errors import ExitCode, UsageError
from orchestrator.files import write_json
from orchestrator.job.budget import Objection
from orchestrator.records import NANO
from orchestrator.report.printed import setting
from orchestrator.tasks import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orchestrator.ledger import Ledger
    from orchestrator.settings import PlatformSettings, Settings

VERSION: Final = 1
ANOTHER: Final = "orchestrator plan --out FILE writes one, to a new place or over an earlier quote"
ANEW: Final = "look at it with orchestrator plan, and if it is right, quote it anew with plan --out"


def quote_of(ledger: Ledger, settings: Settings) -> dict[str, Any]:
    """Return the quote of a planned job; it has no digest yet. `ledger` has a key, see `sign`."""
    standings, again = ledger.platforms.standing(), ledger.platforms.paid_again_nano()
    fixed = ledger.platforms.fixed()
    platforms: dict[str, Any] = {}
    conditions = ledger.plan.conditions()
    for name, platform in settings.platforms.items():
        sizes = Counter(ledger.tasks.sizes(name))
        at_most = {}
        if (condition := conditions.get(name)) is not None:
            # For which numbers it is asked shows while the job runs: what is quoted is the most that this can be.
            picked = Counter(ledger.tasks.sizes(name, generations=condition.generations))
            left = ledger.plan.counts().accepted - standings[name].reused.known
            full, rest = divmod(left, settings.job.chunk_size)
            most = Counter({settings.job.chunk_size: full}) + Counter({rest: 1} if rest else {})
            # Picked in many small parts, of which whole blocks are billed, they may cost more all the same.
            sizes = sizes - picked + max(most, picked, key=partial(_cost_nano, platform))
            at_most = {"only_if": str(condition)}
        price = platform.price_per_10000
        # What was sent counts with the price that it was sent at.
        before = sum((nano - platform.cost_nano(rows)) * tasks for rows, nano, tasks in ledger.tasks.quoted(name))
        nano = _cost_nano(platform, sizes) + before + again.get(name, 0)
        platforms[name] = {
            "call": fixed[name],
            "tasks": sum(sizes.values()),
            "skipped": standings[name].tasks(State.SKIPPED),
            "numbers": sum(rows * tasks for rows, tasks in sizes.items()),
            "billed": sum(platform.billed_rows(rows) * tasks for rows, tasks in sizes.items()),
            "price_per_10000": price,
            "billing_block": platform.billing_block,
            "cost": None if price is None else nano / NANO,
            **at_most,
        }
    costs = [its["cost"] for its in platforms.values()]
    return {
        "quote_version": VERSION,
        "job": settings.job.name,
        "list": _list_digest(ledger),
        "numbers": ledger.plan.counts().accepted,
        "platforms": platforms,
        "cost": None if None in costs else round(sum(costs), 9),
    }


def _cost_nano(platform: PlatformSettings, sizes: Mapping[int, int]) -> int:
    return sum(platform.cost_nano(rows) * tasks for rows, tasks in sizes.items())


def write_quote(ledger: Ledger, settings: Settings, path: Path) -> dict[str, Any]:
    """Write the quote of a planned job to `path`; raises `StorageError`."""
    if not ledger.plan.quote_key():
        ledger.change(lambda it: it.plan.note_quote_key(secrets.token_hex(16)))
    quote = quote_of(ledger, settings)
    quote["digest"] = _digest(ledger, quote)
    write_json(path, quote)
    return quote


def check_place(path: Path) -> None:
    """Raise `UsageError` where no quote can be written, or something else would be lost by it."""
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: there is no such folder; make it, or name another place with --out")
    if not path.exists():
        return
    try:
        is_quote = path.is_file() and bool(read_quote(path))
    except UsageError:
        is_quote = False
    if not is_quote:
        raise UsageError(f"{path}: this is there, and no quote; name another place with --out")


def read_quote(path: Path) -> dict[str, Any]:
    """Read a quote; `UsageError` for a file that is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(content, ensure_ascii=False).encode()  # JSON can spell half characters, which no ledger takes
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; orchestrator plan --out {path} writes a quote") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not a quote; {ANOTHER}") from error
    if not isinstance(content, dict) or content.get("quote_version") != VERSION:
        raise UsageError(f"{path}: not a quote of this version; {ANOTHER}")
    return content


def check_quote(ledger: Ledger, settings: Settings, path: Path, quote: dict[str, Any]) -> None:
    """Raise `UsageError` that names what differs when the job is not the one that was quoted: nothing is sent then."""
    digest = quote.get("digest")
    said = {name: value for name, value in quote.items() if name != "digest"}
    # Without a key no quote was ever made of this ledger.
    is_ours = ledger.plan.quote_key() and hmac.compare_digest(str(digest).encode(), _digest(ledger, said).encode())
    now = quote_of(ledger, settings)
    differences = list(_differences(said, now)) if isinstance(said.get("platforms"), dict) else []
    if not is_ours:
        differences = ["it was altered since, or is of another job directory", *differences]
    if differences:
        raise UsageError(f"{path}: the job is not what was quoted: {'; '.join(differences)}; nothing was sent: {ANEW}")


def beyond_quote(ledger: Ledger, settings: Settings, quote: dict[str, Any]) -> Objection | None:
    """Return what speaks against sending on in a run that was held to `quote`: what `only_if` picked may cost more."""
    differences = list(_differences(quote, quote_of(ledger, settings)))
    if not differences:
        return None
    text = f"what only_if picked is more than was quoted: {'; '.join(differences)}; {ANEW}"
    return Objection(ExitCode.OVER_BUDGET, text)


def _differences(said: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    if said.get("list") != now["list"]:
        numbers = setting(said.get("numbers"))
        yield f"the list, or its chunks, are others ({numbers} numbers quoted, {now['numbers']} now)"
    quoted, planned = said["platforms"], now["platforms"]
    for name in {**quoted, **planned}:
        if name not in planned:
            yield f"{name} was quoted and is not asked any more"
        elif name not in quoted or not isinstance(quoted[name], dict):
            yield f"{name} was not quoted"
        else:
            for key, value in planned[name].items():
                if quoted[name].get(key) != value:
                    yield f"{key} of {name} was {setting(quoted[name].get(key))} and is {setting(value)}"
    for key in ("quote_version", "job", "numbers", "cost"):
        if said.get(key) != now[key]:
            yield f"{key} was {setting(said.get(key))} and is {setting(now[key])}"


def _list_digest(ledger: Ledger) -> str:
    """Return a keyed hash of all chunks: their numbers, their order, and for whom they are."""
    digest = hmac.new(ledger.plan.quote_key().encode(), b"list\n", hashlib.sha256)
    picked = {(name, generation) for name, its in ledger.plan.conditions().items() for generation in its.generations}
    for chunk in ledger.plan.chunks():
        if (chunk.only, chunk.generation) in picked:
            continue
        digest.update(f"{chunk.chunk} {chunk.rows} {chunk.sha256} {chunk.only or ''}\n".encode())
    return digest.hexdigest()


def _digest(ledger: Ledger, quote: dict[str, Any]) -> str:
    content = json.dumps(quote, sort_keys=True).encode()
    return hmac.new(ledger.plan.quote_key().encode(), b"quote\n" + content, hashlib.sha256).hexdigest()
