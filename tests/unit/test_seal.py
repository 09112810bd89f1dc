"""Records, leaves and streams, as they are sealed."""

import hashlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given

from exchange.commands import Book, CloseWindow, Command
from exchange.fold import State, fold
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Code, Posting
from exchange.log.merkle import Frontier, leaf_data
from exchange.outcomes import Booked, Outcome, Recorded, Reversed, TransferState
from exchange.seal import LeafKind, PayloadKind, Sealed, SealedRecord, StreamHead, seal
from exchange.wire.orders import LOTS_MAX
from partners.agreement import Bearer
from partners.agreement_checks import PROMOTIONS_AT_ONCE_MAX
from partners.envelope import CREDIT_NOTICE, sign
from partners.keys import Purpose
from partners.merkle import EMPTY_ROOT, leaf_hash, root_of
from partners.wire import time_to_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1 import transfer_pb2 as pb
from pointclear.exchange.v1.record_pb2 import EntryRecord
from pointclear.partners.v1.agreement_pb2 import EXPIRY_RULE_INHERIT, BlockRate, Segment
from tests import factories as make
from tests.property.histories import FIRST, GOLD, TERMS, histories


def sealed(
    commands: Iterable[Command], state: State = FIRST, heads: dict[int, StreamHead] | None = None
) -> tuple[Sealed, tuple[Outcome, ...], State]:
    """What commands come to, sealed on an empty log."""
    folded = fold(state, commands, make.NOW)
    registry = folded.state.registry
    result = seal(folded.outcomes, registry, Frontier(), heads or {}, make.LETTERHEAD, make.salts())
    return result, folded.outcomes, folded.state


def record_of(row: SealedRecord) -> pb.TransferRecord:
    return pb.TransferRecord.FromString(row.record)


MESSAGES: dict[PayloadKind, Any] = {
    PayloadKind.RECEIPT: pb.TransferReceipt,
    PayloadKind.NOTICE: pb.CreditNotice,
    PayloadKind.FUNDING: pb.FundingNotice,
    PayloadKind.REVERSAL: pb.ReversalNotice,
}


def receipts(batch: Sealed) -> list[pb.TransferReceipt]:
    return [
        pb.TransferReceipt.FromString(entry.payload)
        for entry in batch.stream_entries
        if entry.kind is PayloadKind.RECEIPT
    ]


def notices(batch: Sealed) -> list[pb.CreditNotice]:
    return [
        pb.CreditNotice.FromString(entry.payload)
        for entry in batch.stream_entries
        if entry.kind is PayloadKind.NOTICE
    ]


KINDS = {
    TransferState.COMMITTED: LeafKind.TRANSFER,
    TransferState.HELD: LeafKind.HOLD,
    TransferState.RESERVED: LeafKind.RESERVATION,
}


@given(histories())
def test_every_outcome_has_one_record_and_its_leaf_opens_with_its_salt(
    commands: list[Command],
) -> None:
    batch, outcomes, _ = sealed(commands)
    assert [row.log_index for row in batch.records] == [each.log_index for each in outcomes]
    for row, outcome in zip(batch.records, outcomes, strict=True):
        assert row.leaf_hash == leaf_hash(leaf_data(row.kind, row.salt, row.record))
        if isinstance(outcome, Booked):
            assert row.kind is LeafKind.ENTRY
            assert EntryRecord.FromString(row.record).log_index == outcome.log_index
        elif isinstance(outcome, Reversed):
            refused = outcome.refusal is not None
            assert row.kind is (LeafKind.REVERSAL_REFUSAL if refused else LeafKind.REVERSAL)
            assert pb.ReversalRecord.FromString(row.record).log_index == outcome.log_index
        else:
            assert row.kind is KINDS.get(outcome.state, LeafKind.REFUSAL)
            assert record_of(row).log_index == outcome.log_index


@given(histories())
def test_the_frontier_has_the_root_of_the_recursive_definition(commands: list[Command]) -> None:
    batch, outcomes, _ = sealed(commands)
    leaves = [row.leaf_hash for row in batch.records]
    assert batch.frontier.size == len(outcomes)
    assert batch.frontier.root() == root_of(leaves)
    for index, root in batch.roots.items():
        assert root == root_of(leaves[: index - FIRST.next_index])


