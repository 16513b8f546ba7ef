from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.redact import HIDDEN, Redactor, is_secret_name, mask_numbers, printable

KEY = "k-0123456789abcdef"
SIGNATURE = "9f86d081884c7d659a2feaa0c55ad015"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sent +41798284651 away", "sent +41…51 away"),
        ("+41798284651,+393331234567", "+41…51,+39…67"),
        ("from=%2B41798284651&x", "from=+41…51&x"),
        ("+41 (0)79 828-46-51 is bad", "+41…51 is bad"),
        ("at 2026-11-21T20:15:02+00:00", "at 2026-11-21T20:15:02+00:00"),
        ("1+123456", "1+123456"),
    ],
)
def test_numbers_keep_two_digits_at_either_end(line: str, expected: str) -> None:
    """A number of seven digits or more behind a plus sign is masked; shorter things and times are left alone."""
    assert Redactor()(line) == expected


GAPS = [
    *[" ", "-", ".", "/", "_", ",", ":", ";", "*", "|", "~", "'", "=", "\\", ") ", " (", " - ", ".-.", "\\u202f"],
    *["\u00a0", "\u202f", "\u2009", "\u200b", "\u200e", "\u2013", "\u00b7", "\u2022", "\uff0d", "\ufe0f\u20e3"],
]  # fmt: skip
"""What may stand between the digits of a number: no list of all of it, but one of every kind."""


