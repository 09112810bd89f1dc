"""A batch as it is written: one list per column of each table, in the order of the log. Pure.

Lists of columns travel to PostgreSQL as arrays, so that a batch is one statement per table and one
round trip, whatever its size.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from exchange.commands import Outcome, Recorded
from exchange.fold import Cell, Tally
from exchange.ledger.postings import Balance, MoneyCell, PointsCell
from exchange.seal import Sealed
from partners.registry import Registry


def request_columns(outcomes: Iterable[Outcome], registry: Registry) -> dict[str, list[Any]]:
    """The rows of `request`, a list per column."""
    recorded = [each for each in outcomes if isinstance(each, Recorded)]
    refusals = [each.refusal for each in recorded]
    return {
        "request_ids": [str(each.order.transfer_id) for each in recorded],
        "request_partners": [registry.partners[each.source_partner].number for each in recorded],
        "request_digests": [each.order.payload_sha256 for each in recorded],
        "request_indexes": [each.log_index for each in recorded],
        "request_payloads": [each.order.payload for each in recorded],
        "request_keys": [each.order.key_id for each in recorded],
        "request_signatures": [each.order.signature for each in recorded],
        "request_refused_fields": [each.field if each else None for each in refusals],
        "request_refused_texts": [each.text if each else None for each in refusals],
    }


def record_columns(sealed: Sealed) -> dict[str, list[Any]]:
    """The rows of `record`, a list per column."""
    rows = sealed.records
    return {
        "record_indexes": [row.log_index for row in rows],
        "record_kinds": [int(row.kind) for row in rows],
        "record_transfers": [str(row.transfer_id) if row.transfer_id else None for row in rows],
        "record_keys": [row.entry_key for row in rows],
        "record_times": [row.recorded_at for row in rows],
        "record_salts": [row.salt for row in rows],
        "record_bytes": [row.record for row in rows],
        "record_leaves": [row.leaf_hash for row in rows],
    }


def posting_columns(outcomes: Iterable[Outcome]) -> dict[str, list[Any]]:
    """The rows of `posting`, a list per column."""
    rows = [
        (each.log_index, place, posting, each.window.number if each.window else None)
        for each in outcomes
        for place, posting in enumerate(each.postings)
    ]
    resolves = [row[2].resolves for row in rows]
    return {
        "posting_indexes": [row[0] for row in rows],
        "posting_places": [row[1] for row in rows],
        "posting_codes": [int(row[2].code) for row in rows],
        "posting_phases": [int(row[2].phase) for row in rows],
        "posting_debits": [row[2].debit for row in rows],
        "posting_credits": [row[2].credit for row in rows],
        "posting_amounts": [row[2].amount for row in rows],
        "posting_windows": [row[3] for row in rows],
        "posting_resolves": [each.log_index if each else None for each in resolves],
        "posting_resolved_places": [each.place if each else None for each in resolves],
    }


def stream_columns(sealed: Sealed) -> dict[str, list[Any]]:
    """The rows of `stream_entry` and the new ends in `stream_head`, a list per column."""
    rows, heads = sealed.stream_entries, sealed.stream_heads
    return {
        "entry_partners": [row.partner_number for row in rows],
        "entry_seqs": [row.stream_seq for row in rows],
        "entry_indexes": [row.log_index for row in rows],
        "entry_kinds": [int(row.kind) for row in rows],
        "entry_payloads": [row.payload for row in rows],
        "stream_partners": list(heads),
        "stream_seqs": [head.last_seq for head in heads.values()],
        "stream_digests": [head.last_sha256 for head in heads.values()],
    }


def balance_columns(
    before: Mapping[int, Balance], after: Mapping[int, Balance]
) -> dict[str, list[int]]:
    """The balances that changed, a list per column."""
    changed = [(number, each) for number, each in after.items() if before.get(number) is not each]
    return {
        "balance_accounts": [number for number, _ in changed],
        "balance_dpe": [each.debits_pending for _, each in changed],
        "balance_dpo": [each.debits_posted for _, each in changed],
        "balance_cpe": [each.credits_pending for _, each in changed],
        "balance_cpo": [each.credits_posted for _, each in changed],
    }


def sum_columns(steps: Mapping[Cell, int]) -> dict[str, list[int]]:
    """What the windows' sums grow by, a list per column."""
    money = [
        (window, cell, by) for (window, cell), by in steps.items() if isinstance(cell, MoneyCell)
    ]
    points = [
        (window, cell, by) for (window, cell), by in steps.items() if isinstance(cell, PointsCell)
    ]
    return {
        "sum_windows": [window for window, _, _ in money],
        "sum_parties": [cell.party for _, cell, _ in money],
        "sum_counterparties": [cell.counterparty for _, cell, _ in money],
        "sum_codes": [int(cell.code) for _, cell, _ in money],
        "sum_taxes": [cell.tax_number for _, cell, _ in money],
        "sum_amounts": [by for _, _, by in money],
        "points_windows": [window for window, _, _ in points],
        "points_units": [cell.unit for _, cell, _ in points],
        "points_codes": [int(cell.code) for _, cell, _ in points],
        "points_amounts": [by for _, _, by in points],
    }


def tally_columns(
    before: Mapping[str, Tally], after: Mapping[str, Tally], registry: Registry
) -> dict[str, list[int]]:
    """The counts of recorded refusals that changed, a list per column."""
    changed = [(name, each) for name, each in after.items() if before.get(name) is not each]
    return {
        "tally_partners": [registry.partners[name].number for name, _ in changed],
        "tally_minutes": [each.minute for _, each in changed],
        "tally_refused": [each.refused for _, each in changed],
    }