@given(histories())
def test_t10_streams_are_gapless_and_each_entry_names_the_one_before(
    commands: list[Command],
) -> None:
    batch, _, state = sealed(commands, heads={1: StreamHead(7, b"7" * 32)})
    ends = {1: (7, b"7" * 32)}
    names = {partner.number: partner.partner_id for partner in state.registry.partners.values()}
    for entry in batch.stream_entries:
        message = MESSAGES[entry.kind].FromString(entry.payload)
        seq, digest = ends.get(entry.partner_number, (0, bytes(32)))
        assert entry.stream_seq == message.stream_seq == seq + 1
        assert message.previous_sha256 == digest
        assert message.partner_id == names[entry.partner_number]
        assert (message.audience, message.signing_key_id) == (
            make.AUDIENCE,
            make.RECEIPTS.key_id,
        )
        ends[entry.partner_number] = (seq + 1, hashlib.sha256(entry.payload).digest())
    grown = {entry.partner_number for entry in batch.stream_entries}
    assert batch.stream_heads == {number: StreamHead(*ends[number]) for number in grown}


@given(histories())
def test_the_targets_notice_and_the_sources_receipt_carry_the_very_record(
    commands: list[Command],
) -> None:
    batch, outcomes, _ = sealed(commands)
    by_index = {row.log_index: row for row in batch.records}
    carried: dict[int, list[tuple[PayloadKind, bytes, bytes]]] = {}
    for entry in batch.stream_entries:
        message = MESSAGES[entry.kind].FromString(entry.payload)
        carried.setdefault(entry.log_index, []).append((entry.kind, message.record, message.salt))
    for outcome in outcomes:
        row = by_index[outcome.log_index]
        shown = carried.get(outcome.log_index, [])
        if isinstance(outcome, Booked):
            assert shown == []
            continue
        if isinstance(outcome, Reversed):
            notice = (PayloadKind.REVERSAL, row.record, row.salt)
            assert shown == [notice] * len(outcome.parties)
            continue
        kinds = [PayloadKind.RECEIPT] + [PayloadKind.NOTICE] * (
            outcome.state is TransferState.COMMITTED
        )
        kinds += [PayloadKind.FUNDING] * len(outcome.funders)
        assert shown == [(kind, row.record, row.salt) for kind in kinds]


@given(histories())
def test_the_sources_part_opens_and_states_what_was_posted(commands: list[Command]) -> None:
    batch, outcomes, _ = sealed(commands)
    committed = {
        outcome.log_index: outcome
        for outcome in outcomes
        if isinstance(outcome, Recorded) and outcome.refusal is None
    }
    for receipt in receipts(batch):
        record = pb.TransferRecord.FromString(receipt.record)
        outcome = committed.get(record.log_index)
        terms = outcome.terms if outcome else None
        if outcome is None or terms is None or terms.fee.bearer is Bearer.TARGET:
            assert (receipt.source_part, receipt.source_part_salt) == (b"", b"")
            assert record.source_part_sha256 == b""
            continue
        opened = hashlib.sha256(receipt.source_part_salt + receipt.source_part).digest()
        assert record.source_part_sha256 == opened
        part = pb.SourcePart.FromString(receipt.source_part)
        posted = {each.code: each.amount for each in outcome.postings}
        assert (part.fee, part.tax) == (posted.get(Code.FEE, 0), posted.get(Code.TAX, 0))
        assert (part.tax_code, part.tax_basis_points) == ("vat6", 600)
        assert receipt.source_part_salt != receipt.salt


@given(histories())
def test_t21_no_member_reference_is_in_a_record_a_receipt_or_a_notice(
    commands: list[Command],
) -> None:
    batch, outcomes, _ = sealed(commands)
    orders = [each.order for each in outcomes if isinstance(each, Recorded)]
    texts = [*(row.record for row in batch.records), *(e.payload for e in batch.stream_entries)]
    for order in orders:
        if order.link_id is None:
            assert order.source_member == "canary-source-4711"
        assert order.source_member.encode() in order.payload
    linked = (b"grocery-member", b"fuel-member", b"another")
    # Digits alone may also be part of a window's net.
    for secret in (b"canary", b"source-4711", b"target-0815", b"till 7", *linked):
        assert not any(secret in text for text in texts)


