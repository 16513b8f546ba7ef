"""Faults in the answer to a status call, which is safe to repeat."""

from __future__ import annotations

from tests.faults.rows import DONE, End, Outcome, several

GROUP = "Answer to a status call"
NO_USE = "no usable answer"

AGAIN = Outcome(
    "Asks again, ever more rarely; what is at the vendor stays there for the next run.",
    End(75, "2 submitted", 2),
    DONE,
)
NOWHERE = Outcome(
    "Follows it nowhere and asks again, ever more rarely; what is at the vendor stays there for the next run.",
    AGAIN.lasting,
    AGAIN.once,
)
CAPPED = Outcome(
    "Reads a mebibyte of it and no more, and asks again, ever more rarely; what is at the vendor stays there.",
    AGAIN.lasting,
    AGAIN.once,
)
SLOWER = Outcome(
    "Asks again when the vendor wishes, at most an hour later, and all requests more slowly from now on.",
    End(75, "2 submitted", 2),
    DONE,
)
HELD = Outcome(
    "Asks five times, then holds the task; every later run looks once more and takes a late result.",
    End(3, "2 stalled", 2),
    DONE,
)
STOP = Outcome(
    "Asks this vendor nothing more in this run; its tasks stay there for the next one.",
    End(4, "2 submitted", 2),
    End(4, "2 submitted", 2),
)
FINE = Outcome("Takes it; this is no fault.", DONE, DONE)

ROWS = [
    *several(
        GROUP,
        "status",
        AGAIN,
        [
            ("None: reset before the vendor saw the call", "cut: all", "vendor main is out of reach"),
            ("None: reset in place of the answer", "after: none", "vendor main is out of reach"),
            ("None: the connection is closed", "after: closed", "vendor main is out of reach"),
            ("None: nothing moves", "stall: all", "no whole answer within 60 s"),
            ("After more than a minute", "after: very late", "no whole answer within 60 s"),
            ("Half of the headers", "after: half of the head", "vendor main is out of reach"),
            ("Half of the JSON, then a reset", "after: half of the body", NO_USE),
            ("200 with HTML", "after: html", NO_USE),
            ("200 with nothing", "after: empty", NO_USE),
            ("Two different `task_id`s in one answer", "after: id twice", "report says task_id twice"),
            ("204", "after: 204", NO_USE),
            ("408", "instead: 408", "HTTP 408: no usable answer"),
            ("500 with JSON", "instead: 500", "HTTP 500: no usable answer"),
            ("500 with HTML", "instead: 500 html", "HTTP 500: no usable answer"),
            ("502", "instead: 502", "HTTP 502: no usable answer"),
            ("503", "instead: 503", "HTTP 503: no usable answer"),
            ("504", "instead: 504", "HTTP 504: no usable answer"),
        ],
    ),
    *several(
        GROUP,
        "status",
        CAPPED,
        [
            ("More than a mebibyte", "after: huge", NO_USE),
            ("A megabyte that unpacks to a gigabyte", "after: bomb", NO_USE),
        ],
    ),
    *several(
        GROUP,
        "status",
        NOWHERE,
        [
            *(
                (f"{status} to {words}", f"after: {status} {where}", f"HTTP {status}: no usable answer")
                for status in (301, 302, 307, 308)
                for where, words in (("same", "the same host"), ("other", "another host"))
            ),
        ],
    ),
    *several(
        GROUP,
        "status",
        SLOWER,
        [
            ("429 without `Retry-After`", "instead: 429", "slowed_down"),
            ("429 with `Retry-After` in seconds", "instead: 429 after", "slowed_down"),
            ("429 with `Retry-After` as a date", "instead: 429 date", "slowed_down"),
            ("429 with a `Retry-After` of ages", "instead: 429 absurd", "again_after_s=3600"),
            ("429 with a negative `Retry-After`", "instead: 429 absurd#1", "slowed_down"),
            ("429 with a `Retry-After` in words", "instead: 429 absurd#2", "slowed_down"),
        ],
    ),
    *several(
        GROUP,
        "status",
        HELD,
        [
            (status, f"instead: {status}", f"HTTP {status}: the vendor does not take this call")
            for status in ("400", "404", "405", "409", "413", "422")
        ],
    ),
    *several(GROUP, "status", HELD, [("403", "instead: 403", "the vendor does not let us see the task (HTTP 403")]),
    *several(
        GROUP,
        "status",
        STOP,
        [(status, f"instead: {status}", f"vendor main says stop: HTTP {status}") for status in ("401", "402")],
    ),
    *several(
        GROUP,
        "status",
        FINE,
        [
            ("Shorter than its Content-Length", "after: wrong length", "run_ended"),
            ("Invalid UTF-8", "after: invalid utf-8", "run_ended"),
            ("202", "after: 202", "run_ended"),
        ],
    ),
    *several(
        GROUP,
        "status",
        Outcome("Connects anew, and asks again where a call was lost; nobody is told.", DONE, DONE),
        [("Stale keep-alive: the kept connection was closed", "idle: closed", "run_ended")],
    ),
]
