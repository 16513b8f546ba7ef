"""The schema that editors are given says of each key what the program says of it."""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from jsonschema import Draft7Validator, validators

from orchestrator.cli import main
from orchestrator.config import load
from orchestrator.config.schema import text
from orchestrator.config.starter import NEXT_TO_CONFIG, SCHEMA_FILE
from orchestrator.config.unknown import NAMED, TABLES
from orchestrator.errors import UsageError
from tests.mistakes.test_configurations import BAD, GOOD, Case

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(text())
WHOLE = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, it: isinstance(it, int) and not isinstance(it, bool))
VALIDATOR = validators.extend(Draft7Validator, type_checker=WHOLE)(SCHEMA)  # 1.0 is no whole number in TOML

BASE: dict[str, Any] = {
    "job": {"inputs": ["numbers.txt"]},
    "vendors": {"main": {"base_url": "https://api.example.com"}},
    "platforms": {"instagram": {}},
}
ODD: list[Any] = [
    -1, 0, 1, 99, 10**9 + 1, 0.0001, 0.5, 1.5, 86_401.0, float("inf"), True, "", " ", "-", "x", "CH", "all",
    "slow", "csv", "simple", "v1", "plain", "slack", "/v1/tasks", "/v1/tasks/", "a b",
    "a\tb", "ABC_1", "A" * 25, "https://a.example", "http://a.example", "http://localhost:80", "https://u@a.example/",
    "sandbox", "a.example", "https://a.example?q=1", "skip", "a/b", "a" * 70, [], [""], ["X y"], ["slow"],
    ["csv", "xlsx"], ["mobile"], ["-"], [999], [1000], [True], ["a.example"], ["yes", "no/ban"], [" "], [["x"]], {},
]  # fmt: skip
"""Values that some key takes, and most do not."""

THE_PROGRAM_ALONE = {
    "an unknown region",  # of as many letters as a region has
    "a column that is not there to keep",
    "intervals the wrong way round",
    "a list below the minimum",
    "more rejects than it bears",
}
"""Wrong configurations of which a key by itself is right: the program says what is wrong between keys and files."""


def table_of(name: str) -> dict[str, Any]:
    """Return the schema of a table."""
    part = {"vendors": "vendor", "platforms": "platform"}.get(name)
    table: dict[str, Any] = SCHEMA["definitions"][part] if part else SCHEMA["properties"][name]
    return table


def refuses(document: dict[str, Any]) -> bool:
    return not VALIDATOR.is_valid(document)


def program_refuses(document: dict[str, Any], folder: Path, place: str) -> bool:
    """Whether the program has something against the key at `place`."""
    file = folder / "config.toml"
    file.write_text(tomlkit.dumps(document))
    try:
        load(file)
    except UsageError as refusal:
        lines = [line for line in str(refusal).splitlines() if not any(word in line for word in BETWEEN_KEYS)]
        return any(
            f"{place}:" in line or f"{place}," in line or f"{place.replace('] ', '.')}]:" in line for line in lines
        )
    return False


BETWEEN_KEYS = (
    "the min_rows of", "the max_rows of", "found both", "because base_url is", "expected at most m",
    "expected at least m", "expected at least base_delay_s", "can't serve one job", " once, found ", "gives no verdict",
    "expected main, found",
)  # fmt: skip
"""What the program says of two keys that do not go together, each right by itself."""

NOT_IN_JSON = {("max_cost", "1000000001")}
"""A bound above which only inf is right, for which JSON has no word."""


def test_it_is_the_one_that_is_kept() -> None:
    """The file in the package is made from the settings; `python -m orchestrator.config.schema` prints it anew."""
    assert (ROOT / "orchestrator" / "config" / SCHEMA_FILE).read_text() == text()
    Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", TABLES)
def test_every_key_with_its_default(name: str) -> None:
    """Each key of the settings is there, described, with the default that it has; no other key is."""
    properties, known = table_of(name)["properties"], {field.name: field for field in fields(TABLES[name])}
    assert list(properties) == list(known)
    for key, field in known.items():
        inside = properties[key]
        if field.default in (MISSING, None):
            assert "default" not in inside
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            assert inside["default"] == default
        assert inside.get("description"), key


@pytest.mark.parametrize("name", TABLES)
def test_it_takes_what_the_program_takes(name: str, tmp_path: Path) -> None:
    """Of each key, and of values of every kind, schema and program say the same."""
    wrong = []
    for key in (field.name for field in fields(TABLES[name])):
        for value in ODD:
            document = deepcopy(BASE)
            table = document.setdefault(name, {})
            if name in NAMED:
                table = table["main" if name == "vendors" else "instagram"]
            table[key] = value
            if name == "platforms" and key == "style":
                table["path"] = "/v1/tasks"
                table["task_type"] = "x"
            title = NAMED.get(name, f"[{name}]")
            if (key, str(value)) in NOT_IN_JSON:
                continue
            if refuses(document) != program_refuses(document, tmp_path, f"{title} {key}"):
                wrong.append((key, value, "schema refuses" if refuses(document) else "program refuses"))
    assert not wrong


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_a_right_configuration(case: Case) -> None:
    """What runs is valid."""
    content = case.text if isinstance(case.text, str) else case.text.decode("utf-8-sig")
    assert not [error.message for error in VALIDATOR.iter_errors(tomllib.loads(content))]


@pytest.mark.parametrize("case", [case for case in BAD if isinstance(case.text, str)], ids=str)
def test_a_wrong_configuration(case: Case) -> None:
    """What the program refuses is invalid, unless it is only wrong between keys."""
    try:
        document = tomllib.loads(str(case.text))
    except ValueError:
        return  # an editor says so without a schema
    assert refuses(document) is (case.name not in THE_PROGRAM_ALONE)


def test_what_is_in_the_repository_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example and what `init` writes are valid, and name the schema in a form that editors follow."""
    example = (ROOT / "config.example.toml").read_text()
    assert VALIDATOR.is_valid(tomllib.loads(example))
    assert example.startswith(f"#:schema ./orchestrator/config/{SCHEMA_FILE}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "spring"]) == 0
    written = (tmp_path / "spring" / "config.toml").read_text()
    assert written.startswith(f"#:schema ./{NEXT_TO_CONFIG}\n")
    assert (tmp_path / "spring" / NEXT_TO_CONFIG).read_text() == text()
    assert VALIDATOR.is_valid(tomllib.loads(written))


def test_platforms_that_are_not_known_say_how_they_are_asked() -> None:
    """A known platform's table may be empty, another needs style and path, and in style v1 the vendor's word."""
    assert not refuses(BASE)
    for table, wrong in (
        ({}, True),
        ({"style": "simple"}, True),
        ({"style": "simple", "path": "/x"}, False),
        ({"style": "v1", "path": "/x"}, True),
        ({"style": "v1", "path": "/x", "task_type": "x"}, False),
    ):
        assert refuses(BASE | {"platforms": {"mine": table}}) is wrong
    for name in ("number", "Instagram", "a b", "quarantine"):
        assert refuses(BASE | {"platforms": {name: {"style": "simple", "path": "/x"}}})
