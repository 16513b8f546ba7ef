"""Which object in the bucket is the file at a path."""

from __future__ import annotations

from orchestrator.ledger import Ledger
from orchestrator.records import StoredFile

OLD, NEW = StoredFile("chunks/000001.txt", "a" * 64, 10), StoredFile("chunks/000001.txt", "b" * 64, 20)
OTHER = StoredFile("chunkszzz/000001.txt", "c" * 64, 30)


def test_the_last_object_that_was_noted_is_the_file(ledger: Ledger) -> None:
    """A path has one file: noted anew it is another object, forgotten it is none."""
    ledger.change(lambda it: it.objects.note([OLD, OTHER]))
    ledger.change(lambda it: it.objects.note([NEW]))
    assert ledger.objects.at([OLD.path, "nowhere"]) == [NEW]
    ledger.change(lambda it: it.objects.forget([OLD.path]))
    assert ledger.objects.at([OLD.path]) == []


def test_files_are_found_by_how_their_paths_begin(ledger: Ledger) -> None:
    """A folder's files are those behind its slash; nothing at all stands for everything."""
    ledger.change(lambda it: it.objects.note([OTHER, OLD]))
    assert list(ledger.objects.below("chunks/")) == [OLD]
    assert list(ledger.objects.below("verdicts/", "chunks/")) == [OLD]
    assert list(ledger.objects.below("")) == [OLD, OTHER]


def test_many_paths_are_asked_for_at_once(ledger: Ledger) -> None:
    """However many: a statement takes a bounded number of values."""
    files = [StoredFile(f"chunks/{number:06d}.txt", "a" * 64, number) for number in range(2_345)]
    ledger.change(lambda it: it.objects.note(files))
    assert ledger.objects.at([file.path for file in files]) == files


def test_a_closed_job_forgets_the_hashes_of_its_objects(ledger: Ledger) -> None:
    """The hash of a chunk that holds one number gives that away."""
    ledger.change(lambda it: it.objects.note([OLD]))
    ledger.change(lambda it: it.forget_hashes())
    assert list(ledger.objects.below("")) == []
