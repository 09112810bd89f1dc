"""A watch ticks a scenario off when the partner's stream and statements show it, and not before."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from exchange.cli.certification.board import Lines, as_table
from exchange.cli.certification.observed import (
    OBSERVERS,
    Seen,
    is_own,
    outcomes_of,
    whole_list,
)
from exchange.cli.certification.outcome import Outcome, Outcomes
from exchange.cli.certification.watching import watch_until
from exchange.cli.failure import Failed, proof_invalid, unavailable
from exchange.cli.proofs import Proof
from partners.certification import WATCHED, ScenarioName, Verdict
from partners.envelope import Envelope
from partners.errors import Reason
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import transfer_pb2 as pb

DAY = "cny-2026-11-21"
QUOTE, OTHER_QUOTE = bytes([1] * 16), bytes([2] * 16)


def receipt(seq: int, reason: Reason | None = None, **record: Any) -> Proof:
    """The answer to an order of the partner's own, carried out unless a reason is given."""
    fields: dict[str, Any] = {
        "transfer_id": bytes([seq] * 16),
        "state": pb.TRANSFER_STATE_REFUSED if reason else pb.TRANSFER_STATE_COMMITTED,
        "reason": refusal_pb2.Reason.Value(f"REASON_{reason or 'UNSPECIFIED'}"),
        "source_program": "aurora",
        "target_program": "mirror",
        "source_points": 100,
        "window_id": "" if reason else DAY,
    }
    body = pb.TransferReceipt(stream_seq=seq)
    return Proof(Envelope("", b"", ()), body, pb.TransferRecord(**fields | record), None)


def lines(*numbers: int) -> dict[str, bytes]:
    """The day's line file with these transfers."""
    return {DAY: b"\n".join(str(UUID(bytes=bytes([each] * 16))).encode() for each in numbers)}


GOOD, WRONG = receipt(1), receipt(1, Reason.AMOUNT_MISMATCH)
WRONG_LATER = receipt(2, Reason.AMOUNT_MISMATCH)
HELD = receipt(1, state=pb.TRANSFER_STATE_HELD)
AT_QUOTE = receipt(1, quote_id=QUOTE)
AGAIN = receipt(2, Reason.QUOTE_USED, quote_id=QUOTE)

SHOWN: dict[ScenarioName, Seen] = {
    ScenarioName.COMMITS: Seen((GOOD,)),
    ScenarioName.MENDS: Seen((WRONG, receipt(2))),
    ScenarioName.EXPIRES: Seen((receipt(1, Reason.ORDER_EXPIRED),)),
    ScenarioName.QUOTES: Seen((AT_QUOTE, AGAIN)),
    ScenarioName.PAGES: Seen((GOOD,), entries=7),
    ScenarioName.SETTLES: Seen((GOOD, receipt(2)), lines(1, 2)),
}
NOT_SHOWN: list[tuple[str, ScenarioName, Seen]] = [
    ("a refusal alone", ScenarioName.COMMITS, Seen((WRONG,))),
    ("what an operator still has to decide", ScenarioName.COMMITS, Seen((HELD,))),
    ("a wrong amount alone", ScenarioName.MENDS, Seen((WRONG,))),
    (
        "mended before it was wrong",
        ScenarioName.MENDS,
        Seen((GOOD, WRONG_LATER)),
    ),
    ("other points", ScenarioName.MENDS, Seen((WRONG, receipt(2, source_points=200)))),
    ("another way", ScenarioName.MENDS, Seen((WRONG, receipt(2, target_program="lotus")))),
    ("another refusal", ScenarioName.EXPIRES, Seen((WRONG,))),
    ("a quote used once", ScenarioName.QUOTES, Seen((AT_QUOTE,))),
    ("another quote again", ScenarioName.QUOTES, Seen((receipt(1, quote_id=OTHER_QUOTE), AGAIN))),
    ("no quote at all", ScenarioName.QUOTES, Seen((GOOD, AGAIN))),
    ("a stream without own orders", ScenarioName.PAGES, Seen(entries=7)),
    ("a day that is not stated", ScenarioName.SETTLES, Seen((GOOD,))),
    ("the statement of another day", ScenarioName.SETTLES, Seen((GOOD,), {"cny-2026-11-20": b""})),
]


def test_a_watch_has_an_eye_for_everything_that_it_is_to_judge() -> None:
    assert OBSERVERS.keys() == WATCHED == SHOWN.keys() == {name for _, name, _ in NOT_SHOWN}


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_stream_shows_is_ticked_off_with_its_place(name: ScenarioName) -> None:
    outcome = outcomes_of(SHOWN[name])[name]
    assert outcome.verdict is Verdict.PASSED
    assert outcome.note


@pytest.mark.parametrize(
    ("name", "seen"), [each[1:] for each in NOT_SHOWN], ids=[each[0] for each in NOT_SHOWN]
)
def test_what_the_stream_does_not_show_stays_open(name: ScenarioName, seen: Seen) -> None:
    assert name not in outcomes_of(seen)


def test_a_statement_that_lacks_a_transfer_fails_at_once() -> None:
    seen = Seen((GOOD, receipt(2)), lines(1))
    outcome = outcomes_of(seen)[ScenarioName.SETTLES]
    assert outcome.verdict is Verdict.FAILED
    assert str(UUID(bytes=bytes([2] * 16))) in outcome.note