@st.composite
def spelt(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a number in groups, with the same sign or another between them, in ASCII or full-width digits."""
    digits = draw(st.text("0123456789", min_size=8, max_size=15).filter(lambda text: text[0] != "0"))
    cuts = sorted(draw(st.sets(st.integers(1, len(digits) - 1), min_size=1, max_size=6)))
    one = st.sampled_from(GAPS)
    gaps = draw(st.one_of(one.map(lambda gap: [gap] * 6), st.lists(one, min_size=6, max_size=6)))
    wide = draw(st.sampled_from([0, 0xFF10 - ord("0")]))
    groups = [digits[a:b].translate({ord(d): ord(d) + wide for d in "0123456789"}) for a, b in pairwise([0, *cuts, 99])]
    return digits, "".join(group + gap for group, gap in zip(groups, [*gaps[: len(cuts)], ""], strict=True))


@given(spelt(), st.sampled_from(["{0}", "number {0} is bad", "'{0}'", '["{0}"]', "number={0}", "bad: {0}, 3 times"]))
def test_no_spelling_of_a_number_survives(number: tuple[str, str], frame: str) -> None:
    """Whatever stands between its digits: behind a plus sign in every line, and without one in free text.

    Save for what is read as something else: a moment, an address, a fraction, a count of up to eight digits.
    """
    digits, text = number
    for line in (Redactor()(frame.format(f"+{text}")), mask_numbers(frame.format(f"+{text}"))):
        assert "\u2026" in line
        assert text[-6:] not in line
    masked = mask_numbers(frame.format(text))
    is_other = re.search(r"[0-2]?\d:[0-5]\d|(?:19|20)\d\d|\d\.\d|\d{1,2},\d{3}|,000", text)
    assert "\u2026" in masked or is_other or len(digits) < 9


@given(st.integers(10**6, 10**15 - 1))
def test_no_e164_number_survives(number: int) -> None:
    """Whatever its length, at most four digits of a number are written."""
    line = Redactor()(f'{{"raw": "+{number}"}}')
    assert str(number) not in line
    assert sum(map(str.isdigit, line)) == 4


@pytest.mark.parametrize("name", ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "x-amz-signature"])
@pytest.mark.parametrize("form", ["{0}={1}&X-Amz-Date=1", "'{0}': '{1}'", '"{0}": "{1}"', "{0}: {1}", "{0}%3D{1}"])
def test_signed_links_lose_what_opens_them(name: str, form: str) -> None:
    """The secret parts of a signed link are hidden in URLs, headers, dictionaries and JSON inside JSON."""
    line = form.format(name, SIGNATURE)
    for rendered in (line, json.dumps({"reason": line})):
        written = Redactor()(rendered)
        assert SIGNATURE not in written
        assert HIDDEN in written
        assert name in written


def test_the_rest_of_a_link_stays() -> None:
    """Only the value goes: the host and the date of a signed link help to find a fault."""
    link = f"https://s3.example/t/1.zip?X-Amz-Date=20261121T201502Z&X-Amz-Signature={SIGNATURE}&x=1"
    assert Redactor()(link) == f"https://s3.example/t/1.zip?X-Amz-Date=20261121T201502Z&X-Amz-Signature={HIDDEN}&x=1"


@pytest.mark.parametrize("key", [KEY, 'quo"te\\slash', "per%cent+and/slash="])
def test_the_key_is_hidden_in_every_spelling(key: str) -> None:
    """Plain, JSON-escaped, `repr` and percent-encoded: the key itself never stands in a line."""
    redactor = Redactor((key,))
    for spelling in (key, json.dumps(key)[1:-1], repr(key)[1:-1], quote(key, safe="")):
        assert redactor(f"<{spelling}>") == f"<{HIDDEN}>"


@pytest.mark.parametrize("before", ["", "u", "me", "me:", "someone:"])
@pytest.mark.parametrize("behind", ["", ":", "xyz"])
@pytest.mark.parametrize("pack", [b64encode, urlsafe_b64encode])
def test_the_key_in_base64(before: str, behind: str, pack: Callable[[bytes], bytes]) -> None:
    """Wherever it stands in what was packed, as in the header of a proxy, no part of it is left to be unpacked."""
    key = "k?>~0123456789abcdef"
    line = Redactor((key,))(f"Basic {pack(f'{before}{key}{behind}'.encode()).decode()}, no")
    assert line.startswith("Basic ")
    assert line.endswith(", no")
    assert HIDDEN in line
    rest = re.sub("[^A-Za-z0-9+/]", "", line.removeprefix("Basic ").removesuffix(", no").partition(HIDDEN)[0])
    assert key[:2].encode() not in b64decode(rest + "A" * (-len(rest) % 4))


@pytest.mark.parametrize("before", ["", "n", "no", "nos"])
@pytest.mark.parametrize("pack", [b64encode, urlsafe_b64encode])
def test_a_number_in_base64(before: str, pack: Callable[[bytes], bytes]) -> None:
    """What a gateway quotes of a file in base64 says which number stood there."""
    packed = pack(f"{before}+41798284651\n+41798284652\n~~??".encode()).decode()
    assert mask_numbers(f"bad body: {packed}") == f"bad body: {HIDDEN}"
    assert mask_numbers(f"bad body: {packed[1:20]}") == f"bad body: {HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "d4g8o46p2jvh04o9uolg",
        "9f86d081884c7d659a2feaa0c55ad015",
        "spring-instagram-000017-0123abcd.txt",
        "a/long/path_to",
    ],
)
def test_what_is_no_base64_stays(text: str) -> None:
    """Ids, hashes, names and paths are spelt with the same signs."""
    assert mask_numbers(text) == text


def test_a_key_within_a_longer_key_leaves_no_rest() -> None:
    """Of two keys, one inside the other, the longer one is hidden whole."""
    assert Redactor(("abcdef", "abcdefghij"))("abcdefghij abcdef") == f"{HIDDEN} {HIDDEN}"


def test_keys_may_become_known_later() -> None:
    """A key that is read after the log was opened is hidden from then on, beside the earlier ones."""
    redactor = Redactor(("first-key",))
    redactor.hide("second-key")
    assert redactor("first-key second-key") == f"{HIDDEN} {HIDDEN}"


def test_words_that_are_no_key_stay() -> None:
    """An empty or very short secret would blot out ordinary text, and the embedded vendor's key is no secret."""
    assert Redactor(("", "a", "sandbox"))("a sandbox has a task") == "a sandbox has a task"


def test_a_proxy_keeps_its_password() -> None:
    """User and password in a URL are hidden; an address in a path is not."""
    assert Redactor()("http://me:pass@proxy:8080/") == f"http://{HIDDEN}@proxy:8080/"
    assert Redactor()("https://host/path@2") == "https://host/path@2"


@pytest.mark.parametrize("name", ["api_key", "X-API-Key", "Authorization", "password", "token"])
def test_secrets_are_known_by_name(name: str) -> None:
    """Fields of these names are hidden whatever they hold; a task's own fields are not."""
    assert is_secret_name(name)
    assert not is_secret_name("task_id")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("line 3: 41798284651 is invalid", "line 3: 41…51 is invalid"),
        ("41798284651.", "41…51."),
        ("/runs/20261121201502/master.csv", "/runs/20261121201502/master.csv"),
        ("task 3f1b2c4d-123456789012-x", "task 3f1b2c4d-123456789012-x"),
        ("0.1234567890123 and 0x7f12345678901", "0.1234567890123 and 0x7f12345678901"),
        ("no 0041 79 828 46 51, see line 3", "no 00…51, see line 3"),
        ("(079) 828-46-51 and 41.79.828.46.51", "(07…51 and 41…51"),
        ("079\u00a0828\u202f46\u201351", "07…51"),
        ("at 2026-11-21 20:15:02, 20,000,000 lines", "at 2026-11-21 20:15:02, 20,000,000 lines"),
        ("no connection to 192.168.100.200:443", "no connection to 192.168.100.200:443"),
        ("spring-instagram-000017-12345678.txt", "spring-instagram-000017-12345678.txt"),
        ("41_79_828_46_51, 41,798,284,651 and 41:79:828:46:51", "41…51, 41…51 and 41…51"),
        ("41798*284651; 41|79|828|46|51", "41…51; 41…51"),
        ("\uff14\uff11798284651", "\uff14\uff11…51"),
        ("phone_41798284651 at https://host/check/41798284651", "phone_41…51 at https://host/check/41…51"),
        ("4.1798284651E10 and 4,1798284651e+10, not 41798284651.0", "41…10 and 41…10, not 41…10"),
        ("[41798284651,41798284652] and 0798284651;0798284652", "[41…51,41…52] and 07…51;07…52"),
        ("2026-11-21T20:15:02.123456789+08:00 41798284651", "2026-11-21T20:15:02.123456789+08:00 41…51"),
        ("at 20:15:02.123, 21.11.2026 20:15 and 2026/11/21", "at 20:15:02.123, 21.11.2026 20:15 and 2026/11/21"),
        ("192.168.100.200:44321 after 0.000700000 s", "192.168.100.200:44321 after 0.000700000 s"),
        ("1,073,741,824 bytes, 2147483648 bytes", "1,073,741,824 bytes, 2147483648 bytes"),
        ("from 1 to 1,000,000,000, found 12,345,678", "from 1 to 1,000,000,000, found 12,345,678"),
        ("1,234.567891 USD, 12.345678 USD of 100.00 USD", "1,234.567891 USD, 12.345678 USD of 100.00 USD"),
        ("answered 500, 502, 503, 504, 429", "answered 500, 502, 503, 504, 429"),
        ("instagram/000017: 20000 of 20000 in 5h30m", "instagram/000017: 20000 of 20000 in 5h30m"),
        ("/data/20261121/x, /data/20261121201502", "/data/20261121/x, /data/20261121201502"),
    ],
)
def test_free_text_is_searched_for_bare_numbers_too(text: str, expected: str) -> None:
    """The vendor writes numbers without a plus sign; paths, ids, fractions, dates and addresses are no numbers."""
    assert mask_numbers(text) == expected


def test_foreign_text_moves_no_cursor() -> None:
    """Control characters and line ends are spelled out; letters of any script stay."""
    assert printable("\x1b[2Jgone\n::error::x\x9b") == r"\x1b[2Jgone\x0a::error::x\x9b"
    assert printable("número 数") == "número 数"
