"""What decided a transfer is stored as it was signed, and whoever alters it is found out."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from exchange.batch import Ledger
from exchange.commands import Conclude, Proof, TakeBack, Undo, Verdict
from exchange.delivery.booking import booking_of
from exchange.delivery.saga import InstructionKey
from exchange.delivery.sql_store import SqlDeliveryStore, answer_digest
from exchange.outcomes import Recorded, Reversed, TransferState
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.http_evidence import content_digest, http_evidence
from partners.confirmations.json_form import confirmation_json
from partners.confirmations.verification import evidence_of, signed_confirmation
from partners.keys import Purpose, Signer
from partners.program_port import (
    CreditOutcome,
    DeclineReason,
    Evidence,
    InstructionKind,
    ProgramAnswer,
)
from partners.routes.route import Route, RouteKind
from pointclear.partners.v1 import agreement_pb2
from settlement.checks.evidence import check_evidence
from settlement.checks.invariants import check_books
from tests import factories as make
from tests.database import Database
from tests.integration.test_ledger import found
from tests.integration.test_t07_altered_rows import alter, findings

CONFIRMED = make.agreement_payload(version=3, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
UNDER = make.terms_of(CONFIRMED)
DIRECT = make.terms_of(make.AGREEMENTS["deli", "fuel", 1])
POINTS = 50
DONE, DECLINED, NEVER = CreditOutcome
FUEL = make.order_signer("fuel")


class Books:
    """A coalition whose transfers from grocery to fuel wait for fuel's answer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger: Ledger = found(database)
        database.tell("UPDATE deployment SET audience = %s", make.AUDIENCE)
        self.ledger.run(make.in_force(CONFIRMED))
        self.store = SqlDeliveryStore(database.engine())

    def reserve(self, number: int) -> UUID:
        """A transfer of which fuel was told."""
        (decided,) = self.ledger.run([make.an_order(number, UNDER)])
        assert isinstance(decided.result, Recorded)
        assert decided.result.state is TransferState.RESERVED
        self.tell()
        return make.transfer_id(number)

    def tell(self) -> None:
        """Fuel is told of all there is."""
        self.database.tell(
            "UPDATE delivery SET state = 'SENT', sent_at = now() WHERE state = 'QUEUED'"
        )

    def end(self, number: int, answer: ProgramAnswer) -> None:
        """A transfer that was answered, and ended so."""
        self.answered((self.reserve(number), InstructionKind.CREDIT), answer)

    def answered(self, key: InstructionKey, answer: ProgramAnswer) -> None:
        """Store an answer and have the books say it."""
        assert asyncio.run(self.store.answered(key, answer))
        claimed = asyncio.run(self.store.find(key))
        assert claimed is not None
        command = booking_of(claimed.answered(answer), answer_digest, lambda _: "fuel", make.NOW)
        assert isinstance(command, Conclude | TakeBack | Undo)
        (decided,) = self.ledger.run([command])
        assert isinstance(decided.result, Recorded | Reversed)
        asyncio.run(self.store.booked(key))

    def commit(self, number: int) -> UUID:
        """A transfer of which fuel was told when it was committed."""
        (decided,) = self.ledger.run([make.an_order(number, DIRECT)])
        assert isinstance(decided.result, Recorded)
        assert decided.result.state is TransferState.COMMITTED
        self.tell()
        return make.transfer_id(number)

    def ask_back(self, number: int, of: int) -> UUID:
        """A reversal that deli asks for, and of which fuel was told."""
        self.commit(of)
        (decided,) = self.ledger.run([make.reverse(number, of, 20, "deli")])
        assert isinstance(decided.result, Reversed)
        assert decided.result.state is TransferState.RESERVED
        self.tell()
        return make.reversal_id(number)

    def wrong(self) -> set[tuple[str, str]]:
        """Rule and row of everything that is found."""
        with self.database.connection() as connection:
            books = check_books(connection)
        return {(each.rule, each.subject) for each in (*books, *findings(self.database))}


@pytest.fixture
def books(fresh_database: Callable[[], Database]) -> Books:
    made = Books(fresh_database())
    made.ledger.run([make.set_route(1, Route("fuel", RouteKind.PULL))])
    made.end(1, signed(1))
    made.end(2, signed(2, DECLINED))
    made.end(3, signed(3, NEVER))
    made.end(4, over_http(4))
    letter = Evidence("text/plain", b"a letter", "", b"")
    made.end(5, ProgramAnswer(DONE, POINTS, evidence=letter))
    made.reserve(6)
    made.ledger.run([make.an_order(7, UNDER)])
    unsent = Conclude(make.transfer_id(7), Verdict.LAPSED)
    assert isinstance(made.ledger.run([unsent])[0].result, Recorded)
    made.answered((made.commit(8), InstructionKind.CREDIT), signed(8, DECLINED))
    made.answered((made.ask_back(1, of=9), InstructionKind.REVERSE), taken_back(1, 15))
    made.answered((made.ask_back(2, of=10), InstructionKind.REVERSE), taken_back(2, 0))
    made.ask_back(3, of=11)
    return made


