"""What a client keeps on disk: private, one partner's, and each key one order for ever."""

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import uuid_utils

from partners.envelope import TRANSFER_ORDER, TRANSFER_RECEIPT, sign
from partners.errors import Retry
from partners.keys import SeedSigner
from pointclear.client.errors import JournalUnusable, KeyUsedOtherwise
from pointclear.client.journal import VERSION, Draft, Journal
from pointclear.client.refusals import Refusal
from pointclear.client.values import START, Bookmark

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
SIGNER = SeedSigner(bytes(range(32)))
RECEIPT = sign(SIGNER, TRANSFER_RECEIPT, b"a receipt")
REFUSAL = Refusal(
    "LIMIT_EXCEEDED", "too many", "source_points", Retry.NEW_ID, "Wait.", {"max": "7"}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    opened = Journal(path, "aurora", "pointclear.test/unit")
    yield opened
    opened.close()


def again(path: Path) -> Journal:
    """The same file, in another process."""
    return Journal(path, "aurora", "pointclear.test/unit")


def draft(key: str = "k", asked: str = "x") -> Draft:
    transfer_id = UUID(bytes=uuid_utils.uuid7().bytes)
    return Draft(key, transfer_id, asked, sign(SIGNER, TRANSFER_ORDER, transfer_id.bytes))


def test_an_order_that_was_written_down_is_there_for_the_next_process(
    journal: Journal, path: Path
) -> None:
    first = draft()
    (kept,) = journal.keep([first], NOW)
    assert (kept.is_new, kept.final) == (True, False)
    (found,) = again(path).keep([draft()], NOW)
    assert (found.order_id, found.envelope) == (first.order_id, first.envelope)
    assert not found.is_new
    assert again(path).unanswered() == [found]


def test_the_file_is_for_its_owner_alone(journal: Journal, path: Path) -> None:
    journal.keep([draft()], NOW)
    for each in path.parent.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) == 0o600, each


def test_a_key_that_stands_for_another_order_is_refused_and_nothing_is_written(
    journal: Journal,
) -> None:
    journal.keep([draft()], NOW)
    with pytest.raises(KeyUsedOtherwise, match="k stands for another order"):
        journal.keep([draft("new"), draft("k", "y")], NOW)
    assert journal.find("new") is None


def test_a_final_answer_stays_whatever_comes_later(journal: Journal, path: Path) -> None:
    journal.keep([draft()], NOW)
    journal.answer("k", RECEIPT, 7, REFUSAL, final=True)
    journal.answer("k", None, None, None, final=False)
    kept = again(path).find("k")
    assert kept is not None
    assert (kept.receipt, kept.final) == (RECEIPT, True)
    assert kept.refusal == Refusal.from_json(REFUSAL.to_json(), RECEIPT)
    assert kept.refusal.metadata == {"max": "7"}
    assert journal.receipt_at(7) == RECEIPT
    assert journal.receipt_at(8) is None
    assert journal.unanswered() == []


def test_what_is_held_is_unanswered_and_what_was_refused_at_the_door_may_still_be_let_in(
    journal: Journal,
) -> None:
    journal.keep([draft("held"), draft("door")], NOW)
    journal.answer("held", RECEIPT, 3, None, final=False)
    journal.answer("door", None, None, REFUSAL, final=True)
    assert [each.key for each in journal.unanswered()] == ["held"]
    # The same bytes may be let in later: then there is an answer.
    journal.answer("door", RECEIPT, 4, None, final=True)
    found = journal.find("door")
    assert found is not None
    assert (found.receipt, found.refusal) == (RECEIPT, None)


def test_the_place_in_the_stream_is_kept(journal: Journal, path: Path) -> None:
    assert journal.bookmark() == START
    for seq in (1, 2):
        journal.move_bookmark(Bookmark(seq, bytes([seq]) * 32))
    journal.move_bookmark(Bookmark(1, bytes(32)))
    assert again(path).bookmark() == Bookmark(2, b"\x02" * 32)


def test_what_is_answered_and_old_can_be_forgotten(journal: Journal) -> None:
    later = NOW + timedelta(microseconds=1)
    journal.keep([draft("old"), draft("open")], NOW)
    journal.keep([draft("young")], later)
    for key in ("old", "young"):
        journal.answer(key, RECEIPT, None, None, final=True)
    assert journal.forget(later) == 1
    assert journal.find("old") is None
    assert journal.find("open") is not None
    assert journal.find("young") is not None


@pytest.mark.parametrize(
    ("partner_id", "audience"),
    [("borealis", "pointclear.test/unit"), ("aurora", "pointclear.test/sandbox")],
)
def test_anothers_journal_is_refused(
    journal: Journal, path: Path, partner_id: str, audience: str
) -> None:
    with pytest.raises(JournalUnusable, match="belongs to aurora"):
        Journal(path, partner_id, audience)


def test_a_damaged_file_is_refused_and_so_is_one_of_a_newer_version(path: Path) -> None:
    path.write_bytes(b"this was never a journal" * 100)
    with pytest.raises(JournalUnusable, match="restore it"):
        again(path)
    path.unlink()
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    with pytest.raises(JournalUnusable, match="a newer version"):
        again(path)


def test_a_journal_that_was_closed_says_so(path: Path) -> None:
    journal = again(path)
    journal.close()
    with pytest.raises(JournalUnusable, match="closed"):
        journal.find("k")


def test_threads_and_processes_that_ask_at_once_get_one_order(journal: Journal, path: Path) -> None:
    other = again(path)
    with ThreadPoolExecutor(8) as pool:
        asked = [
            pool.submit(each.keep, [draft(str(number))], NOW)
            for number in range(10)
            for each in (journal, other, journal, other)
        ]
        kept = [each.result()[0] for each in asked]
    assert len({each.order_id for each in kept}) == 10
    assert sum(each.is_new for each in kept) == 10
    other.close()