def test_only_answers_to_own_orders_count() -> None:
    notice = Proof(GOOD.envelope, pb.CreditNotice(stream_seq=1), GOOD.record, None)
    assert is_own(GOOD)
    assert not is_own(notice)


def test_the_report_says_of_each_scenario_whether_it_was_seen_not_seen_or_not_to_be_seen() -> None:
    listed = whole_list(outcomes_of(SHOWN[ScenarioName.COMMITS]), "15m")
    assert [each.name for each in listed] == list(ScenarioName)
    verdicts = {each.name: each.verdict for each in listed}
    assert verdicts[ScenarioName.COMMITS] is Verdict.PASSED
    assert verdicts[ScenarioName.MENDS] is Verdict.FAILED
    assert {verdicts[name] for name in set(ScenarioName) - WATCHED} == {Verdict.NOT_JUDGED}
    (mends,) = (each for each in listed if each.name is ScenarioName.MENDS)
    assert mends.note == "not seen within 15m"


# The loop


ALL_BUT_STATED = Seen(
    (
        WRONG,
        receipt(2),
        receipt(3, Reason.ORDER_EXPIRED),
        receipt(4, quote_id=QUOTE),
        receipt(5, Reason.QUOTE_USED, quote_id=QUOTE),
    )
)
ALL = Seen(ALL_BUT_STATED.receipts, lines(2, 4))
Look = Seen | Failed


def looking(*looks: Look) -> Callable[[], Seen]:
    """Sees one thing after the other, and the last one for good."""

    def each() -> Iterator[Look]:
        yield from looks
        while True:
            yield looks[-1]

    coming = each()

    def look() -> Seen:
        found = next(coming)
        if isinstance(found, Failed):
            raise found
        return found

    return look


class Clock:
    """Time passes only where somebody waits."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def read(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.now_s += seconds


def watched(
    look: Callable[[], Seen],
    deadline: float = 10,
    close: Callable[[], None] | None = None,
    shown: list[Outcomes] | None = None,
) -> tuple[Outcomes, float]:
    """What was seen, and how long it took."""
    clock = Clock()
    told: list[Outcomes] = [] if shown is None else shown
    seen = watch_until(look, deadline, told.append, close, clock.read, clock.wait)
    return seen, clock.now_s


def test_a_watch_ends_as_soon_as_everything_was_seen() -> None:
    shown: list[Outcomes] = []
    seen, took_s = watched(looking(Seen(), Seen((GOOD,)), ALL), shown=shown)
    assert seen.keys() == WATCHED
    assert took_s == 2
    assert [len(each) for each in shown] == [0, 2, len(WATCHED)]


def test_a_watch_ends_in_time_with_what_it_has() -> None:
    seen, took_s = watched(looking(Seen((GOOD,))), deadline=3.5)
    assert seen.keys() == {ScenarioName.COMMITS, ScenarioName.PAGES}
    assert took_s == 3.5


def test_a_watch_closes_the_day_once_and_only_when_nothing_else_is_left() -> None:
    closings: list[float] = []
    clock = Clock()
    watch_until(
        looking(Seen((GOOD,)), ALL_BUT_STATED, ALL_BUT_STATED, ALL),
        10,
        lambda _outcomes: None,
        lambda: closings.append(clock.now_s),
        clock.read,
        clock.wait,
    )
    assert closings == [1]


def test_a_watch_waits_an_outage_out_but_not_a_server_that_never_was_there() -> None:
    away = unavailable("nobody answers", "Try again.")
    seen, _ = watched(looking(Seen(), away, away, ALL))
    assert seen.keys() == WATCHED
    with pytest.raises(Failed, match="nobody answers"):
        watched(looking(away, ALL))
    _, took_s = watched(looking(Seen(), away), deadline=4)
    assert took_s >= 4


def test_a_day_whose_closing_met_an_outage_is_closed_again() -> None:
    tries: list[int] = []

    def close() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise unavailable("nobody answers", "Try again.")

    watched(looking(ALL_BUT_STATED, ALL), close=close)
    assert len(tries) == 2


def test_a_stream_that_does_not_verify_ends_the_watch() -> None:
    with pytest.raises(Failed, match="PROOF_INVALID"):
        watched(looking(Seen(), proof_invalid("entry 2 is missing")))


# What is shown


def test_each_scenario_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    told = Lines()
    for seen in (Seen(), Seen((GOOD,)), Seen((GOOD,)), ALL):
        told.show(outcomes_of(seen))
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == f"watching for {len(WATCHED)} scenarios"
    assert len(printed) == 1 + len(WATCHED)
    assert printed[1] == f"1/6 {ScenarioName.COMMITS}: passed, COMMITTED at 1"


def test_the_table_shows_what_is_waited_for() -> None:
    ended = {ScenarioName.COMMITS: Outcome(ScenarioName.COMMITS, Verdict.PASSED, "COMMITTED at 1")}
    shown = as_table(ended)
    assert list(shown.columns[1].cells) == ["passed", *["waiting"] * (len(WATCHED) - 1)]
    assert shown.caption == f"1 of {len(WATCHED)}"
