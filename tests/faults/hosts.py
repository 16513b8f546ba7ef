"""Faults on the way to the vendor, and of the machine that the program runs on."""

from __future__ import annotations

from tests.faults.rows import BY_NAME, DONE, End, Outcome, Row, Strike, several

CONNECT, HOST = "Connect", "Host"

AGAIN = Outcome(
    "Tries again, ever more rarely, for `give_up_after_s`; nothing was released, so there is no task.",
    End(75, "2 planned", 0),
    DONE,
)
WRONG = Outcome(
    "The job has not begun: takes it for a mistake in `base_url`, says so and sends nothing.",
    End(2, "2 planned", 0),
    None,
)
OUTAGE = Outcome(
    "The job has begun: takes it for an outage and tries again; nobody gets the key.",
    End(75, "2 submitted", 2),
    DONE,
)
NOTHING = Outcome("Measures no duration by the wall clock: nothing happens.", DONE, None)

NAMES = {
    "Name not found": (BY_NAME, "no connection to vendor.example"),
    "TLS: the certificate of another host": ("certificate of another host", "mismatch"),
    "TLS: an expired certificate": ("expired certificate", "certificate has expired"),
    "TLS: a certificate of an unknown maker": ("certificate of an unknown maker", "does not hold"),
}

ROWS = [
    *several(
        CONNECT,
        "address",
        AGAIN,
        [
            ("Refused", "refused", "vendor main is out of reach"),
            ("Time-out", "no answer", "no connection"),
        ],
    ),
    *(
        Row(CONNECT, fault, WRONG.does, Strike("address", name), WRONG.lasting, WRONG.once, says)
        for fault, (name, says) in NAMES.items()
    ),
    *(
        Row(
            CONNECT,
            f"{fault}, later on",
            OUTAGE.does,
            Strike("address", name, begun=True),
            OUTAGE.lasting,
            OUTAGE.once,
            says,
        )
        for fault, (name, says) in NAMES.items()
    ),
    *several(
        HOST,
        "host",
        NOTHING,
        [
            ("The clock jumps a day forward", "clock jumps forward", "run_ended"),
            ("The clock jumps a day back", "clock jumps back", "run_ended"),
        ],
    ),
    *(
        Row(
            HOST,
            f"The clock jumps a day {way} between two runs",
            "A task looks a day older or just begun: one look in vain says nothing, so it is taken as it comes.",
            Strike("host", f"clock jumps {way}", begun=True),
            DONE,
            None,
            "run_ended",
        )
        for way in ("forward", "back")
    ),
    *several(
        HOST,
        "host",
        Outcome(
            "Finds its connections dead, connects anew and goes on; no time-out and no age counts the hours.",
            DONE,
            None,
        ),
        [("Suspended for hours while tasks are at the vendor", "suspended", "run_ended")],
    ),
    *several(
        HOST,
        "submit",
        Outcome(
            "The bytes had left, and nobody knows whether a task was made: holds it.",
            End(3, "1 done, 1 in_doubt", 2),
            None,
        ),
        [("Suspended for hours while a submit waits for its answer", "after: sleep", "in_doubt  task=")],
    ),
    *several(
        HOST,
        "download",
        Outcome("Fetches it again, with a fresh link once the old one has expired.", DONE, None),
        [("Suspended for hours in a download", "file: sleep", "link_expired")],
    ),
    *several(
        HOST,
        "host",
        Outcome("The second one ends at once; the first one goes on.", End(6, "2 done", 2), None),
        [("Two runs at once", "second run", "another")],
    ),
    *several(
        HOST,
        "host",
        Outcome(
            "`--after` refuses it, and nothing is sent; the directory that the last run left goes on.",
            End(2, "2 planned", 2),
            None,
        ),
        [("An older copy of the ledger was restored", "older ledger", "it is an older copy")],
    ),
    *several(
        HOST,
        "host",
        Outcome(
            "`--after` refuses it, and nothing is sent; the directory that the last run left goes on.",
            End(2, "", 2),
            None,
        ),
        [("The ledger is gone", "no ledger", "no ledger")],
    ),
]
