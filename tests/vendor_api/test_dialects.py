"""The dialects as tables: requests out of settings, meaning out of answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import CallError, DeniedError, RefusedError, TemporaryError
from orchestrator.redact import Redactor
from orchestrator.settings import PlatformSettings, Style
from orchestrator.vendor_api.dialects import (
    HttpAnswer,
    Request,
    balance_request,
    is_task_id,
    read_balance,
    read_content,
    read_date,
    read_report,
    read_silence,
    read_submit,
    retry_after_s,
    status_request,
    submit_request,
    with_quotable_status,
    words_of,
)
from orchestrator.vendor_api.meanings import Accepted, Cause, Denied, InDoubt, PutOff, Refused, TaskReport

SIMPLE = PlatformSettings(vendor="main", style=Style.SIMPLE, path="/ins/api/simple/tasks", result_columns=("x",))
V1 = PlatformSettings(
    vendor="main", style=Style.V1, path="/v1/tasks", task_type="amazon", min_rows=100, result_columns=("x",)
)
MADE = {"task_id": "d4g8o46p2jvh04o9uolg", "status": "pending", "total": 2049}

# The documented answers, word for word.
SIMPLE_MADE = b"""{
"created_at": "2024-10-19T18:24:56.450567423Z",
"updated_at": "2024-10-19T18:24:56.450567423Z",
"task_id": "cs9viu7i61pkfs4oavvg",
"user_id": "test",
"status": "pending",
"total": 0,
"success": 0,
"failure": 0
}"""
V1_MADE = b"""{ "task_id": "d4g8o46p2jvh04o9uolg", "status": "pending", "total": 2049,
"message": "Task created successfully", "created_at": "2025-11-21T15:58:08.916446594Z"}"""
SIMPLE_EXPORTED = b"""{
"created_at": "2024-10-19T18:24:56.450567423Z",
"updated_at": "2024-10-19T18:53:43.141760071Z",
"task_id": "cs9viu7i61pkfs4oavvg",
"user_id": "test",
"status": "exported",
"total": 20000,
"success": 20000,
"failure": 0,
"result_url": "https://example-link-to-results.xlsx"
}"""
V1_PROCESSING = b"""{ "created_at": "2025-11-21T08:27:09.933Z", "updated_at": "2025-11-21T08:27:10.241Z",
"task_id": "d4g24nep2jvh04o9uoh0", "user_id": "wfi7wGPS4B4PdtTMox5Y", "status": "processing",
"total": 2049, "success": 1024, "failure": 0}"""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    ["task_id", "status", "total", "success", "failure", "result_url", "error", "message", "balance"]
)
contents = st.none() | st.dictionaries(keys, json_values, max_size=9)
headers = st.text(max_size=30) | st.sampled_from(["5", "-1", "inf", "Fri, 21 Nov 2025 15:58:08 GMT"])
http_answers = st.builds(
    HttpAnswer, st.integers(100, 599), contents, st.text(max_size=5), retry_after=headers, date=headers
)


class TestRequests:
    def test_submit(self) -> None:
        """A submit goes to the platform's path; simple sends a user id it has, v1 its task type."""
        assert submit_request(SIMPLE, "") == Request("POST", "/ins/api/simple/tasks")
        assert submit_request(SIMPLE, "u").fields == (("user_id", "u"),)
        assert submit_request(V1, "u") == Request("POST", "/v1/tasks", fields=(("task_type", "amazon"),))

    def test_status(self) -> None:
        """A look at a task: simple gets it below the path, v1 posts its id to the sibling `gettasks`."""
        assert status_request(SIMPLE, "", "abc") == Request("GET", "/ins/api/simple/tasks/abc")
        assert status_request(SIMPLE, "u", "abc").query == (("user_id", "u"),)
        assert status_request(V1, "u", "abc") == Request("POST", "/v1/gettasks", fields=(("task_id", "abc"),))

    def test_balance(self) -> None:
        """The balance has one address in both styles."""
        assert balance_request() == Request("GET", "/v1/balance")

    @pytest.mark.parametrize(
        "task_id", ["", "a/b", "..", ".", "...", "a b", "a?b", "ü", "x" * 129, "a\n", "%2e", None, 7]
    )
    def test_bad_task_ids(self, task_id: Any) -> None:
        """What can't be a task id never gets into an address."""
        assert not is_task_id(task_id)
        if isinstance(task_id, str):
            with pytest.raises(RefusedError):
                status_request(SIMPLE, "", task_id)

    @pytest.mark.parametrize(
        "task_id", ["cs9viu7i61pkfs4oavvg", "A-b_c.1", "x" * 128, "7", "a..b", "urn:task:7", "a+b==", "me@host~1"]
    )
    def test_good_task_ids(self, task_id: str) -> None:
        """Ids of the documented kind, and somewhat beyond."""
        assert is_task_id(task_id)


