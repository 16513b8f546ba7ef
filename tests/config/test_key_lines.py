"""The line of each key, whatever shape the file has."""

from __future__ import annotations

import pytest

from orchestrator.config.key_lines import key_lines

TEXT = """\
# [job] in a comment

title.part.one = 1
title.part.two = 2
list = [
  1,
  2, # name = 3
]
[job]  # the job
name = \"\"\"
inputs = 1
\"\"\"

inputs = ["a"]
[platforms.instagram]
min_rows=1
[vendors.main]
base_url='a'
inline = {a = 1, b = {c = 2, d = [
3]}}
[platforms.amazon]

  deep.er = 1
  deep.est = 2

[[array]]
q = 1

[[array]]
r = 1
[platforms]
v = 1
"""

LINES = {
    ("title",): 3,
    ("title", "part"): 3,
    ("title", "part", "one"): 3,
    ("title", "part", "two"): 4,
    ("list",): 5,
    ("job",): 9,
    ("job", "name"): 10,
    ("job", "inputs"): 14,
    ("platforms",): 15,
    ("platforms", "instagram"): 15,
    ("platforms", "instagram", "min_rows"): 16,
    ("vendors",): 17,
    ("vendors", "main"): 17,
    ("vendors", "main", "base_url"): 18,
    ("vendors", "main", "inline"): 19,
    ("vendors", "main", "inline", "a"): 19,
    ("vendors", "main", "inline", "b"): 19,
    ("vendors", "main", "inline", "b", "c"): 19,
    ("vendors", "main", "inline", "b", "d"): 19,
    ("platforms", "amazon"): 21,
    ("platforms", "amazon", "deep"): 23,
    ("platforms", "amazon", "deep", "er"): 23,
    ("platforms", "amazon", "deep", "est"): 24,
    ("array",): 26,
    ("array", 0): 26,
    ("array", 0, "q"): 27,
    ("array", 1): 29,
    ("array", 1, "r"): 30,
    ("platforms", "v"): 32,
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_key_has_its_line(line_end: str) -> None:
    """Comments, long values, dotted keys, inline tables and tables out of order do not mislead the count."""
    assert key_lines(TEXT.replace("\n", line_end)) == LINES


def test_without_a_parse_there_are_no_lines() -> None:
    """What tomlkit can't read leaves messages without a line, and raises nothing."""
    assert key_lines("a = = 1") == {}