def test_a_fee_that_the_target_does_not_bear_is_not_shown_to_it() -> None:
    terms = make.terms(price_per_target_point=19_600)
    batch, _, _ = sealed([make.an_order(1, terms, source_points=1_000)])
    (notice,) = notices(batch)
    record = pb.TransferRecord.FromString(notice.record)
    assert {field.name for field, _ in record.ListFields()}.isdisjoint({"fee", "tax"})
    assert {field.name for field, _ in notice.ListFields()}.isdisjoint(
        {"source_part", "source_part_salt"}
    )


def test_a_committed_record_states_the_terms_and_the_window() -> None:
    order = make.an_order(1, source_points=1_000)
    batch, (outcome,), _ = sealed([order])
    record = record_of(batch.records[0])
    assert record == pb.TransferRecord(
        log_index=outcome.log_index,
        recorded_at=record.recorded_at,
        transfer_id=order.transfer_id.bytes,
        order_sha256=hashlib.sha256(order.payload).digest(),
        state=pb.TRANSFER_STATE_COMMITTED,
        source_partner="grocery",
        target_partner="fuel",
        source_program="grocery",
        target_program="fuel",
        source_points=1_000,
        target_points=500,
        agreement_id="grocery-fuel",
        agreement_version=1,
        agreement_sha256=hashlib.sha256(make.AGREEMENTS["grocery", "fuel", 1]).digest(),
        block_rate=BlockRate(source_units=2, target_units=1),
        settlement_currency="CNY",
        price_per_target_point=19_600,
        value=9_800_000,
        window_id=make.WINDOW,
        source_part_sha256=record.source_part_sha256,
    )
    assert record.recorded_at.ToDatetime(make.NOW.tzinfo) == make.NOW


@pytest.mark.parametrize(
    ("changes", "reason", "target"),
    [
        ({"source_points": 101}, "REASON_INCREMENT", "fuel"),
        ({"target_program": "nowhere"}, "REASON_PROGRAM_UNKNOWN", ""),
    ],
)
def test_a_refused_record_states_its_reason_and_no_terms(
    changes: dict[str, object], reason: str, target: str
) -> None:
    batch, _, _ = sealed([make.an_order(1, **changes)])  # type: ignore[arg-type]
    record = record_of(batch.records[0])
    assert record.state == pb.TRANSFER_STATE_REFUSED
    assert refusal_pb2.Reason.Name(record.reason) == reason
    assert record.target_partner == target
    assert {field.name for field, _ in record.ListFields()}.isdisjoint(
        {"agreement_sha256", "block_rate", "price_per_target_point", "value", "window_id"}
    )
    assert notices(batch) == []
    assert [entry.kind for entry in batch.stream_entries] == [PayloadKind.RECEIPT]


def test_an_entrys_record_names_its_accounts() -> None:
    registry = FIRST.registry
    money = registry.units[make.CURRENCY].number
    bank = hub_account(money, HubAccount.BANK_SETTLEMENT)
    position = position_account(money, registry.partners["grocery"].number)
    posting = Posting(Code.PAY_IN, bank, position, 5)
    entry = Book("pay/1", "application/json", b'{"a": 1}', (posting,), make.CURRENCY)
    batch, _, _ = sealed([entry])
    record = EntryRecord.FromString(batch.records[0].record)
    assert (record.entry_key, record.body_type, record.body) == (
        "pay/1",
        "application/json",
        b'{"a": 1}',
    )
    (posted,) = record.postings
    assert (posted.code, posted.phase, posted.amount) == ("PAY_IN", "posted", 5)
    assert (posted.debit_account, posted.credit_account) == (
        "hub.bank.settlement",
        "grocery.position",
    )
    assert batch.stream_entries == ()


def test_a_window_begins_at_the_root_before_its_leaf() -> None:
    batch, (_, close, _), _ = sealed(
        [make.an_order(1), CloseWindow(make.WINDOW, None), make.an_order(2)]
    )
    assert batch.roots == {close.log_index: root_of([batch.records[0].leaf_hash])}
    opening, outcomes, _ = sealed([make.OPENING], make.a_state(*make.founding(opened=False)))
    assert opening.roots == {outcomes[0].log_index: EMPTY_ROOT}