class TestDocumented:
    def test_made(self) -> None:
        """The documented answers to a submit are accepted; the simple style's total of 0 is no count."""
        simple = HttpAnswer(200, read_content(SIMPLE_MADE))
        v1 = HttpAnswer(200, read_content(V1_MADE))
        assert read_submit(simple, SIMPLE, whole_sent=True) == Accepted("cs9viu7i61pkfs4oavvg", None)
        assert read_submit(v1, V1, whole_sent=True) == Accepted("d4g8o46p2jvh04o9uolg", 2049)

    def test_reported(self) -> None:
        """The documented reports are read as they stand, nine-digit timestamps and all."""
        exported = read_report(HttpAnswer(200, read_content(SIMPLE_EXPORTED)), "cs9viu7i61pkfs4oavvg")
        assert exported == TaskReport(
            "cs9viu7i61pkfs4oavvg", "exported", 20000, 20000, 0, "https://example-link-to-results.xlsx"
        )
        processing = read_report(HttpAnswer(200, read_content(V1_PROCESSING)), "d4g24nep2jvh04o9uoh0")
        assert processing == TaskReport("d4g24nep2jvh04o9uoh0", "processing", 2049, 1024, 0, None)


class TestSubmit:
    @pytest.mark.parametrize(
        ("answer", "kind", "early_kind"),
        [
            (HttpAnswer(200, MADE), Accepted, Accepted),
            (HttpAnswer(202, MADE), Accepted, Accepted),
            (HttpAnswer(200, {"task_id": 7}), Accepted, Accepted),
            (HttpAnswer(200, {"task_id": 7.5}), InDoubt, PutOff),
            (HttpAnswer(200, {"task_id": True}), InDoubt, PutOff),
            (HttpAnswer(200), InDoubt, PutOff),
            (HttpAnswer(302, MADE), InDoubt, PutOff),
            (HttpAnswer(400), Refused, Refused),
            (HttpAnswer(401), Denied, Denied),
            (HttpAnswer(402), Denied, Denied),
            (HttpAnswer(403), Denied, Denied),
            (HttpAnswer(404), Refused, Refused),
            (HttpAnswer(408, {}), InDoubt, PutOff),
            (HttpAnswer(409, MADE), InDoubt, PutOff),
            (HttpAnswer(413), Refused, Refused),
            (HttpAnswer(429), PutOff, PutOff),
            *((HttpAnswer(status, MADE), InDoubt, PutOff) for status in (429, 500)),
            *((HttpAnswer(status, MADE), InDoubt, Refused) for status in (400, 404, 413)),
            *((HttpAnswer(status, MADE), InDoubt, Denied) for status in (401, 402, 403)),
            (HttpAnswer(451), Refused, Refused),
            (HttpAnswer(500, {}), PutOff, PutOff),
            (HttpAnswer(500), InDoubt, PutOff),
            (HttpAnswer(502, {}), InDoubt, PutOff),
            (HttpAnswer(503, {}), InDoubt, PutOff),
            (HttpAnswer(504, {}), InDoubt, PutOff),
        ],
    )
    def test_table(self, answer: HttpAnswer, kind: type[object], early_kind: type[object]) -> None:
        """The design's table of answers to a submit, for a body that left and for one that did not."""
        assert type(read_submit(answer, V1, whole_sent=True)) is kind
        assert type(read_submit(answer, V1, whole_sent=False)) is early_kind

    @given(answer=http_answers, style=st.sampled_from([SIMPLE, V1]))
    def test_never_in_doubt_before(self, answer: HttpAnswer, style: PlatformSettings) -> None:
        """Whatever comes back, a body that did not leave is never in doubt."""
        assert not isinstance(read_submit(answer, style, whole_sent=False), InDoubt)

    @given(answer=http_answers, style=st.sampled_from([SIMPLE, V1]))
    def test_never_again_by_itself(self, answer: HttpAnswer, style: PlatformSettings) -> None:
        """Whatever comes back, a body that left is sent again only after 429 or a 500 that explains itself."""
        if isinstance(read_submit(answer, style, whole_sent=True), PutOff):
            assert answer.status == 429 or (answer.status == 500 and answer.content is not None)

    @given(answer=http_answers)
    def test_accepted_is_named(self, answer: HttpAnswer) -> None:
        """Accepted means: a success that names a usable id."""
        read = read_submit(answer, V1, whole_sent=True)
        if isinstance(read, Accepted):
            assert 200 <= answer.status < 300
            assert is_task_id(read.task_id)

    def test_silence(self) -> None:
        """No answer at all: in doubt after the last bytes, sent again before them."""
        assert read_silence("reset", whole_sent=True) == InDoubt("reset")
        assert read_silence("reset", whole_sent=False) == PutOff("reset")

    def test_throttled(self) -> None:
        """429 says how long to wait, and that it was the pace."""
        answer = read_submit(HttpAnswer(429, retry_after="12"), V1, whole_sent=True)
        assert isinstance(answer, PutOff)
        assert (answer.retry_after_s, answer.cause) == (12.0, Cause.THROTTLED)

    @pytest.mark.parametrize(
        ("answer", "advice"),
        [
            (HttpAnswer(413), "make chunk_size smaller"),
            (HttpAnswer(400, said="invalid_batch_size: at least 500"), "min_rows = 100"),
            (HttpAnswer(400, said="invalid_batch_size: at least 500"), "at least 500"),
            (HttpAnswer(404), "base_url"),
            (HttpAnswer(405), "style and path"),
            (HttpAnswer(400, said="bad file"), "bad file"),
            (HttpAnswer(402), "balance"),
            (HttpAnswer(401), "api_key_env"),
            (HttpAnswer(403), "key"),
            (HttpAnswer(302), "base_url"),
        ],
    )
    def test_advice(self, answer: HttpAnswer, advice: str) -> None:
        """What was not taken says what to change, and quotes the vendor."""
        read = read_submit(answer, V1, whole_sent=True)
        assert not isinstance(read, Accepted)
        assert advice in read.reason
        assert str(answer.status) in read.reason


