"""Faults of tasks at the vendor, of result links and of downloads."""

from __future__ import annotations

from tests.faults.rows import DONE, End, Outcome, several

TASK, DOWNLOAD = "Task", "Download"

STALLED = Outcome(
    "Keeps looking, ever more rarely; without progress for `give_up_after_h` it is held as stalled. Each later run "
    "looks once more and takes a late result.",
    End(3, "2 stalled", 2),
    DONE,
)
UNSAFE = Outcome(
    "Connects to nobody and holds the task; every later run asks for a link once more.",
    End(3, "2 stalled", 2),
    End(3, "1 done, 1 stalled", 2),
)
NO_FILE = Outcome(
    "Takes nothing and holds the task; every later run asks for a link once more.", UNSAFE.lasting, UNSAFE.once
)
GATEWAY = Outcome(
    "Asks the status for a fresh link, some times; then takes nothing, and holds the task.", UNSAFE.lasting, DONE
)
FRESH = Outcome(
    "Asks the status for a fresh link; without progress for `give_up_after_h` the task is held.",
    End(3, "2 stalled", 2),
    DONE,
)
AGAIN = Outcome(
    "Fetches it again, ever more rarely; without progress for `give_up_after_h` the task is held.",
    End(3, "2 stalled", 2),
    DONE,
)
DAMAGED = Outcome(
    "Fetches it again and keeps it; twice the same is what the vendor made: failed, and `resolve --refetch` helps.",
    End(1, "2 failed", 2),
    DONE,
)
SILENT = Outcome(
    "Asks again, ever more rarely; what is at the vendor stays there for the next run.", End(75, "2 submitted", 2), DONE
)
WARNED = Outcome("Says so once, and goes by what was sent.", DONE, DONE)

ROWS = [
    *several(
        TASK,
        "task",
        STALLED,
        [
            ("Stuck", "spell: stuck", "no progress for 0.25 hours"),
            ("Going backwards, and forwards again", "spell: backwards", "no progress for 0.25 hours"),
            ("Unknown status", "spell: unknown", "unknown_status"),
            ("Unknown status that no file can hold", "spell: unknown#2", "unknown_status"),
            ("`completed` for ever", "spell: completed for ever", "no progress for 0.25 hours"),
            ("`exported` without a link", "spell: without a link", "no progress for 0.25 hours"),
        ],
    ),
    *several(
        TASK,
        "task",
        SILENT,
        [
            ("Empty status", "spell: unknown#1", "the vendor's report names no status"),
            ("A number for a status", "spell: unknown#3", "the vendor's report names no status"),
            ("A report on another task", "spell: another task", "the vendor answered for another task"),
        ],
    ),
    *several(
        TASK,
        "task",
        Outcome(
            "The task has failed; `retry` sends its numbers once more, and `resolve --adopt` looks at it again.",
            End(1, "2 failed", 2),
            End(1, "1 done, 1 failed", 2),
        ),
        [("`failed`", "spell: failed", "the vendor reports the task as failed")],
    ),
    *several(
        TASK,
        "task",
        WARNED,
        [
            ("`total` is 1", "spell: total differs#1", "total_differs"),
            ("`total` is a million", "spell: total differs#3", "total_differs"),
        ],
    ),
    *several(
        TASK,
        "task",
        Outcome("Goes by what was sent.", DONE, DONE),
        [("Counts of 400 digits, in lists and in words", "spell: absurd counts", "run_ended")],
    ),
    *several(
        TASK,
        "task",
        Outcome(
            "Asks five times, then holds the task; every later run looks once more and takes a late result.",
            End(3, "2 stalled", 2),
            DONE,
        ),
        [("Gone: 404", "spell: gone", "the vendor does not know the task any more")],
    ),
    *several(
        TASK,
        "link",
        Outcome(
            "Does not fetch it and keeps asking for another; without one for `give_up_after_h` the task is held.",
            End(3, "1 done, 1 stalled", 2),
            None,
        ),
        [("`exported` with a link for another task", "link: of another task", "link_of_another")],
    ),
    *several(
        DOWNLOAD,
        "link",
        UNSAFE,
        [
            ("A link to a private address", "link: private address", "which is not a public address"),
            ("No link, but words", "link: no link", "the result link is not"),
            ("A link that cannot be taken apart", "link: brackets", "the result link is not"),
            ("A link with half a character", "link: half a character", "the result link is not"),
            ("A link of 300 KB", "link: very long", "the result link is not"),
            ("An ftp link", "link: ftp", "the result link is not a plain http or https link"),
        ],
    ),
    *several(
        DOWNLOAD,
        "link",
        UNSAFE,
        [
            ("An http link to another host", "link: http", "is not https"),
            ("A link to this machine", "link: this machine", "which is not a public address"),
            (
                "A link to a name that leads to a private address",
                "link: a name that leads here",
                "is not a public address",
            ),
        ],
    ),
    *several(
        DOWNLOAD,
        "download",
        GATEWAY,
        [
            ("A redirect to the same host", "file: 302 same", "HTTP 302: the result link does not lead to a file"),
            ("A redirect to another host", "file: 307 other", "HTTP 307: the result link does not lead to a file"),
        ],
    ),
    *several(
        DOWNLOAD,
        "download",
        NO_FILE,
        [
            ("Announced as a terabyte", "file: too long", "the result file is larger than"),
            ("Without an announced length, and without end", "file: endless", "the result file is larger than"),
        ],
    ),
    *several(
        DOWNLOAD,
        "link",
        FRESH,
        [("An expired link", "link: expired", "HTTP 403: the result link no longer opens the file")],
    ),
    *several(
        DOWNLOAD,
        "download",
        FRESH,
        [
            ("403 at the start", "file: 403", "HTTP 403: the result link no longer opens the file"),
            ("404", "file: 404", "HTTP 404: the result link no longer opens the file"),
            ("403 in the middle: reset, and 403 afterwards", "file: 403 in the middle", "HTTP 403"),
        ],
    ),
    *several(
        DOWNLOAD,
        "download",
        AGAIN,
        [
            ("500", "file: 500", "HTTP 500: the result can't be fetched now"),
            ("503", "file: 503", "HTTP 503: the result can't be fetched now"),
            ("429", "file: 429", "HTTP 429: the result can't be fetched now"),
            ("Reset", "file: reset", "the download broke off"),
            ("Stall", "file: stall", "no answer to the result link within 60 s"),
            ("Slow drip without end", "file: drip", "neither the end of the file nor 64 KiB more within 60 s"),
        ],
    ),
    *several(
        DOWNLOAD,
        "download",
        Outcome("Waits for it, as long as its end or 64 KiB a minute come.", DONE, DONE),
        [("Slow drip with an end", "file: slow", "run_ended")],
    ),
    *several(
        DOWNLOAD,
        "download",
        DAMAGED,
        [
            ("Truncated: shorter than announced", "file: truncated", "ended before its announced length"),
            ("Truncated, and announced so", "file: ended early", "its result is damaged"),
            ("A page of HTML with 200", "file: html", "its result is damaged"),
            ("Nothing with 200", "file: empty", "its result is damaged"),
            ("Other bytes with 200", "file: garbage", "its result is damaged"),
        ],
    ),
]