def said(number: int, outcome: CreditOutcome = DONE) -> Confirmation:
    """What fuel says of a transfer."""
    return Confirmation(
        make.AUDIENCE,
        "fuel",
        make.transfer_id(number),
        InstructionKind.CREDIT,
        "fuel",
        outcome,
        make.NOW,
        POINTS if outcome is DONE else 0,
        DeclineReason.LIMIT if outcome is DECLINED else None,
        f"b-{number}",
    )


def signed(
    number: int, outcome: CreditOutcome = DONE, signer: Signer = FUEL, of: int | None = None
) -> ProgramAnswer:
    """A brand's answer in an envelope; `of` another transfer where one is named."""
    confirmation = said(of or number, outcome)
    return answer_of(confirmation, evidence_of(signed_confirmation(signer, confirmation)))


def taken_back(number: int, points: int) -> ProgramAnswer:
    """What fuel has taken back on the request of this number."""
    confirmation = replace(
        said(1, DONE if points else DECLINED),
        instruction_id=make.reversal_id(number),
        kind=InstructionKind.REVERSE,
        points=points,
    )
    return answer_of(confirmation, evidence_of(signed_confirmation(FUEL, confirmation)))


def over_http(number: int) -> ProgramAnswer:
    """A brand's answer over HTTP."""
    body = confirmation_json(said(number))
    base = f'"@status": 200\n"content-digest": {content_digest(body)}\n"@signature-params": ()'
    evidence = http_evidence(base.encode(), body, FUEL.key_id, FUEL.sign(base.encode()))
    return answer_of(said(number), evidence)


def answer_of(confirmation: Confirmation, evidence: Evidence) -> ProgramAnswer:
    return ProgramAnswer(
        confirmation.outcome,
        confirmation.points,
        confirmation.reason,
        confirmation.program_reference,
        evidence,
    )


def test_answers_of_every_kind_are_found_as_they_were_signed(books: Books) -> None:
    assert books.wrong() == set()


def of(number: int) -> str:
    """Names the answer to a transfer in SQL."""
    return f"WHERE instruction_id = '{make.transfer_id(number)}'"


