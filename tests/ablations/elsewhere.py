"""Safeguards of a ledger in PostgreSQL and of a directory in a bucket: who may write, and what jobs share."""

from __future__ import annotations

from typing import Final

from tests.ablations.ablation import Ablation

AFAR: Final = (
    # Who may write
    Ablation(
        "the fence asks for the epoch",
        "",
        "WHERE job = of_job AND epoch = of_epoch AND position = before",
        "WHERE job = of_job AND position = before",
        "simulation/test_elsewhere.py::test_a_release_that_comes_behind_the_take[database]",
        "One that was replaced commits before its successor has, and ends that one's run.",
    ),
    Ablation(
        "the fence asks for the position",
        "",
        "WHERE job = of_job AND epoch = of_epoch AND position = before",
        "WHERE job = of_job AND epoch = of_epoch",
        "ledger/test_postgres.py::test_what_a_run_had_on_its_way_comes_too_late",
        "A database that was put back under a run is written to as if nothing were lacking.",
    ),
    Ablation(
        "the fence fails",
        "",
        "IF NOT FOUND THEN RAISE EXCEPTION 'the lease is another one''s'",
        "IF false THEN RAISE EXCEPTION 'the lease is another one''s'",
        "ledger/test_postgres.py::test_what_a_run_had_on_its_way_comes_too_late",
        "Two coordinators write to one ledger, and send each other's tasks.",
    ),
    Ablation(
        "a release counts only while the lease holds",
        "PostgreSQL.holds",
        "return self._broken is None and _clock() - self._heard_at < self._database.lease_s",
        "return True",
        "simulation/test_elsewhere.py::test_frozen_at_a_release[database-seal]",
        "One that slept behind its commit sends a task that another one holds for a decision.",
    ),
    Ablation(
        "a renewal asks for the epoch",
        "",
        "WHERE job = %s AND epoch = %s RETURNING 1",
        "WHERE job = %s AND epoch + 1 > %s RETURNING 1",
        "ledger/test_postgres.py::test_a_run_that_was_replaced_renews_nothing",
        "One that was replaced keeps the lease of its successor alive, and believes to be the one.",
    ),
    Ablation(
        "the lease is known by its token",
        "settle",
        "(_RAISE, (lease.job, lease.token))",
        '(_RAISE.replace("token", "epoch"), (lease.job, lease.epoch))',
        "ledger/test_postgres.py::test_the_look_itself_is_cut_off",
        "A coordinator that is alone takes itself for another one, and stops, when an answer is lost.",
    ),
    Ablation(
        "a lost connection raises the epoch",
        "",
        "SET epoch = epoch + 1, renewed_at = clock_timestamp() WHERE job = %s AND token = %s",
        "SET renewed_at = clock_timestamp() WHERE job = %s AND token = %s",
        "ledger/test_postgres.py::test_a_commit_whose_answer_was_lost_is_looked_up",
        "What was on its way by the old connection is committed behind what came by the new one.",
    ),
    Ablation(
        "a commit of unknown outcome is looked up",
        "PostgreSQL._attempt",
        "if not happened:",
        "if True:",
        "ledger/test_sharing.py::test_a_release_that_has_happened_is_not_refused",
        "A release that has happened is taken back here, where others have spent the rest since: it is sent again.",
    ),
    Ablation(
        "a commit of unknown outcome is not taken for done",
        "settle",
        "position == after",
        "True",
        "ledger/test_postgres.py::test_a_connection_that_breaks_at_any_message",
        "A release of which the ledger knows nothing leaves.",
    ),
    Ablation(
        "a look that is refused says nothing of the commit",
        "PostgreSQL._reconnected",
        "raise LineLostError(error.said, error.way_out) from None",
        "raise",
        "storage/test_silent_database.py::test_a_commit_that_can_not_be_looked_up",
        "The next commit is taken for the one that nobody could look up: a release leaves of which no ledger knows.",
    ),
    Ablation(
        "which server it is can't be said just now",
        "Line.open",
        "if error.code[:2] not in _HIDDEN or error.code in PASSING:",
        "if False:",
        "ledger/test_server_settings.py::test_a_server_that_hides_which_one_it_is_for_a_moment",
        "A run ends as if the database had failed over, and a person has to look at the vendor.",
    ),
    # What jobs share
    Ablation(
        "a vendor that others call is called by turns",
        "vendor_pace",
        "if not mark or math.isinf(vendor.requests_per_second):",
        "if True:",
        "ledger/test_sharing.py::test_two_runs_call_a_vendor_by_turns",
        "Two jobs with one key send twice what the vendor allows.",
    ),
    Ablation(
        "turns follow one another",
        "",
        "CASE WHEN known.holder = of_holder THEN known.begins_at ELSE known.ends_at END",
        "known.begins_at",
        "ledger/test_sharing.py::test_no_two_turns_overlap",
        "Jobs with one key call the vendor in the same moments.",
    ),
    Ablation(
        "a release that does not fit any more fails with its commit",
        "",
        "IF others > room_nano THEN",
        "IF false THEN",
        "ledger/test_sharing.py::test_a_race_for_the_last_dollar",
        "Two jobs both spend what is left of one budget.",
    ),
    Ablation(
        "what is spent is noted with the release",
        "PostgreSQL.commit",
        "if spent != self._spent:",
        "if False:",
        "ledger/test_sharing.py::test_what_both_spend_counts_for_both",
        "No job knows what the others have spent.",
    ),
    # Files in a bucket
    Ablation(
        "a result is in the bucket before the ledger relies on it",
        "JobFiles._put",
        "self.bucket.put(object_name(file), path)",
        "_pool().submit(self.bucket.put, object_name(file), path)",
        "storage/test_staged_jobs.py::test_a_result_is_recorded_only_once_it_is_in_the_bucket",
        "A result that was paid for is lost with the machine, and the ledger says that it is there.",
    ),
    Ablation(
        "a list that is replaced while it is read is no list",
        "Bucket.block",
        'if found.tag and _tag(got.meta) not in ("", found.tag):',
        "if False:",
        "storage/test_url_inputs.py::test_a_list_that_is_replaced_while_it_is_read",
        "A job is made of halves of two lists.",
    ),
    Ablation(
        "what the job puts is no list of it",
        "_objects",
        "return [one for one in found if one not in own]",
        "return found",
        "storage/test_url_inputs.py::test_what_the_job_puts_is_no_list_of_it",
        "A glob takes the job's own master, and what was asked already, for numbers to ask for.",
    ),
    Ablation(
        "a chunk that is lost in the bucket is said to be",
        "JobFiles.bring_chunk",
        "if self._name(chunk) in await self.bring(ledger, chunk, *others):",
        "if not await self.bring(ledger, chunk, *others) and False:",
        "storage/test_staged_jobs.py::test_a_chunk_that_is_lost_in_the_middle_of_a_run",
        "A run ends with a message that tells nobody what to do.",
    ),
)
"""Only where there is a PostgreSQL server, and what stands in for a bucket."""
