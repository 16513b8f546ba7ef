"""A folder of configurations as people write them, each with what `plan` makes of it.

The good ones name how many numbers are accepted and how many tasks each platform gets; the bad ones name the words that
the message has to have.
"""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.vendor_api.platforms import KNOWN

SHOP = '[vendors.main]\nbase_url = "sandbox"\n'
LIST = '[job]\ninputs = ["numbers.txt"]\n'
JOB = LIST + SHOP
INSTAGRAM = "[platforms.instagram]\n"
NUMBERS = [f"+4179{number:07}" for number in range(8_284_651, 8_284_651 + 1_200)]
SWISS = ["079 828 46 51", "0041 79 828 46 52", "+41798284653", "n/a"]


@dataclass(frozen=True)
class Case:
    """One file: `tasks` by platform when it is good, `says` when it is not."""

    name: str
    text: str | bytes
    code: int = 0
    accepted: int = 1_200
    tasks: dict[str, int] = field(default_factory=lambda: {"instagram": 1})
    says: str = ""

    def __str__(self) -> str:
        return self.name


GOOD = [
    Case("the least", JOB + INSTAGRAM),
    Case("a job's name", JOB.replace("[job]", '[job]\nname = "spring-2"') + INSTAGRAM),
    Case("chunks of 500", JOB.replace("[job]", "[job]\nchunk_size = 500") + INSTAGRAM, tasks={"instagram": 3}),
    Case("two documented platforms", JOB + INSTAGRAM + "[platforms.amazon]\n", tasks={"instagram": 1, "amazon": 1}),
    Case(
        "every known platform", JOB + "".join(f"[platforms.{name}]\n" for name in KNOWN), tasks=dict.fromkeys(KNOWN, 1)
    ),
    Case(
        "a platform of the user's own",
        JOB + '[platforms.mine]\nstyle = "v1"\npath = "/v1/tasks"\ntask_type = "signal"\n',
        tasks={"mine": 1},
    ),
    Case(
        "a known platform in the other style",
        JOB + '[platforms.amazon]\nstyle = "simple"\npath = "/amazon/api/simple/tasks"\n',
        tasks={"amazon": 1},
    ),
    Case("a pattern", JOB.replace("numbers.txt", "numb*.txt") + INSTAGRAM),
    Case("a file that two patterns match", JOB.replace('"numbers.txt"', '"numbers.txt", "n*.txt"') + INSTAGRAM),
    Case(
        "a country for local numbers",
        JOB.replace("numbers.txt", "swiss.txt").replace("[job]", '[job]\ndefault_region = "CH"') + INSTAGRAM,
        accepted=3,
    ),
    Case(
        "without a country",
        JOB.replace("numbers.txt", "swiss.txt").replace("[job]", "[job]\nmax_rejected = 1") + INSTAGRAM,
        accepted=1,
    ),
    Case(
        "a column by its name",
        JOB.replace("numbers.txt", "crm.csv").replace("[job]", '[job]\ncolumn = "Mobile"') + INSTAGRAM,
        accepted=2,
    ),
    Case("a column that is guessed", JOB.replace("numbers.txt", "crm.csv") + INSTAGRAM, accepted=2),
    Case(
        "kept columns",
        JOB.replace("numbers.txt", "crm.csv") + INSTAGRAM + "[output]\nkeep_columns = true\n",
        accepted=2,
    ),
    Case(
        "kept columns by name",
        JOB.replace("numbers.txt", "crm.csv") + INSTAGRAM + '[output]\nkeep_columns = ["City"]\n',
        accepted=2,
    ),
    Case("every format", JOB + INSTAGRAM + '[output]\nformats = ["xlsx", "csv", "parquet"]\n'),
    Case(
        "a platform that is skipped",
        JOB.replace("numbers.txt", "crm.csv") + INSTAGRAM + '[platforms.vk]\nwhen_too_small = "skip"\n',
        accepted=2,
        tasks={"instagram": 1, "vk": 0},
    ),
    Case("no limits", JOB + INSTAGRAM + "requests_per_second = inf\n[polling]\ngive_up_after_h = inf\n"),
    Case("faults", JOB + INSTAGRAM + '[sandbox]\nfaults = "all"\nseed = 7\n'),
    Case("tables in one line", "platforms = {instagram = {max_in_flight = 3}}\n" + JOB),
    Case(
        "dotted keys",
        'job.inputs = ["numbers.txt"]\nvendors.main.base_url = "sandbox"\nplatforms.instagram.canary = false\n',
    ),
    Case("a byte order mark and Windows line ends", b"\xef\xbb\xbf" + (JOB + INSTAGRAM).replace("\n", "\r\n").encode()),
    Case("comments in another script", "# \u043f\u0440\u0438\u043c\u0435\u0440\n" + JOB + INSTAGRAM),
]