class TestReport:
    def test_what_no_ledger_holds(self) -> None:
        """Absurd counts are cut, and half characters become ones that can be written."""
        report = read_report(HttpAnswer(200, {"status": "Odd\ud800", "total": 1e300, "success": -5}), "a")
        assert (report.status, report.total, report.success) == ("odd?", 10**15, 0)

    def test_sloppy_numbers(self) -> None:
        """Numbers may be text or floats, missing, negative or nonsense, and success may exceed the total."""
        content = {"task_id": "a", "status": " Exported ", "total": "2049", "success": 2050.0, "failure": -3}
        assert read_report(HttpAnswer(200, content), "a") == TaskReport("a", "exported", 2049, 2050, 0, None)
        odd = {"status": "x", "total": True, "success": "many", "failure": [1], "extra": {"a": 1}}
        assert read_report(HttpAnswer(200, odd), "a") == TaskReport("a", "x", 0, 0, 0, None)
        huge = {"status": "x", "total": float("nan"), "success": 10**400, "failure": "1e999"}
        assert read_report(HttpAnswer(200, huge), "a") == TaskReport("a", "x", 0, 0, 0, None)

    @pytest.mark.parametrize("link", [None, "", "  ", 7, ["x"]])
    def test_no_link(self, link: object) -> None:
        """What is not a link counts as none."""
        assert read_report(HttpAnswer(200, {"status": "exported", "result_url": link}), "a").result_url is None

    @pytest.mark.parametrize("named", ["other", 7, ["a"]])
    def test_another_task(self, named: object) -> None:
        """A report that names another task is never used."""
        with pytest.raises(TemporaryError, match="another task"):
            read_report(HttpAnswer(200, {"status": "exported", "task_id": named}), "a")

    @pytest.mark.parametrize("status", [None, "", "  ", 7])
    def test_no_status(self, status: object) -> None:
        """A report without a status says nothing."""
        with pytest.raises(TemporaryError, match="no status"):
            read_report(HttpAnswer(200, {"status": status}), "a")

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RefusedError),
            (401, DeniedError),
            (402, DeniedError),
            (403, DeniedError),
            (404, RefusedError),
            (408, TemporaryError),
            (429, TemporaryError),
            (500, TemporaryError),
            (503, TemporaryError),
            (302, TemporaryError),
            (101, TemporaryError),
            (200, TemporaryError),
        ],
    )
    def test_errors(self, status: int, kind: type[CallError]) -> None:
        """Each status without a report raises what says what to do next."""
        with pytest.raises(kind) as caught:
            read_report(HttpAnswer(status, retry_after="9"), "a")
        assert str(status) in str(caught.value)
        if isinstance(caught.value, TemporaryError):
            assert caught.value.retry_after_s == 9.0
            assert caught.value.throttled is (status == 429)
        else:
            assert getattr(caught.value, "status", None) == status

    @given(answer=http_answers)
    def test_anything(self, answer: HttpAnswer) -> None:
        """Whatever comes back is a report or one of our errors."""
        try:
            report = read_report(answer, "a")
        except CallError:
            return
        assert report.status
        assert min(report.total, report.success, report.failure) >= 0


