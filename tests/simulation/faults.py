"""What can go wrong between the program and the vendor, by name, and the draw of it: pure.

The names are the rows of the table of faults. Each has the place where it strikes before the colon.

    down              nobody listens at the vendor's address, for a while
    cut, stall        the connection is reset, or nothing moves any more, at a byte position of the request
    early             an answer comes while the body is still being sent
    instead           an answer comes in the vendor's place, which never saw the request
    after             the vendor has acted, and what comes back of its answer is this
    spell             something about a task that stays as it is
    link, file        the result link, and what it leads to
    result            a file with other words and headers, or for a part of the numbers
    idle              a kept connection is closed from the other side
    name, tls         the vendor's name is not found, or its certificate does not hold
    line, put, get, call, store     a ledger in a database, and a directory in a bucket
"""

from __future__ import annotations

import random
from collections.abc import Sequence

POSITIONS = ("nothing", "head", "first", "middle", "held", "tail", "last but one", "all")
"""Up to where a request is read: `held` is just before the bytes that the program holds back, `tail` within them."""

EARLY = (
    *("400", "401", "402", "403", "404", "408", "409", "413", "422", "429", "500", "500 html", "502", "503", "504"),
    *("302", "307", "200 without id", "200 with unknown id"),
)
INSTEAD = (
    *("400", "401", "402", "403", "404", "405", "408", "409", "413", "422", "429", "429 after", "429 absurd"),
    *("429 date", "500", "500 html", "502", "503", "504", "301", "302", "307", "308", "html", "empty", "204"),
    *("without id", "unknown id", "bomb", "drip"),
)
AFTER = (
    *("none", "closed", "silence", "half of the head", "half of the body", "wrong length", "html", "empty"),
    *("without id", "id of another", "id twice", "202", "204", "301", "302", "307", "308", "408", "409", "500 html"),
    *("502", "503", "504", "invalid utf-8", "huge", "bomb", "drip", "late", "very late"),
)
SPELLS = (
    *("stuck", "backwards", "unknown", "failed", "total differs", "gone", "completed for ever", "without a link"),
    *("another task", "absurd counts"),
)
LINKS = (
    *("of another task", "to another host", "private address", "no link", "ftp", "expired", "http", "this machine"),
    *("a name that leads here", "brackets", "half a character", "very long"),
)
FILES = (
    *("403", "403 in the middle", "404", "302", "307", "500", "503", "429", "truncated", "ended early", "too long"),
    *("endless", "slow", "drip", "bomb", "html", "empty", "garbage", "reset", "stall", "hostile"),
)

CUTS = tuple(f"cut: {place}" for place in POSITIONS)
STALLS = tuple(f"stall: {place}" for place in POSITIONS)
OF_CONNECTION = ("down: refused", "cut: nothing", "cut: head", "stall: nothing", "stall: head")
OF_SUBMIT = (
    *(name for name in (*CUTS, *STALLS) if name not in OF_CONNECTION),
    *(f"early: {what}" for what in EARLY),
    *(f"instead: {what}" for what in INSTEAD),
    *(f"after: {what}" for what in AFTER),
)
OF_STATUS = (
    "cut: all",
    "stall: all",
    *(f"instead: {what}" for what in INSTEAD if what not in {"without id", "unknown id"}),
    *(f"after: {what}" for what in AFTER if what not in {"id of another", "without id"}),
    "idle: closed",
)
OF_TASK = tuple(f"spell: {what}" for what in SPELLS)
OF_LINK = tuple(f"link: {what}" for what in LINKS)
OF_FILE = tuple(f"file: {what}" for what in FILES)

OF_RESULT = ("result: respelt", "result: a part")
OF_ACCESS = ("spell: denied",)
BEYOND = (*OF_RESULT, *OF_ACCESS)
"""No rows of the table of faults: what a vendor may do by right, or to one task alone."""

OF_NAME = ("name: not found", "name: no answer")
OF_CERTIFICATE = (
    "tls: certificate of another host",
    "tls: expired certificate",
    "tls: certificate of an unknown maker",
)
OF_ADDRESS = (*OF_NAME, *OF_CERTIFICATE)
"""Only for a vendor that goes by a name and speaks TLS."""

OF_LINE = ("line: cut", "line: answer lost", "line: away")
"""What befalls a trip to the database: it does not get there; it does, and its answer is lost; nobody is there."""
OF_PUT = ("put: fails", "put: answer lost", "put: forgotten")
OF_GET = ("get: fails", "get: gone", "get: altered", "get: as before")
OF_CALL = ("call: fails", "call: answer lost")
OF_ANY_CALL = ("store: away", "store: slow")
OF_STORE = (*OF_PUT, *OF_GET, *OF_CALL, *OF_ANY_CALL)
"""What befalls a call of an object store."""

ALL = tuple(dict.fromkeys((*OF_CONNECTION, *OF_SUBMIT, *OF_STATUS, *OF_TASK, *OF_LINK, *OF_FILE)))


class Mischief:
    """The faults of one seed: some of `ALL`, each call struck with the same chance; none once it is `healed`."""

    def __init__(self, chance: random.Random, names: Sequence[str], rate: float) -> None:
        self._chance = chance
        self.names, self.rate = tuple(names), rate
        self.healed = False

    def draw(self, place: Sequence[str]) -> str:
        """Draw what befalls one call, of the faults that belong to `place`; "" for nothing."""
        fitting = [name for name in place if name in self.names]
        if self.healed or not fitting or self._chance.random() >= self.rate:
            return ""
        return self._chance.choice(fitting)

    def between(self, least: float, most: float) -> float:
        return self._chance.uniform(least, most)

    def dice(self) -> random.Random:
        return self._chance

    def pick(self, options: Sequence[int]) -> int:
        return self._chance.choice(options)


def drawn_names(chance: random.Random) -> tuple[tuple[str, ...], float]:
    """Draw which faults a seed has, and how often they strike: mostly one or two, sometimes many, sometimes none.

    Files that are made to do harm are one name of many here, and many kinds: so they also join others by themselves.
    """
    names, rate = _some_names(chance)
    return tuple(dict.fromkeys((*names, "file: hostile"))) if names and chance.random() < 0.1 else names, rate


def _some_names(chance: random.Random) -> tuple[tuple[str, ...], float]:
    kind = chance.random()
    if kind < 0.08:
        return (), 0.0
    if kind < 0.35:
        return (chance.choice(ALL),), chance.choice((0.1, 0.4, 1.0))
    if kind < 0.65:
        return tuple(chance.sample(ALL, 2)), chance.choice((0.1, 0.3, 0.8))
    if kind < 0.9:
        return tuple(chance.sample(ALL, chance.randint(3, 30))), chance.choice((0.05, 0.15, 0.4))
    return ALL, chance.choice((0.05, 0.2))
