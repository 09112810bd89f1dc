"""A batch as the rows that are written, by the prepared statement that writes them. Pure.

The columns of each tuple are those of the statement of that name in `ledger/prepared.sql`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from exchange.commands import Reverse
from exchange.fold import Cell, Folded, State, Tally
from exchange.ledger.postings import Balance, CreditCell, MoneyCell, PointsCell
from exchange.outcomes import Outcome, Recorded, Reversed, TransferState
from exchange.promotions import PromotionPoints
from exchange.quotes.quote import Quote
from exchange.seal import Sealed
from partners.registry import Registry

Rows = list[tuple[Any, ...]]
"""Ints, truth values, texts, byte strings and aware times, any of them None."""


def rows_of(before: State, folded: Folded, sealed: Sealed) -> dict[str, Rows]:
    """Everything that a batch writes besides rare effects and the head, by statement."""
    registry = folded.state.registry
    return {
        "write_requests": request_rows(folded.outcomes, registry),
        "write_records": record_rows(sealed),
        "write_postings": posting_rows(folded.outcomes),
        "write_stream_entries": [
            (row.partner_number, row.stream_seq, row.log_index, int(row.kind), row.payload)
            for row in sealed.stream_entries
        ],
        "write_stream_heads": [
            (number, head.last_seq, head.last_sha256)
            for number, head in sealed.stream_heads.items()
        ],
        "write_balances": balance_rows(before.balances, folded.state.balances, folded.forced),
        "write_money": money_rows(folded.window_steps),
        "write_points": points_rows(folded.window_steps),
        "write_credits": credit_rows(folded.window_steps),
        "write_holds": hold_rows(folded.outcomes, registry),
        "write_verdicts": verdict_rows(folded.outcomes),
        "write_reservations": reservation_rows(folded.outcomes, registry),
        "write_conclusions": conclusion_rows(folded.outcomes),
        "write_deliveries": delivery_rows(folded.outcomes),
        "write_reversed_points": reversed_rows(folded.outcomes),
        "write_day_tallies": [
            (subject, each.day, each.transfers, each.amount)
            for subject, each in folded.state.day_tallies.items()
            if before.day_tallies.get(subject) is not each
        ],
        "write_quotes": quote_rows(before.quotes, folded.state.quotes, sealed.quotes, registry),
        "write_quote_uses": quote_use_rows(before.quotes, folded.state.quotes),
        "write_tallies": tally_rows(before.tallies, folded.state.tallies, registry),
        "write_promotion_points": promotion_rows(
            before.promotion_points, folded.state.promotion_points
        ),
    }


def request_rows(outcomes: Iterable[Outcome], registry: Registry) -> Rows:
    """What came in, with the words of a refusal."""
    return [
        (
            str(each.order.transfer_id),
            registry.partners[each.source_partner].number,
            each.order.payload_sha256,
            each.log_index,
            each.order.payload,
            each.order.key_id,
            each.order.signature,
            each.refusal.field if each.refusal else None,
            each.refusal.text if each.refusal else None,
            str(each.order.link_id) if each.order.link_id else None,
            False,
        )
        if isinstance(each, Recorded)
        else (
            str(each.order.reversal_id),
            registry.partners[each.order.partner_id].number,
            each.order.payload_sha256,
            each.log_index,
            each.order.payload,
            each.order.key_id,
            each.order.signature,
            each.refusal.field if each.refusal else None,
            each.refusal.text if each.refusal else None,
            None,
            True,
        )
        for each in outcomes
        if (isinstance(each, Recorded) and each.decides is None)
        or (isinstance(each, Reversed) and each.decides is None)
    ]


def reversed_rows(outcomes: Iterable[Outcome]) -> Rows:
    """What has been taken back in all of each transfer that was reversed."""
    points = {
        each.order.transfer_id: (each.reversed_points, each.original.whole.target_points)
        for each in outcomes
        if isinstance(each, Reversed) and each.portion and each.original and each.original.whole
    }
    return [(str(transfer_id), *figures) for transfer_id, figures in points.items()]


def hold_rows(outcomes: Iterable[Outcome], registry: Registry) -> Rows:
    """The transfers that wait for review."""
    return [
        (
            str(each.order.transfer_id),
            registry.partners[each.source_partner].number,
            each.log_index,
            facts_of(each),
        )
        for each in outcomes
        if isinstance(each, Recorded) and each.state is TransferState.HELD
    ]


def facts_of(outcome: Recorded) -> str:
    """What the end of a hold needs and its record does not tell, as JSON."""
    lots = [(each.points, each.expires_at.isoformat()) for each in outcome.order.source_lots]
    return json.dumps(
        {
            "counted": outcome.counted,
            "promotions": outcome.promotions,
            "segment": outcome.order.segment,
            "lots": lots,
        }
    )


def verdict_rows(outcomes: Iterable[Outcome]) -> Rows:
    """What became of those that waited."""
    return [
        (str(each.decides), each.verdict.value, each.log_index)
        for each in outcomes
        if isinstance(each, Recorded)
        and each.decides is not None
        and each.verdict is not None
        and (not each.hold_index or each.state is TransferState.RESERVED)
    ]


def reservation_rows(outcomes: Iterable[Outcome], registry: Registry) -> Rows:
    """The transfers that wait for their target's answer."""
    return [
        (
            str(each.order.transfer_id),
            registry.partners[each.source_partner].number,
            each.log_index,
            each.hold_index,
            facts_of(each),
        )
        for each in outcomes
        if isinstance(each, Recorded) and each.state is TransferState.RESERVED
    ] + [
        (
            str(each.order.reversal_id),
            registry.partners[each.order.partner_id].number,
            each.log_index,
            each.log_index,
            "{}",
        )
        for each in outcomes
        if isinstance(each, Reversed) and each.state is TransferState.RESERVED
    ]


