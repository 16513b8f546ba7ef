"""Rejects that teach: which setting, or which change to the list, would help with what was rejected.

`observe` tries other readings on a sample of the rejected texts; `advice` makes sentences of what came out. No sentence
repeats a number.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import phonenumbers

from orchestrator.files import disk_errors
from orchestrator.intake.duplicates.in_memory import NUMBER_TYPE
from orchestrator.intake.numbers.decide import NumberRules, normalise
from orchestrator.intake.numbers.reasons import LINE_TYPE, NUMBERLIKE, Reason
from orchestrator.intake.plan import Observed, ReadList

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orchestrator.intake.blocks import Look
    from orchestrator.settings import JobSettings

CANDIDATES = (
    "US", "GB", "DE", "FR", "IT", "ES", "TR", "BR", "MX", "IN", "CN", "JP", "ID", "RU", "PL", "NL", "BE", "CH", "AT",
    "SE", "NO", "DK", "FI", "PT", "GR", "RO", "CZ", "HU", "UA", "IL", "AE", "SA", "EG", "ZA", "NG", "KE", "PK", "BD",
    "PH", "VN", "TH", "MY", "SG", "KR", "HK", "TW", "AU", "NZ", "AR", "CO", "CL", "PE",
)  # fmt: skip
"""Default regions that are tried."""

SHOWN_REGIONS = 5
PRIOR_NUMBERS = 1000
"""Accepted numbers whose regions are looked at."""
WORTH_A_SENTENCE = 0.02
"""The share of all lines that must be concerned."""

WORTH_A_SETTING = 0.5
"""The share of the sample that a setting must make valid, or of a column's cells that must look like numbers."""

_ANYWHERE = NumberRules(None, frozenset())


def observe(sample: Sequence[str], looks: Sequence[Look], accepted_file: Path) -> Observed:
    """Try other readings on a sample of rejected texts: a piece; raises `StorageError`.

    Of regions that do equally well, those come first from which numbers were accepted.
    """
    bare = [text for text in sample if not text.lstrip().startswith(("+", "\uff0b"))]
    zeros = [text for text in bare if text.startswith("00")]
    regions = Counter[str]()
    if bare:
        with disk_errors(accepted_file):
            numbers = np.fromfile(accepted_file, NUMBER_TYPE, PRIOR_NUMBERS)
        codes = Counter(phonenumbers.parse(f"+{number}").country_code or 0 for number in numbers.tolist())
        prior = (phonenumbers.region_code_for_country_code(code) for code, _ in codes.most_common(SHOWN_REGIONS))
        for region in dict.fromkeys([*filter(str.isalpha, prior), *CANDIDATES]):
            regions[region] = _valid(bare, NumberRules(region, frozenset()))
    columns = []
    for look in looks:
        chosen = look.indexes[0]
        best = max(range(len(look.likely)), key=look.likely.__getitem__, default=chosen)
        if best not in look.indexes and look.likely[best] > 2 * look.likely[chosen]:
            columns.append((look.source, look.headers[chosen], look.headers[best]))
    return Observed(
        sampled=len(sample),
        with_plus=_valid([f"+{text}" for text in bare if not text.startswith("00")], _ANYWHERE),
        with_zeros=_valid([f"+{text[2:]}" for text in zeros], _ANYWHERE),
        by_region=tuple((region, count) for region, count in regions.most_common(SHOWN_REGIONS) if count),
        columns=tuple(columns),
    )


def advice(plan: ReadList, job: JobSettings) -> tuple[str, ...]:
    """Return sentences that say what would help with the rejected lines of a list, the most helpful first."""
    if plan.counts.rejected <= plan.counts.read * WORTH_A_SENTENCE:
        return ()
    columns = []
    for source, *names in plan.observed.columns:
        chosen, other = (json.dumps(name, ensure_ascii=not name.isprintable()) for name in names)
        columns.append(f"{source}: the column {other} looks more like numbers than {chosen}; set column = {other}")
    return (*columns, *_other_readings(plan, job), *_by_reason(plan))


def _valid(texts: Iterable[str], rules: NumberRules) -> int:
    return sum(isinstance(normalise(text, rules), int) for text in texts)


def _other_readings(plan: ReadList, job: JobSettings) -> Iterable[str]:
    seen = plan.observed
    concerned = sum(count for reason, count in plan.counts.rejected_by_reason.items() if reason in NUMBERLIKE)
    if not seen.sampled or concerned <= plan.counts.read * WORTH_A_SENTENCE:
        return
    regions = [(region, count) for region, count in seen.by_region if count >= seen.sampled * WORTH_A_SETTING]
    most = regions[0][1] if regions else 0
    lines = f"{concerned:,} rejected lines that look like numbers"
    what = f"the {lines if concerned > 1 else 'rejected line that looks like a number'}"
    plus = _share(seen.with_plus, seen) if seen.with_plus >= seen.sampled * WORTH_A_SETTING else ""
    if plus and seen.with_plus > most:
        yield f'{plus} of {what} are valid with a "+" in front: write it there'
    elif regions:
        now = f' in place of "{job.default_region}"' if job.default_region else ""
        would = f" would make {_share(most, seen)} valid"
        if len(regions) > 1:
            shares = ", ".join(f'"{region}" {_share(count, seen)}' for region, count in regions)
            would = f", or the country that they are from, would make them valid ({shares})"
        or_plus = f'; with a "+" in front {plus} are valid' if plus else ""
        yield f'{what}: default_region = "{regions[0][0]}"{now}{would}{or_plus}'
    if seen.with_zeros >= seen.sampled * WORTH_A_SETTING:
        yield (
            f'{_share(seen.with_zeros, seen)} of {what} begin with 00 and are valid with a "+" in its place: write it '
            "there, or set default_region to a country where 00 begins a call abroad"
        )


def _share(count: int, seen: Observed) -> str:
    """Return a share of the sample, rounded down, so that 100 % means all."""
    return f"{100 * count // seen.sampled} %"


_HELP = {
    Reason.EXCLUDED: "exclude_calling_codes turns them away",
    Reason.ROUNDED: (
        "their last digits are lost (such as 1.23E+10): export the list anew, with the column formatted as text"
    ),
    Reason.DATE: "is it the right column? Where they are numbers, put the calling code in front",
    Reason.FORMULA: "open the workbook in a spreadsheet program and save it",
    Reason.LINE_TOO_LONG: "far too long for a number: the list needs one number a line, or a table",
    Reason.EMPTY: "is it the right column?",
}


def _by_reason(plan: ReadList) -> Iterable[str]:
    rejected, least = plan.counts.rejected_by_reason, plan.counts.read * WORTH_A_SENTENCE
    of_types = {reason: count for reason, count in rejected.items() if reason.startswith(LINE_TYPE)}
    if sum(of_types.values()) > least:
        most = max(of_types, key=of_types.__getitem__)
        yield (
            f"line_types turns numbers away ({sum(of_types.values()):,}), most of them ({of_types[most]:,}) of the "
            f'type "{most.removeprefix(LINE_TYPE)}": add it where those are wanted'
        )
    if rejected.get(Reason.NOT_A_NUMBER, 0) > least and plan.observed.fields >= WORTH_A_SETTING:
        yield (
            f"{Reason.NOT_A_NUMBER}: they look like the rows of a table: give the file a name that ends with .csv, and "
            "name the column of numbers with [job] column"
        )
    for reason, sentence in _HELP.items():
        if rejected.get(reason, 0) > least:
            yield f"{reason}: {sentence}"
