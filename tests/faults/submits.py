"""Faults of a submit: while it is sent, and in its answer. The vendor has acted unless it says otherwise."""

from __future__ import annotations

from tests.faults.rows import DONE, End, Outcome, several

SEND, ANSWER = "Send", "Answer to a submit"

AGAIN = Outcome(
    "Nothing was released, so there is no task: sends it again by itself, ever more rarely.",
    End(75, "2 planned", 0),
    DONE,
)
LATER = Outcome(
    "The vendor says that it made no task: sends it again by itself, ever more rarely; the fifth time it is not "
    "believed any more, and the task is held for `resolve`.",
    End(3, "2 in_doubt", 0),
    DONE,
)
UNHEARD = Outcome(
    "Submits nothing before the vendor has answered anything in this run, so there is no doubt.", AGAIN.lasting, DONE
)
SLOWER = Outcome(
    "Sends it again by itself when the vendor wishes, at most an hour later, and all requests more slowly from now on.",
    End(75, "2 planned", 0),
    DONE,
)
NOT_MADE = Outcome(
    "The last bytes had left, and nobody knows whether a task was made: holds it for `resolve`, and goes on with the "
    "rest one at a time.",
    End(3, "2 in_doubt", 0),
    End(3, "1 done, 1 in_doubt", 1),
)
MADE = Outcome(NOT_MADE.does, End(3, "2 in_doubt", 2), End(3, "1 done, 1 in_doubt", 2))
REDIRECTED = Outcome(
    "Follows it nowhere, and nobody knows whether a task was made: holds it for `resolve`.", MADE.lasting, MADE.once
)
CAPPED = Outcome(
    "Reads a mebibyte of it and no more, so nobody knows whether a task was made: holds it for `resolve`.",
    MADE.lasting,
    MADE.once,
)
NOWHERE = Outcome(
    "Follows it nowhere; nothing was released, so there is no task: sends it again by itself, ever more rarely.",
    AGAIN.lasting,
    AGAIN.once,
)
REFUSED = Outcome(
    "The vendor will not have this file: the task has failed and is not repeated; the message says what to change.",
    End(1, "2 failed", 0),
    End(1, "1 done, 1 failed", 1),
)
STOP = Outcome(
    "Sends this vendor nothing more in this run; nothing was charged.", End(4, "2 planned", 0), End(4, "2 planned", 0)
)
TAKEN = Outcome("Takes the task id; this is no fault.", DONE, DONE)