def conclusion_rows(outcomes: Iterable[Outcome]) -> Rows:
    """What became of those, with what decided it."""
    return [
        (str(each.decides), each.verdict.value, each.log_index, "CREDIT")
        for each in outcomes
        if isinstance(each, Recorded)
        and each.decides is not None
        and each.verdict is not None
        and each.hold_index
        and each.state is not TransferState.RESERVED
    ] + [
        (
            str(each.decides),
            "DECLINED" if each.refusal else "TAKEN_BACK",
            each.log_index,
            "REVERSE",
        )
        for each in outcomes
        if isinstance(each, Reversed) and each.decides is not None
    ]


def delivery_rows(outcomes: Iterable[Outcome]) -> Rows:
    """What the targets' systems are to be told."""
    return [
        (
            str(instruction_id(each)),
            told.kind.value,
            str(each.order.transfer_id),
            told.program,
            told.member_key,
            told.points,
            json.dumps(
                [
                    (lot.points, lot.expires_at.isoformat() if lot.expires_at else None)
                    for lot in told.expiry_lots
                ]
            ),
            told.committed,
            each.log_index,
            each.recorded_at,
            told.answer_by,
        )
        for each in outcomes
        if isinstance(each, Recorded | Reversed) and (told := each.instruction) is not None
    ]


def instruction_id(outcome: Recorded | Reversed) -> UUID:
    """By which a program knows what it is told."""
    order = outcome.order
    return order.reversal_id if isinstance(order, Reverse) else order.transfer_id


def record_rows(sealed: Sealed) -> Rows:
    """Records with their leaves."""
    return [
        (
            row.log_index,
            int(row.kind),
            str(row.transfer_id) if row.transfer_id else None,
            row.entry_key,
            row.recorded_at,
            row.salt,
            row.record,
            row.leaf_hash,
        )
        for row in sealed.records
    ]


def posting_rows(outcomes: Iterable[Outcome]) -> Rows:
    """The journal."""
    return [
        (
            each.log_index,
            place,
            int(posting.code),
            int(posting.phase),
            posting.debit,
            posting.credit,
            posting.amount,
            each.window.number if each.window else None,
            posting.resolves.log_index if posting.resolves else None,
            posting.resolves.place if posting.resolves else None,
        )
        for each in outcomes
        for place, posting in enumerate(each.postings)
    ]


def balance_rows(
    before: Mapping[int, Balance], after: Mapping[int, Balance], forced: Mapping[int, int]
) -> Rows:
    """The balances that changed, and by how much their floors give way."""
    return [
        (
            number,
            each.debits_pending,
            each.debits_posted,
            each.credits_pending,
            each.credits_posted,
            each.floor,
            each.credits_held,
            forced.get(number, 0),
        )
        for number, each in after.items()
        if before.get(number) is not each
    ]


def money_rows(steps: Mapping[Cell, int]) -> Rows:
    """What the windows' money sums grow by."""
    return [
        (window, cell.party, cell.counterparty, int(cell.code), cell.tax_number, by)
        for (window, cell), by in steps.items()
        if isinstance(cell, MoneyCell)
    ]


def points_rows(steps: Mapping[Cell, int]) -> Rows:
    """What the windows' points grow by."""
    return [
        (window, cell.unit, int(cell.code), by)
        for (window, cell), by in steps.items()
        if isinstance(cell, PointsCell)
    ]


def credit_rows(steps: Mapping[Cell, int]) -> Rows:
    """What the windows' credits to partners grow by."""
    return [
        (window, cell.party, by)
        for (window, cell), by in steps.items()
        if isinstance(cell, CreditCell)
    ]


def promotion_rows(before: PromotionPoints, after: PromotionPoints) -> Rows:
    """What promotions have granted, where that changed. One whose agreement the batch put in force
    was written with it, at 0.
    """
    return [(*key, points) for key, points in after.items() if before.get(key, 0) != points]


def tally_rows(before: Mapping[str, Tally], after: Mapping[str, Tally], registry: Registry) -> Rows:
    """The counts of recorded refusals that changed."""
    return [
        (registry.partners[name].number, each.minute, each.refused)
        for name, each in after.items()
        if before.get(name) is not each
    ]


def quote_rows(
    before: Mapping[UUID, Quote],
    after: Mapping[UUID, Quote],
    payloads: Mapping[UUID, bytes],
    registry: Registry,
) -> Rows:
    """The offers that were made."""
    return [
        (
            str(quote_id),
            registry.partners[each.partner_id].number,
            each.request_sha256,
            *each.terms.name,
            payloads[quote_id],
            each.expires_at,
            str(each.used_by) if each.used_by else None,
            each.reserves,
        )
        for quote_id, each in after.items()
        if quote_id not in before
    ]


def quote_use_rows(before: Mapping[UUID, Quote], after: Mapping[UUID, Quote]) -> Rows:
    """The offers of earlier batches that were used, or have lapsed."""
    return [
        (str(quote_id), str(each.used_by) if each.used_by else None, each.reserves)
        for quote_id, each in after.items()
        if quote_id in before and before[quote_id] is not each
    ]