def test_sealing_in_two_batches_is_sealing_in_one() -> None:
    commands: list[Command] = [make.an_order(1), make.an_order(2, source_points=101)]
    commands += [CloseWindow(make.WINDOW, None), make.an_order(3)]
    folded = fold(FIRST, commands, make.NOW)
    registry, letterhead = folded.state.registry, make.LETTERHEAD
    salt = make.salts()
    first = seal(folded.outcomes[:2], registry, Frontier(), {}, letterhead, salt)
    heads = dict(first.stream_heads)
    second = seal(folded.outcomes[2:], registry, first.frontier, heads, letterhead, salt)
    whole = seal(folded.outcomes, registry, Frontier(), {}, letterhead, make.salts())
    assert first.records + second.records == whole.records
    assert first.stream_entries + second.stream_entries == whole.stream_entries
    assert second.frontier == whole.frontier
    assert second.roots == whole.roots


def test_a_salt_is_32_bytes_or_nothing_is_sealed() -> None:
    folded = fold(FIRST, [make.an_order()], make.NOW)
    with pytest.raises(ValueError, match="a salt has 32 bytes"):
        seal(folded.outcomes, FIRST.registry, Frontier(), {}, make.LETTERHEAD, lambda: b"short")


def test_the_receipts_key_is_the_exchanges() -> None:
    assert make.RECEIPTS.key_id == make.signer("exchange", Purpose.RECEIPTS).key_id
    assert make.RECEIPTS.key_id in FIRST.registry.keys


# What more the terms may say


def rich(corridor: tuple[str, str], **changes: Any) -> tuple[Sealed, Recorded, pb.TransferRecord]:
    """A transfer under the histories' terms of every kind, sealed."""
    order = make.an_order(1, TERMS[(*corridor, 3)], **changes)
    batch, (outcome,), _ = sealed([order])
    assert isinstance(outcome, Recorded)
    assert outcome.refusal is None
    return batch, outcome, record_of(batch.records[0])


def test_a_record_states_the_segment_the_promotions_and_the_tax_on_the_value() -> None:
    _, _, record = rich(("deli", "fuel"), source_points=1_000, segment="gold")
    # 400 by the rate, a sixth of it for the segment; 40 and 133 for the promotions.
    assert record.target_points == 400 + 66 + 40 + 133
    assert record.segment == GOLD
    assert record.value == 466 * 12_345
    assert (record.value_tax_code, record.value_tax_basis_points) == ("vat13", 1_300)
    assert record.value_tax == 747_860
    spring, may = record.promotions
    assert (spring.promotion_id, spring.bonus_points, spring.value) == ("spring", 40, 493_800)
    assert [(each.funder, each.amount) for each in spring.shares] == [
        ("grocery", 164_633),
        ("deli", 164_584),
        ("fuel", 164_583),
    ]
    assert (may.promotion_id, may.bonus_points, may.value) == ("may", 133, 1_641_885)
    assert [(each.funder, each.amount) for each in may.shares] == [
        ("hub", 164),
        ("grocery", 1_641_721),
    ]


def test_a_funder_gets_the_record_in_its_own_stream_and_no_part_of_another() -> None:
    batch, outcome, _ = rich(("deli", "fuel"), source_points=1_000)
    assert outcome.funders == ("grocery",)
    kinds = [entry.kind for entry in batch.stream_entries]
    assert kinds == [PayloadKind.RECEIPT, PayloadKind.NOTICE, PayloadKind.FUNDING]
    notice = pb.FundingNotice.FromString(batch.stream_entries[2].payload)
    assert (notice.partner_id, notice.stream_seq) == ("grocery", 1)
    assert (notice.record, notice.salt) == (batch.records[0].record, batch.records[0].salt)


def test_a_fee_that_the_target_bears_is_in_its_part_and_not_in_the_sources() -> None:
    batch, outcome, record = rich(("fuel", "deli"), source_points=100)
    (receipt,), (notice,) = receipts(batch), notices(batch)
    assert (receipt.source_part, record.source_part_sha256) == (b"", b"")
    opened = hashlib.sha256(notice.target_part_salt + notice.target_part).digest()
    assert record.target_part_sha256 == opened
    part = pb.TargetPart.FromString(notice.target_part)
    posted = {each.code: each.amount for each in outcome.postings}
    assert (part.fee, part.tax) == (posted[Code.FEE], posted[Code.TAX])
    assert (part.fee_terms.fixed, part.fee_terms.minimum) == (70_000, 80_000)