BAD = [
    Case("nothing", "", 2, says="missing; expected a platform, such as [platforms.instagram]"),
    Case("a key outside its table", "chunk_size = 5\n" + JOB + INSTAGRAM, 2, says="it belongs under [job]"),
    Case("a platform that is a value", JOB + "[platforms]\ninstagram = true\n", 2, says="found a value"),
    Case("an unknown region", JOB.replace("[job]", '[job]\ndefault_region = "UK"') + INSTAGRAM, 2, says='found "UK"'),
    Case(
        "a calling code with its plus",
        JOB.replace("[job]", '[job]\nexclude_calling_codes = ["+86"]') + INSTAGRAM,
        2,
        says="item 1: expected a whole number from 1 to 999",
    ),
    Case(
        "a format that does not exist", JOB + INSTAGRAM + '[output]\nformats = ["xls"]\n', 2, says="did you mean xlsx?"
    ),
    Case(
        "a column that is not there to keep",
        JOB.replace("numbers.txt", "crm.csv") + INSTAGRAM + '[output]\nkeep_columns = ["Town"]\n',
        2,
        says="keep_columns names 'Town'",
    ),
    Case(
        "a fault that does not exist", JOB + INSTAGRAM + '[sandbox]\nfaults = ["slwo"]\n', 2, says="did you mean slow?"
    ),
    Case(
        "intervals the wrong way round",
        JOB + INSTAGRAM + "[polling]\nmin_interval_s = 400\n",
        2,
        says="expected at most max_interval_s (300.0), found 400",
    ),
    Case(
        "a list below the minimum",
        JOB.replace("numbers.txt", "crm.csv") + "[platforms.vk]\n",
        2,
        says="vk takes 1,000 at least",
    ),
    Case(
        "more rejects than it bears",
        JOB.replace("numbers.txt", "swiss.txt") + INSTAGRAM,
        2,
        says="more than max_rejected = 0.5",
    ),
    Case(
        "a path for Windows",
        JOB.replace("[job]", '[job]\ndirectory = "C:\\data"') + INSTAGRAM,
        2,
        says="a backslash in double quotes",
    ),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder with the lists and every configuration, and stand in it."""
    (tmp_path / "numbers.txt").write_text("\n".join(NUMBERS))
    (tmp_path / "swiss.txt").write_text("\n".join(SWISS))
    (tmp_path / "crm.csv").write_text("Name,Mobile,City\nAnna,+41798284651,Bern\nBen,+41798284652,Basel\n")
    for number, case in enumerate([*GOOD, *BAD]):
        content = case.text.encode() if isinstance(case.text, str) else case.text
        (tmp_path / f"{number:02}.toml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len([*GOOD, *BAD])), ids=[str(case) for case in [*GOOD, *BAD]])
def test_a_configuration(number: int, folder: Path) -> None:
    """What `plan` makes of it, or what it says about it; a bad one leaves nothing behind but its own directory."""
    case = [*GOOD, *BAD][number]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["plan", "-c", f"{number:02}.toml", "--json"])
    content = json.loads(out.getvalue().splitlines()[-1])
    assert (code, content["exit_code"]) == (case.code, case.code), err.getvalue()
    assert "Traceback" not in err.getvalue()
    if case.code:
        assert case.says in content["reason"]
    else:
        assert content["numbers"]["accepted"] == case.accepted
        assert {name: plan["tasks"] for name, plan in content["platforms"].items()} == case.tasks
        assert (folder / "runs").exists()


def test_there_are_enough() -> None:
    """Good and bad ones together are what people write, not a sample of it."""
    assert len(GOOD) >= 20
    assert len(GOOD) + len(BAD) >= 30
    assert len({case.name for case in [*GOOD, *BAD]}) == len(GOOD) + len(BAD)
