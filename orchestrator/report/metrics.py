"""The file of `[notify] metrics`: where a job stands, in Prometheus' text form. Pure.

It is for the node exporter's textfile collector: one file a job, which is replaced as a whole. Prometheus' own library
would bring a registry and a server for these lines; a test reads them with its parser.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchestrator.tasks import HELD, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchestrator.records import Standing
    from orchestrator.report.summary import Summary

    Sample = tuple[Mapping[str, str], float]

NO_VERDICT = frozenset({"unknown", "unanswered"})
"""Words that leave a number as it was: the vendor's own, and ours for a number that it did not speak of."""

_SEEN_AS = {State.RELEASED: "at_the_vendor", State.SUBMITTED: "at_the_vendor"} | dict.fromkeys(HELD, "held")
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def metrics_text(
    summary: Summary,
    standings: Iterable[Standing],
    removed: Iterable[Standing] = (),
    *,
    at_s: float,
    last_success_s: float | None,
) -> bytes:
    """Return the whole file. Times are in seconds since the epoch; `last_success_s` is None before the first one.

    Of platforms that were `removed` it has what they cost, and no more: a sum that fell would be no sum.
    """
    job = {"batch": summary["job"]}  # Prometheus calls what it collects from a "job"
    once: dict[str, tuple[str, float | None]] = {
        "updated_timestamp_seconds": ("When this file was written.", at_s),
        "last_success_timestamp_seconds": ("When a run last ended with 0.", last_success_s),
        "running": ("1 while a run goes on.", summary["exit_code"] is None),
        "exit_code": ("How the last run ended.", summary["exit_code"]),
        "runs_total": ("Runs that the job has seen.", summary["serial"]),
        "max_cost_usd": ("What may be charged.", summary["max_cost"]),
    }
    lines = [
        line
        for name, (text, value) in once.items()
        if value is not None
        for line in _metric(name, text, [(job, float(value))])
    ]
    each: dict[str, tuple[str, list[Sample]]] = {
        "cost_usd": ("What the vendor may have charged.", []),
        "submits_total": ("Tasks that were sent.", []),
        "status_calls_total": ("Calls that asked how a task is.", []),
        "tasks": ("Tasks by state.", []),
        "numbers": ("Numbers by the state of their task.", []),
        "verdicts": ("Numbers by verdict.", []),
        "unknown_ratio": ("Share of the verdicts that say unknown or nothing.", []),
    }
    for standing in standings:
        platform = job | {"platform": standing.platform}
        each["cost_usd"][1].append((platform, standing.cost_nano / 1e9))
        each["submits_total"][1].append((platform, standing.submits))
        each["status_calls_total"][1].append((platform, standing.status_calls))
        for name, by_state in (("tasks", standing.tasks_by_state), ("numbers", standing.rows_by_state)):
            seen = Counter({_SEEN_AS.get(state, state.value): 0 for state in State})
            for state, number in by_state.items():  # what users see as one counts as one
                seen[_SEEN_AS.get(state, state.value)] += number
            each[name][1].extend((platform | {"state": state}, number) for state, number in seen.items())
        each["verdicts"][1].extend((platform | {"verdict": word}, n) for word, n in standing.verdicts.items())
        if verdicts := sum(standing.verdicts.values()):
            unknown = sum(standing.verdicts.get(word, 0) for word in NO_VERDICT)
            each["unknown_ratio"][1].append((platform, unknown / verdicts))
    each["cost_usd"][1].extend((job | {"platform": its.platform}, its.cost_nano / 1e9) for its in removed)
    lines += [line for name, (text, samples) in each.items() for line in _metric(name, text, samples)]
    return "".join(f"{line}\n" for line in lines).encode()


def _metric(name: str, text: str, samples: Iterable[Sample]) -> list[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = []
    for labels, value in samples:
        named = ",".join(f'{label}="{told.translate(_ESCAPES)}"' for label, told in labels.items())
        lines.append(f"orchestrator_{name}{{{named}}} {value!r}")
    return [f"# HELP orchestrator_{name} {text}", f"# TYPE orchestrator_{name} {kind}", *lines] if lines else []