def test_a_price_per_thousand_and_a_fee_to_be_given_back_are_recorded() -> None:
    batch, _, record = rich(("deli", "grocery"), source_points=1_000)
    assert (record.price_per_target_point, record.price_per_thousand_target_points) == (0, 12_250)
    (receipt,) = receipts(batch)
    assert pb.SourcePart.FromString(receipt.source_part).fee_terms.refundable


def test_lots_are_shown_to_the_target_alone() -> None:
    lot = pb.SourceLot(points=100, expires_at=time_to_proto(make.NOW))
    payload = make.agreement_payload(version=9, expiry_rule=EXPIRY_RULE_INHERIT)
    order = make.an_order(1, make.terms_of(payload), source_lots=[lot])
    state = fold(FIRST, make.agreed(payload), make.NOW).state
    batch, (_, outcome), _ = sealed([make.activate(payload), order], state)
    assert isinstance(outcome, Recorded)
    assert outcome.refusal is None
    (notice,) = notices(batch)
    assert list(pb.TargetPart.FromString(notice.target_part).source_lots) == [lot]
    record = record_of(batch.records[1])
    assert record.expiry_rule == EXPIRY_RULE_INHERIT
    assert lot.SerializeToString() not in receipts(batch)[0].SerializeToString()


def test_the_largest_receipt_fits_what_one_signature_covers() -> None:
    """The longest names, four promotions of four funders, and figures of the most digits."""

    def longest(letter: str) -> str:
        return letter * 64

    promotion = pb.AppliedPromotion(
        promotion_id=longest("p"),
        bonus_basis_points=100_000,
        bonus_points=2**62,
        value=2**62,
        shares=[pb.FunderShare(funder=longest("f"), share_basis_points=9_997, amount=2**62)] * 4,
    )
    record = pb.TransferRecord(
        log_index=2**62,
        recorded_at=time_to_proto(make.NOW.replace(microsecond=999_999)),
        transfer_id=bytes(16),
        order_sha256=bytes(32),
        state=pb.TRANSFER_STATE_COMMITTED,
        source_partner=longest("a"),
        target_partner=longest("b"),
        source_program=longest("c"),
        target_program=longest("d"),
        source_points=2**62,
        target_points=2**62,
        agreement_id=longest("e"),
        agreement_version=2**31 - 1,
        agreement_sha256=bytes(32),
        block_rate=BlockRate(source_units=2**62, target_units=2**62),
        settlement_currency="CNY",
        price_per_target_point=2**62,
        value=2**62,
        window_id="cny-2026-01-01",
        source_part_sha256=bytes(32),
        segment=Segment(
            segment_id=longest("s"), multiplier_numerator=10**6, multiplier_denominator=10**4
        ),
        promotions=[promotion] * PROMOTIONS_AT_ONCE_MAX,
        value_tax_code=longest("t"),
        value_tax_basis_points=10_000,
        value_tax=2**62,
        target_part_sha256=bytes(32),
        expiry_rule=EXPIRY_RULE_INHERIT,
    )
    terms = pb.FeeTerms(
        basis_points=10_000,
        per_target_point=2**62,
        fixed=2**62,
        minimum=2**62,
        maximum=2**62,
        refundable=True,
    )
    lot = pb.SourceLot(points=2**58, expires_at=record.recorded_at)
    part = pb.TargetPart(
        fee=2**62,
        tax_code=longest("t"),
        tax_basis_points=10_000,
        tax=2**62,
        fee_terms=terms,
        source_lots=[lot] * LOTS_MAX,
    )
    notice = pb.CreditNotice(
        audience=longest("x") + longest("y"),
        partner_id=longest("b"),
        stream_seq=2**62,
        previous_sha256=bytes(32),
        signing_key_id="0" * 32,
        record=record.SerializeToString(),
        salt=bytes(32),
        target_part=part.SerializeToString(),
        target_part_salt=bytes(32),
    )
    assert sign(make.RECEIPTS, CREDIT_NOTICE, notice.SerializeToString()).payload