FLIPPED = "set_byte({0}, 9, get_byte({0}, 9) # 1)"
ALTERED = {
    "its outcome": (1, "UPDATE delivery_answer SET outcome = 'DECLINED', points = 0"),
    "its points": (1, "UPDATE delivery_answer SET points = points + 1"),
    "its reason": (2, "UPDATE delivery_answer SET reason = 'SPENT'"),
    "its reference": (1, "UPDATE delivery_answer SET reference = 'b-9'"),
    "its signature": (1, f"UPDATE delivery_answer SET signature = {FLIPPED.format('signature')}"),
    "what was signed": (3, f"UPDATE delivery_answer SET content = {FLIPPED.format('content')}"),
    "what was signed over HTTP": (
        4,
        f"UPDATE delivery_answer SET content = {FLIPPED.format('content')}",
    ),
    "its digest": (1, f"UPDATE delivery_answer SET sha256 = {FLIPPED.format('sha256')}"),
    "its signer": (1, f"UPDATE delivery_answer SET key_id = '{make.order_signer('hotel').key_id}'"),
    "what operators saw": (5, "UPDATE delivery_answer SET content = 'another letter'"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_t08_an_altered_answer_is_found_and_named(books: Books, what: str) -> None:
    number, change = ALTERED[what]
    alter(books.database, "delivery_answer", f"{change} {of(number)}")
    rows = [subject for rule, subject in books.wrong() if rule == "answers_are_as_signed"]
    assert len(rows) == 1
    assert rows[0].startswith(f"delivery_answer {make.transfer_id(number)} CREDIT ")


NAMES = {number: make.transfer_id(number) for number in (1, 2, 3, 4, 5)} | {
    "what was taken back": make.reversal_id(1),
    "that nothing was taken back": make.reversal_id(2),
}


@pytest.mark.parametrize("what", NAMES)
def test_t08_a_deleted_answer_is_found_and_its_record_named(books: Books, what: str | int) -> None:
    where = f"WHERE instruction_id = '{NAMES[what]}'"
    alter(books.database, "delivery_answer", f"DELETE FROM delivery_answer {where}")
    named = {
        subject for rule, subject in books.wrong() if rule == "transfers_ended_as_was_answered"
    }
    (record,) = named
    counted = [rule for rule, _ in books.wrong() if rule == "instructions_name_their_answer"]
    assert counted, "also of a committed credit, whose record names none"
    assert str(NAMES[what]) in record


@pytest.mark.parametrize(
    "forged",
    [
        signed(6, signer=make.order_signer("deli")),
        signed(6, signer=make.signer("partner/fuel", Purpose.AGREEMENTS)),
        signed(6, signer=make.signer("partner/nobody", Purpose.ORDERS)),
        signed(6, of=1),
    ],
    ids=["another-brand's", "another-purpose", "unregistered", "another-transfer's"],
)
def test_t08_a_forged_answer_is_found_before_it_decides_anything(
    books: Books, forged: ProgramAnswer
) -> None:
    key = make.transfer_id(6), InstructionKind.CREDIT
    assert asyncio.run(books.store.answered(key, forged))
    ((rule, subject),) = books.wrong()
    assert rule == "answers_are_as_signed"
    assert str(make.transfer_id(6)) in subject


def test_t08_a_transfer_that_ended_otherwise_than_was_answered_is_found(books: Books) -> None:
    name, answer = make.transfer_id(6), signed(6, DECLINED)
    assert asyncio.run(books.store.answered((name, InstructionKind.CREDIT), answer))
    proof = Proof(answer_digest(answer), FUEL.key_id)
    (decided,) = books.ledger.run([Conclude(name, Verdict.CREDITED, proof)])
    assert isinstance(decided.result, Recorded)
    assert {rule for rule, _ in books.wrong()} == {"transfers_ended_as_was_answered"}


def test_a_repeat_by_the_next_key_is_kept_beside_the_first_signature(books: Books) -> None:
    """The bytes are the same, and the first key may be revoked before the books take them."""
    key, first = (make.transfer_id(6), InstructionKind.CREDIT), signed(6)
    old = make.signer("partner/fuel", Purpose.AGREEMENTS)
    assert asyncio.run(books.store.answered(key, signed(6, signer=old)))
    assert asyncio.run(books.store.answered(key, first))
    (unbooked,) = asyncio.run(books.store.unbooked(9, make.NOW - make.NOW))
    assert unbooked.answer.evidence == first.evidence


RESERVATIONS = {
    "asked for and forgotten": (
        f"DELETE FROM reservation WHERE transfer_id = '{make.reversal_id(3)}'",
        "reservations_are_as_recorded",
    ),
    "closed without an end": (
        f"UPDATE delivery SET state = 'CONCLUDED' WHERE instruction_id = '{make.transfer_id(6)}'",
        "open_reservations_are_pursued",
    ),
    "reopened": (
        f"UPDATE reservation SET verdict = NULL, decided_index = NULL"
        f" WHERE transfer_id = '{make.transfer_id(1)}'",
        "reservations_hold_until_they_end",
    ),
    "said to have ended otherwise": (
        f"UPDATE reservation SET verdict = 'DECLINED' WHERE transfer_id = '{make.transfer_id(1)}'",
        "reservations_hold_until_they_end",
    ),
    "said to have ended elsewhere": (
        f"UPDATE reservation SET decided_index = decided_index + 100"
        f" WHERE transfer_id = '{make.transfer_id(1)}'",
        "reservations_are_as_recorded",
    ),
    "forgotten": (
        f"DELETE FROM reservation WHERE transfer_id = '{make.transfer_id(6)}'",
        "reservations_are_as_recorded",
    ),
    "void though it was told": (
        f"UPDATE delivery SET sent_at = now() WHERE instruction_id = '{make.transfer_id(7)}'",
        "reservations_end_by_an_answer",
    ),
}


@pytest.mark.parametrize("what", RESERVATIONS)
def test_t08_a_reservation_that_is_not_as_its_records_say_is_found(books: Books, what: str) -> None:
    change, rule = RESERVATIONS[what]
    alter(books.database, change.split()[2 if change.startswith("DELETE") else 1], change)
    assert rule in {each for each, _ in books.wrong()}


def test_the_answers_are_checked_in_pieces(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("settlement.checks.answers.CHUNK", 2)
    alter(books.database, "delivery_answer", f"UPDATE delivery_answer SET points = 9 {of(5)}")
    with books.database.connection() as connection:
        found_rows = list(check_evidence(connection, lambda _: None))
    named = [each.subject for each in found_rows if each.rule == "answers_are_as_signed"]
    assert len(named) == 1
    assert str(make.transfer_id(5)) in named[0]