ROWS = [
    *several(
        SEND,
        "connection",
        UNHEARD,
        [
            ("Reset at byte 0 of the connection", "cut: nothing", "vendor main is out of reach"),
            ("Reset after the first byte of the head", "cut: head", "vendor main is out of reach"),
        ],
    ),
    *several(
        SEND,
        "submit",
        AGAIN,
        [
            ("Reset after the first byte of the body", "cut: first", "put_off"),
            ("Reset in the middle of the body", "cut: middle", "put_off"),
            ("Reset before the bytes that are held back", "cut: held", "put_off"),
        ],
    ),
    *several(
        SEND,
        "submit",
        NOT_MADE,
        [
            ("Reset within the bytes that were held back", "cut: tail", "in_doubt  task="),
            ("Reset after the last byte but one", "cut: last but one", "in_doubt  task="),
            ("Reset after the last byte", "cut: all", "in_doubt  task="),
        ],
    ),
    *several(
        SEND,
        "submit",
        MADE,
        [("Reset after the vendor has read and acted on it all", "after: none", "in_doubt  task=")],
    ),
    *several(
        SEND,
        "connection",
        UNHEARD,
        [
            ("Stall at byte 0 of the connection", "stall: nothing", "vendor main is out of reach"),
            ("Stall after the first byte of the head", "stall: head", "vendor main is out of reach"),
        ],
    ),
    *several(
        SEND,
        "submit",
        NOT_MADE,
        [
            ("Stall after the first byte of the body", "stall: first", "no answer to the whole request within 300 s"),
            ("Stall in the middle of the body", "stall: middle", "no answer to the whole request within 300 s"),
            ("Stall before the bytes that are held back", "stall: held", "no answer to the whole request within 300 s"),
            (
                "Stall within the bytes that were held back",
                "stall: tail",
                "no answer to the whole request within 300 s",
            ),
            ("Stall after the last byte but one", "stall: last but one", "no answer to the whole request within 300 s"),
            ("Stall after the last byte", "stall: all", "no answer to the whole request within 300 s"),
        ],
    ),
    *several(
        SEND,
        "submit",
        MADE,
        [("Stall after the vendor has read and acted on it all", "after: silence", "no answer to the whole request")],
    ),
    *several(
        SEND,
        "submit",
        REFUSED,
        [
            ("400 while sending", "early: 400", "HTTP 400"),
            ("404 while sending", "early: 404#1", "HTTP 404"),
            ("413 while sending", "early: 413", "make chunk_size smaller"),
            ("422 while sending", "early: 422#1", "HTTP 422"),
        ],
    ),
    *several(
        SEND,
        "submit",
        STOP,
        [
            ("401 while sending", "early: 401", "vendor main says stop: HTTP 401"),
            ("402 while sending", "early: 402#1", "vendor main says stop: HTTP 402"),
            ("403 while sending", "early: 403", "the vendor denies "),
        ],
    ),
    *several(
        SEND,
        "submit",
        AGAIN,
        [
            ("408 while sending", "early: 408", "HTTP 408"),
            ("409 while sending", "early: 409#1", "HTTP 409"),
            ("500 with HTML while sending", "early: 500 html#1", "HTTP 500"),
            ("502 while sending", "early: 502", "HTTP 502"),
            ("503 while sending", "early: 503#1", "HTTP 503"),
            ("504 while sending", "early: 504", "HTTP 504"),
            ("200 without a task id while sending", "early: 200 without id", "an answer without a usable task id"),
        ],
    ),
    *several(SEND, "submit", LATER, [("500 with JSON while sending", "early: 500", "HTTP 500")]),
    *several(
        SEND,
        "submit",
        NOWHERE,
        [
            ("302 while sending", "early: 302", "a redirect, which is never followed"),
            ("307 while sending", "early: 307#1", "a redirect, which is never followed"),
        ],
    ),
    *several(SEND, "submit", SLOWER, [("429 while sending", "early: 429", "slowed_down")]),
    *several(
        ANSWER,
        "submit",
        MADE,
        [
            ("None: the connection is closed", "after: closed", "the connection was closed without an answer"),
            ("Half of the headers", "after: half of the head", "the connection was closed without an answer"),
            ("Half of the JSON, then a reset", "after: half of the body", "an answer without a usable task id"),
            ("200 with HTML", "after: html", "an answer without a usable task id"),
            ("200 with nothing", "after: empty", "an answer without a usable task id"),
            ("200 without `task_id`", "after: without id", "an answer without a usable task id"),
            ("Two different `task_id`s in one answer", "after: id twice", "an answer without a usable task id"),
            ("204", "after: 204", "an answer without a usable task id"),
            ("408", "after: 408", "HTTP 408: an answer that does not tell whether a task was made"),
            ("409", "after: 409", "HTTP 409: an answer that does not tell whether a task was made"),
            ("500 with HTML", "after: 500 html", "HTTP 500: an answer that does not tell whether a task was made"),
            ("502", "after: 502", "HTTP 502: an answer that does not tell whether a task was made"),
            ("503", "after: 503", "HTTP 503: an answer that does not tell whether a task was made"),
            ("504", "after: 504", "HTTP 504: an answer that does not tell whether a task was made"),
        ],
    ),
    *several(
        ANSWER,
        "submit",
        CAPPED,
        [
            ("More than a mebibyte", "after: huge", "an answer without a usable task id"),
            ("A megabyte that unpacks to a gigabyte", "after: bomb", "an answer without a usable task id"),
        ],
    ),
    *several(
        ANSWER,
        "submit",
        REDIRECTED,
        [
            *(
                (f"{status} to {words}", f"after: {status} {where}", "a redirect, which is never followed")
                for status in (301, 302, 307, 308)
                for where, words in (("same", "the same host"), ("other", "another host"))
            ),
        ],
    ),
    *several(
        ANSWER,
        "submit",
        Outcome(
            "One task id for two tasks: the first keeps it, the second is held.",
            End(3, "1 done, 1 in_doubt", 2),
            None,
        ),
        [("The `task_id` of another task", "after: id of another", "the vendor named the task id of another task")],
    ),
    *several(
        ANSWER,
        "submit",
        TAKEN,
        [
            ("Shorter than its Content-Length", "after: wrong length", "accepted"),
            ("Invalid UTF-8", "after: invalid utf-8", "accepted"),
            ("202", "after: 202", "accepted"),
        ],
    ),
    *several(
        ANSWER,
        "submit",
        Outcome("Waits for it, up to five minutes.", DONE, DONE),
        [("After four minutes", "after: very late", "accepted")],
    ),
    *several(
        ANSWER,
        "submit",
        REFUSED,
        [
            ("400", "instead: 400", "HTTP 400: the vendor does not take this request"),
            ("404", "instead: 404", "HTTP 404: there is no such page; check base_url"),
            ("405", "instead: 405", "HTTP 405: there is no such page; check base_url"),
            ("413", "instead: 413", "HTTP 413: the file is too large for the vendor; begin a job in another directory"),
            ("422", "instead: 422", "HTTP 422: the vendor does not take this request"),
        ],
    ),
    *several(
        ANSWER,
        "submit",
        STOP,
        [
            ("401", "instead: 401", "HTTP 401: the vendor does not accept the key"),
            ("402", "instead: 402", "HTTP 402: the balance at the vendor is used up"),
            ("403", "instead: 403", "HTTP 403: the key may not do this"),
        ],
    ),
    *several(
        ANSWER,
        "submit",
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
    *several(ANSWER, "submit", LATER, [("500 with JSON", "instead: 500", "HTTP 500: the vendor failed and made no")]),
]
