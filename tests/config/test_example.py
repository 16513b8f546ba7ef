"""`config.example.toml` is the reference of all keys: it runs as it is, and it tells the truth about the defaults."""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from orchestrator.config import load
from orchestrator.config.fields import FAULTS
from orchestrator.config.unknown import NAMED, TABLES
from orchestrator.errors import UsageError
from orchestrator.vendor_api.platforms import DOCUMENTED, KNOWN, SEEN_ELSEWHERE

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"
SAMPLE = ROOT / "orchestrator" / "config" / "sample" / "numbers.txt"

COMMENTED = re.compile(r"^# ([a-z_0-9]+) = (.+)$", re.MULTILINE)

NO_DEFAULT = {
    "column",
    "header_row",
    "sheet",
    "default_region",
    "api_key_file",
    "max_cost",
    "secret_file",
    "password_file",
    "scratch",
}
"""Keys that are off by default; the example shows a value that could stand there."""

DYNAMIC = {"name", "directory", "count", "vendor", "trial_rows"}
"""Keys whose default depends on the file, the machine, the list or the other tables."""


@pytest.fixture
def example() -> str:
    return EXAMPLE.read_text()


def shown_values(text: str) -> dict[str, dict[str, Any]]:
    """Return all keys of each table of the example, those in comments included; a platform's are its own."""
    parts = re.split(r"^\[([a-z_.]+)\]$", text, flags=re.MULTILINE)[1:]
    return {
        table: tomllib.loads(COMMENTED.sub(r"\1 = \2", body)) for table, body in zip(*[iter(parts)] * 2, strict=True)
    }


def field_cases() -> list[tuple[str, Field[Any]]]:
    titles = {name: NAMED.get(name, f"[{name}]").strip("[]") for name in TABLES}
    return [(titles[name], field) for name, cls in TABLES.items() for field in fields(cls)]


@pytest.mark.parametrize(("table", "field"), field_cases(), ids=lambda value: getattr(value, "name", value))
def test_every_key_stands_in_the_example_with_its_default(example: str, table: str, field: Field[Any]) -> None:
    """No key is left out of the reference, and what it shows as the default is the default."""
    values = shown_values(example)[table]
    assert field.name in values
    is_commented = re.search(rf"(?m)^# {field.name} = ", example)
    if not is_commented or field.name in NO_DEFAULT | DYNAMIC:
        return
    default = KNOWN["instagram"].get(field.name, field.default) if table == "platforms.instagram" else field.default
    assert default is not MISSING
    assert values[field.name] == (list(default) if isinstance(default, tuple) else default)


def test_keys_without_a_default_are_really_off(example: str) -> None:
    """What the example shows for a key that is off by default is no default of the settings."""
    defaults = {field.name: field.default for _, field in field_cases()}
    assert {defaults[name] for name in NO_DEFAULT} == {None}
    assert {name for name, default in defaults.items() if default is None} - {"price_per_10000", *DYNAMIC} == NO_DEFAULT
    assert all(name in example for name in NO_DEFAULT)


@pytest.mark.parametrize("name", list(DOCUMENTED))
def test_the_example_shows_what_is_known_of_a_platform(example: str, name: str) -> None:
    """The documented platforms stand in the example with every value that is known of them."""
    values = shown_values(example)[f"platforms.{name}"]
    assert {key: values[key] for key in KNOWN[name]} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in KNOWN[name].items()
    }


def test_the_example_names_every_known_platform(example: str) -> None:
    """Who reads the example sees which further tables may be empty."""
    comments = " ".join(re.findall(r"(?m)^# (.*)$", example))
    assert all(name in re.findall(r"\w+", comments) for name in SEEN_ELSEWHERE)


def test_active_keys_with_another_value_name_their_default(example: str) -> None:
    """Where the example departs from a default, its comment says which."""
    assert "Default: 5.0 and 300.0" in example
    assert {field.name: field.default for table, field in field_cases() if table == "polling"} == {
        "min_interval_s": 5.0,
        "max_interval_s": 300.0,
        "give_up_after_h": 48.0,
    }


def test_every_key_is_explained(example: str) -> None:
    """Above each key, or above the one before it, stands a sentence."""
    lines = example.splitlines()
    is_key = re.compile(r"^(# )?[a-z_0-9]+ = ")
    for number, line in enumerate(lines):
        if is_key.match(line) and "platforms.amazon" not in example[: example.index(line)]:
            above = next(before for before in reversed(lines[:number]) if not is_key.match(before))
            assert above.startswith("# "), f"line {number + 1}: {line}"


def test_the_example_names_every_fault(example: str) -> None:
    """Faults are part of the reference."""
    assert all(fault in example for fault in FAULTS)


def test_the_example_loads_as_it_is() -> None:
    """The example is a job for the embedded vendor, over the sample list, that needs no key and no change."""
    settings = load(EXAMPLE)
    assert settings.is_sandbox
    assert list(settings.platforms) == ["instagram", "amazon"]
    assert [Path(path) for path in settings.job.inputs] == [SAMPLE]


def test_the_example_with_every_line_active_loads(example: str, folder: Path) -> None:
    """Each commented line is right as it stands, save that two places for a key or a secret exclude each other."""
    (folder / "config.example.toml").write_text(COMMENTED.sub(r"\1 = \2", example))
    with pytest.raises(UsageError, match=r"expected either api_key_env or api_key_file, found both\n"):
        load(folder / "config.example.toml")
    text = COMMENTED.sub(r"\1 = \2", re.sub("# (?:api_key|secret)_file =", "#", example))
    (folder / "config.example.toml").write_text(text)
    active = load(folder / "config.example.toml")
    assert active.platforms == load(EXAMPLE).platforms
    assert active.polling == load(EXAMPLE).polling


def test_the_sample_list_is_of_nobody() -> None:
    """All valid numbers of the sample lie in ranges kept for fiction, so that no try reaches a person.

    North America 555-0100 to 0199; Germany 0171 39200xx and 0176 040690xx; Sweden's PTS list; Australia's ACMA list.
    """
    fiction = re.compile(
        r"\+1\d{3}55501\d\d|\+4917139200\d\d|\+49176040690\d\d"
        r"|\+467017406\d\d|\+46313900[67]\d\d|\+46406280[4]\d\d|\+468465004\d\d|\+61491570\d{3}"
    )
    numbers = _numbers()
    assert all(fiction.fullmatch(number) for number in numbers if number)


def test_the_sample_list_shows_what_happens() -> None:
    """The sample is some 2,000 lines with duplicates, other spellings, junk, blank lines and both line ends."""
    lines = SAMPLE.read_bytes().split(b"\n")
    numbers = _numbers()
    accepted = [number for number in numbers if number]
    assert (len(numbers), len(accepted), len(set(accepted))) == (2000, 1980, 1880)
    assert 200 < sum(line.endswith(b"\r") for line in lines) < 400
    assert sum(not line.strip() for line in lines) > 1
    assert len(set(accepted)) >= max(platform.get("min_rows", 1) for platform in KNOWN.values())


def _numbers() -> list[str]:
    """Return the sample's lines as E.164, empty where a line is no number; blank lines are left out."""
    return [_e164(line) for line in SAMPLE.read_text().splitlines() if line.strip()]


def _e164(text: str) -> str:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return ""
    e164: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return e164 if phonenumbers.is_valid_number(number) else ""