class TestBalance:
    @pytest.mark.parametrize(
        ("answer", "balance"),
        [
            (HttpAnswer(200, {"balance": 12.5}), 12.5),
            (HttpAnswer(200, {"balance": "7"}), 7.0),
            (HttpAnswer(200, {"balance": -1}), -1.0),
            (HttpAnswer(200, {"balance": None}), None),
            (HttpAnswer(200, {"balance": float("inf")}), None),
            (HttpAnswer(200), None),
            (HttpAnswer(404), None),
            (HttpAnswer(405, {"balance": 1}), None),
        ],
    )
    def test_table(self, answer: HttpAnswer, balance: float | None) -> None:
        """A number is the balance; a page that is not there, or something else, is none."""
        assert read_balance(answer) == balance

    @pytest.mark.parametrize(("status", "kind"), [(401, DeniedError), (503, TemporaryError), (400, RefusedError)])
    def test_errors(self, status: int, kind: type[CallError]) -> None:
        """A wrong key or an outage is told as for any call."""
        with pytest.raises(kind):
            read_balance(HttpAnswer(status))


class TestContent:
    @pytest.mark.parametrize(
        "body", [b"\x1f\x8b\x08cut", b"", b"null", b"[]", b"7", b"<html>", b"\xff", b'{"a"', b"[" * 100_000]
    )
    def test_not_an_object(self, body: bytes) -> None:
        """Only a JSON object counts as content; nothing else raises."""
        assert read_content(body) is None

    def test_a_submit_that_names_two_tasks(self) -> None:
        """An answer with two task ids is held: nobody knows which one was charged. The same one twice is no doubt."""
        two = read_content(b'{"task_id": "a", "task_id": "b", "task_id": "b"}')
        same = read_content(b'{"task_id": "a", "task_id": "a", "total": 7, "total": 8}')
        assert isinstance(read_submit(HttpAnswer(200, two), V1, whole_sent=True), InDoubt)
        assert read_submit(HttpAnswer(200, same), V1, whole_sent=True) == Accepted("a", None)

    @pytest.mark.parametrize("key", ["task_id", "status", "total", "success", "failure", "result_url"])
    def test_a_report_that_says_two_things(self, key: str) -> None:
        """A report that says one thing twice is not believed, whatever comes last; the task is looked at again."""
        good = '"task_id": "a", "status": "exported", "total": 1, "success": 1, "failure": 0, "result_url": "x:/y"'
        with pytest.raises(TemporaryError, match=f"says {key} twice"):
            read_report(HttpAnswer(200, read_content(f'{{"{key}": "other", {good}}}'.encode())), "a")
        fine = read_content(f'{{{good}, {good}, "note": 1, "note": 2}}'.encode())
        assert read_report(HttpAnswer(200, fine), "a").status == "exported"

    @given(body=st.binary(max_size=50))
    def test_any_bytes(self, body: bytes) -> None:
        """No bytes raise."""
        read_content(body)


