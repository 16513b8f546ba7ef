"""Safeguards of what a person was promised to pay: quote, budget by the vendor's words, conditions, reuse, alarms."""

from __future__ import annotations

from typing import Final

from tests.ablations.ablation import Ablation

MONEY: Final = (
    # The quote
    Ablation(
        "a run is held to its quote",
        "_Run._work",
        "await writer.do(lambda ledger: check_quote(ledger, settings, path, quote))",
        "pass",
        "job/test_quote.py::test_anything_else_is_not_sent[the price]",
        "Somebody approves a sum, and another one is spent.",
    ),
    Ablation(
        "a quote is only made by the ledger",
        "check_quote",
        "if not is_ours:",
        "if False:",
        "job/test_quote.py::test_a_quote_that_was_tampered_with",
        "A quote that was written by hand is taken for an approved one.",
    ),
    Ablation(
        "what only_if picks stays within the quote",
        "_Run._reckoned",
        "objected = beyond_quote(ledger, self._settings, self._quote)",
        "pass",
        "job/test_only_if.py::test_what_is_picked_in_parts_stays_within_the_quote",
        "Numbers that are picked in the middle of a run are billed beyond what was quoted.",
    ),
    Ablation(
        "what was sent is quoted with its price",
        "quote_of",
        "nano = _cost_nano(platform, sizes) + before + again.get(name, 0)",
        "nano = _cost_nano(platform, sizes) + again.get(name, 0)",
        "job/test_quote.py::test_what_was_sent_counts_with_its_price",
        "A quote of a begun job says another sum than what the job comes to.",
    ),
    # What the vendor says that it takes
    Ablation(
        "what the vendor tells counts in the place of the price",
        "Transitions.settle",
        "self._platforms.charge(key.platform, cost_nano=now - cost)",
        "self._platforms.charge(key.platform, cost_nano=0)",
        "job/test_money.py::test_what_the_vendor_tells_counts_in_the_place_of_the_price",
        "A vendor that has raised its price is counted with the old one.",
    ),
    Ablation(
        "a dearer vendor's next tasks reserve more",
        "Transitions.release",
        "cost_nano = sum(self._platforms.money(key.platform).values(), Money()).expected(quoted_nano)",
        "cost_nano = quoted_nano",
        "job/test_money.py::test_a_job_stops_at_its_budget_to_the_task[1.7]",
        "A vendor that takes more than the price brings the job above its max_cost.",
    ),
    Ablation(
        "a balance that is too low pauses its vendor",
        "_Run._dispatch",
        "pause_the_short(platforms, costs)",
        "pass",
        "job/test_money.py::test_a_low_balance_is_told_in_advance_with_what_is_missing",
        "A job begins that its account can't pay to the end.",
    ),
    # The trial
    Ablation(
        "a trial is sent alone",
        "platform_runs",
        "last_chunk=trials.get(name, 0) if trial else None",
        "last_chunk=None",
        "job/test_trial.py::test_the_trial_is_sent_alone_and_the_next_run_sends_the_rest",
        "Whoever wants to try a little buys the whole list.",
    ),
    # only_if
    Ablation(
        "only those that fit are asked for",
        "Fitting.with_excluded",
        "[word == self.word for word in said.words]",
        "[True for word in said.words]",
        "job/test_only_if.py::test_only_those_that_fit_are_asked",
        "A platform is asked, and paid, for all numbers instead of a few.",
    ),
    Ablation(
        "nobody who was asked is picked again",
        "Fitting.with_excluded",
        "[word == State.SKIPPED for word in asked.words]",
        "[True for word in asked.words]",
        "job/test_only_if.py::test_a_longer_list",
        "Each time that more numbers come to fit, the earlier ones are bought again.",
    ),
    Ablation(
        "what is excluded by now is not picked",
        "Fitting.parts",
        "keep = ~stand_in(part.numbers, self.excluded)",
        "keep = np.ones(len(part.rows), np.bool_)",
        "job/test_only_if.py::test_who_is_excluded_by_now_is_not_picked",
        "A number that somebody has forbidden to send is sent.",
    ),
    # Reuse
    Ablation(
        "what is known is not asked for",
        "_marked",
        "wanted = _cells(choice, chunk).codes == 0",
        "wanted = _cells(choice, chunk).codes >= 0",
        "job/test_reuse.py::test_a_second_month_sends_what_is_new",
        "Each month pays for all of its list again.",
    ),
    Ablation(
        "what is known ages",
        "_known_cells",
        "too_old = moments < since",
        "too_old = moments < 0",
        "job/test_reuse.py::test_what_is_too_old_is_asked_again",
        "A verdict of years ago is passed on as if it had been checked.",
    ),
    Ablation(
        "a no ages by its own days",
        "_known_cells",
        "since = np.array([np.inf, choice.yes_since, choice.no_since])[codes]",
        "since = np.array([np.inf, choice.yes_since, choice.yes_since])[codes]",
        "job/test_reuse.py::test_a_no_ages_faster_than_a_yes",
        "Numbers that have an account by now keep their no.",
    ),
    Ablation(
        "a verdict of another column is no answer",
        "_cell",
        "if has_alarm or read_of.isdisjoint(wanted.result_columns):",
        "if has_alarm:",
        "job/test_reuse.py::test_only_the_same_question_is_an_answer",
        "An answer to another question stands beside the number.",
    ),
    Ablation(
        "what came with an alarm is no answer",
        "_cell",
        "if has_alarm or read_of.isdisjoint(wanted.result_columns):",
        "if read_of.isdisjoint(wanted.result_columns):",
        "job/test_reuse.py::test_what_came_with_an_alarm_is_asked_again",
        "A month in which the vendor said no to everything is passed on to all later ones.",
    ),
    Ablation(
        "what is dated behind now is no answer",
        "_known_cells",
        "(times > moments) & (times <= choice.until)",
        "(times > moments)",
        "job/test_reuse.py::test_what_is_of_a_time_to_come_is_not_young_for_ever",
        "A clock that was years ahead makes verdicts that never age.",
    ),
    Ablation(
        "what is left beside what is known comes out in files",
        "select_numbers",
        "filling = filled_up(left, choice.limits) - left",
        "filling = max(0, min_rows - left)",
        "job/test_reuse.py::test_the_oldest_fill_files_that_would_not_come_out",
        "Numbers that no file takes are neither asked nor known.",
    ),
    # A log read back
    Ablation(
        "a line of a log fits the chunk",
        "adopt_log.fits",
        "return sha256 is not None and seal.check(receipt.key, sha256, receipt.task_id) == receipt.check",
        "return sha256 is not None",
        "job/test_adopt_log.py::test_another_list_adopts_nothing",
        "The results of another list's tasks stand beside the numbers of this one.",
    ),
    # Alarms
    Ablation(
        "a result is compared with those before it",
        "Watcher.done",
        "alarm = None if recorded else platform.usual.judge(watch.key.chunk, report.counts)",
        "alarm = None",
        "job/test_alarms.py::test_a_vendor_that_is_blocked_is_noticed_and_stopped",
        "A vendor that answers no to everything is believed, and nobody is told.",
    ),
    Ablation(
        "many looks share one chance of a false alarm",
        "UsualResults.judge",
        "CHANCE / (self.looks * (self.looks + 1))",
        "CHANCE",
        "dispatch/test_alarms.py::test_chance_alone_raises_hardly_an_alarm",
        "Long jobs have false alarms, until nobody looks at alarms any more.",
    ),
    Ablation(
        "an alarm asks for both tests",
        "_judged",
        "_student(away / math.sqrt(spread), PRIOR_TASKS + shares.tasks - 1) < chance and (",
        "1.0 > chance and (",
        "dispatch/test_alarms.py::test_a_sorted_list_is_not_one_alarm_after_another",
        "A list that is sorted by country has an alarm at each border.",
    ),
    Ablation(
        "three results of one word stop the platform",
        "Watcher.done",
        "one_word=alarm is not None and alarm.one_word",
        "one_word=False",
        "job/test_alarms.py::test_a_vendor_that_is_blocked_is_noticed_and_stopped",
        "The whole list is bought from a vendor that answers no to everything.",
    ),
    Ablation(
        "who says that one word is right is believed",
        "_judged",
        "if not one_word and (word := _one_word(counts)):",
        "if word := _one_word(counts):",
        "dispatch/test_alarms.py::test_one_word_from_the_start",
        "A job whose numbers all have one word can't be brought to its end.",
    ),
    Ablation(
        "an alarm outlives verdicts that are made anew",
        "note_result",
        "finding = report.finding or _alarm_of(ledger, key, report)",
        "finding = report.finding",
        "job/test_alarms.py::test_an_alarm_outlives_verdicts_that_are_made_anew",
        "A lost file takes the warning with it that its result is worthless.",
    ),
)
"""One row a safeguard."""