class TestWords:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, ""),
            ({}, ""),
            ({"message": "slow down"}, "slow down"),
            ({"error": "invalid_batch_size", "message": "at least 500"}, "invalid_batch_size: at least 500"),
            ({"error": "same", "message": "same"}, "same"),
            ({"error": {"message": "inner", "code": 3}}, "inner"),
            ({"error": ["x"], "message": 7}, ""),
            ({"message": "bad +41798284651 in line 12345"}, "bad +41…51 in line 12345"),
            ({"message": "0041 79 828 46 51 or 8284651"}, "00…51 or [number]"),
            ({"message": "key sesame is wrong"}, "key *** is wrong"),
            (
                {"message": "see https://b.example.com/r.zip?OSSAccessKeyId=a&Signature=abcdEFGH%3D, please"},
                "see https://b.example.com/r.zip?… please",
            ),
            ({"message": '"https://x.example.net/r?sv=1&sig=abcdEFGH%3D"'}, '"https://x.example.net/r?…"'),
            ({"message": "see http://h/1?X-Amz-Signature=abc1&a=b"}, "see http://h/1?…"),
            ({"message": "two\nlines\x1b[31m"}, "two lines [31m"),
            ({"message": "x" * 1000}, "x" * 200),
        ],
    )
    def test_table(self, content: dict[str, Any] | None, said: str) -> None:
        """The vendor is quoted in one short line, without phone numbers, our key and what opens a link."""
        assert words_of(content, Redactor(("sesame",))) == said

    def test_no_key(self) -> None:
        """Without a key there is nothing to hide."""
        assert words_of({"message": "abc"}, Redactor()) == "abc"

    def test_status(self) -> None:
        """A status that nobody knows may quote as much as a message; those that are known stay as they are."""
        hide = Redactor(("sesame",))
        odd = {"status": "auditing 41798284651 for sesame", "total": 3}
        assert with_quotable_status(odd, hide) == {"status": "auditing 41…51 for ***", "total": 3}
        for same in (None, {}, {"status": 7}, {"status": "exported"}):
            assert with_quotable_status(same, hide) == same


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("retry_after", "wait_s"),
        [
            ("", None),
            ("0", 0.0),
            ("1.5", 1.5),
            (" 30 ", 30.0),
            ("-7", 0.0),
            ("86400", 3600.0),
            ("1e999", 3600.0),
            ("nan", None),
            ("soon", None),
            ("Fri, 21 Nov 2025 16:00:00 GMT", 112.0),
            ("Fri, 21 Nov 2025 15:00:00 GMT", 0.0),
            ("Fri, 21 Nov 2042 15:00:00 GMT", 3600.0),
            ("Fri, 99 Nov 2025 15:00:00 GMT", None),
        ],
    )
    def test_table(self, retry_after: str, wait_s: float | None) -> None:
        """Seconds or a date against the answer's own; never below 0 or above an hour."""
        answer = HttpAnswer(429, retry_after=retry_after, date="Fri, 21 Nov 2025 15:58:08 GMT")
        assert retry_after_s(answer) == wait_s

    def test_no_date(self) -> None:
        """A date without another to compare it with says nothing."""
        assert retry_after_s(HttpAnswer(429, retry_after="Fri, 21 Nov 2025 16:00:00 GMT")) is None

    @given(header=st.text(max_size=40))
    def test_any_header(self, header: str) -> None:
        """No header raises, and a wait is always within bounds."""
        wait_s = retry_after_s(HttpAnswer(429, retry_after=header, date=header))
        assert wait_s is None or 0 <= wait_s <= 3600

    def test_a_date_has_a_zone(self) -> None:
        """A date of no known zone is none."""
        assert read_date("Fri, 21 Nov 2025 16:00:00 -0000") is None
        assert read_date("Fri, 21 Nov 2025 16:00:00 GMT") is not None
