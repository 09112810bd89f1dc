"""What stands between a day's statements and its payments: every brand looks at its statement and
counter-signs it; on one day one of them disputes a line, and withdraws that on the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import uuid_utils

from exchange.cli.checks.line_file import read_lines
from exchange.cli.connection import Connection
from exchange.cli.demo.billing import OPERATOR_NAME
from exchange.cli.demo.coalition import CURRENCY, SCALE
from exchange.cli.demo.operators import REASON
from exchange.cli.settlement.approval_commands import counter_sign_statement
from exchange.cli.settlement.dispute_commands import send_dispute
from exchange.cli.settlement.settlement_commands import stated_lines
from pointclear.settlement.v1 import approval_pb2 as pb
from pointclear.settlement.v1 import scheme_pb2
from pointclear.settlement.v1.statement_pb2 import DISPUTE_REASON_NOT_CREDITED, LineDispute

DISPUTES = "produce"
"""The brand that has not found a credit, until it looks again."""
CLOCK_MINUTES = 60
"""For so long silence does not accept; nobody is silent here."""
CALENDAR = "US"


@dataclass(frozen=True, slots=True)
class Disputed:
    """What was in dispute for a day."""

    window_id: str
    brand: str
    other: str
    """On the other side."""
    transfer_id: str
    amount: int
    """That was withheld, in units of the currency's scale."""
    versions: Mapping[str, int]
    """Of the day's statements, by brand."""
    withdrawn: bool = False


class Approval:
    """The brands' people of finance."""

    def __init__(self, operator: Connection, brands: Mapping[str, Connection], place: int) -> None:
        """`place` is that of the day with the dispute."""
        self._operator = operator
        self._brands = brands
        self._place = place
        self._open = b""
        self.acknowledged = 0
        self.disputed: Disputed | None = None

    def agree(self) -> None:
        """Set how the currency is settled. Raises Failed."""
        scheme = scheme_pb2.Scheme(
            currency=CURRENCY,
            zone="America/New_York",
            banking_calendar=CALENDAR,
            due_days=1,
            acknowledge_minutes=CLOCK_MINUTES,
            default_outcome=scheme_pb2.DEFAULT_OUTCOME_ACCEPTED,
            cash_legs=scheme_pb2.CASH_LEGS_MULTILATERAL,
            hold_after_days=1,
            unwind_after_days=3,
            account_cooling_hours=24,
            operator_name=OPERATOR_NAME,
        )
        request = scheme_pb2.SetSchemeRequest(change_id=uuid_utils.uuid7().bytes, scheme=scheme)
        self._operator.call(self._operator.settlement.SetScheme, request)

    def begins(self, place: int) -> None:
        """Before a day: what was in dispute the day before was found. Raises Failed."""
        if self._open and self.disputed is not None and place > self._place:
            message = LineDispute(dispute_id=self._open, is_withdrawn=True)
            send_dispute(self._brands[DISPUTES], message)
            self._open = b""
            self.disputed = replace(self.disputed, withdrawn=True)

    def accept(self, window_id: str, place: int) -> None:
        """Have every brand look at its statement, and counter-sign it. Raises Failed."""
        found = self._dispute(window_id) if place == self._place else None
        for own in self._brands.values():
            counter_sign_statement(own, window_id)
            self.acknowledged += 1
        if found is not None:
            self.disputed = Disputed(
                window_id,
                *found,
                {each.partner_id: each.version for each in self._versions(window_id)},
            )

    def _dispute(self, window_id: str) -> tuple[str, str, str, int] | None:
        """Dispute the brand's first line of points that came; None where none came."""
        own = self._brands[DISPUTES]
        lines = read_lines(window_id, stated_lines(own, window_id), SCALE).lines
        came = [line for line in lines if line.cells["role"] == "target" and line.value > 0]
        if not came:
            return None
        transfer_id = came[0].cells["transfer_id"]
        self._open = uuid_utils.uuid7().bytes
        message = LineDispute(
            dispute_id=self._open,
            line_ids=[UUID(transfer_id).bytes],
            reason=DISPUTE_REASON_NOT_CREDITED,
            comment=f"no such credit is in our books: {REASON}",
        )
        dispute = send_dispute(own, message)
        (amount,) = (each.amount for each in dispute.lines[0].amounts)
        return DISPUTES, came[0].cells["source_program"], transfer_id, amount

    def _versions(self, window_id: str) -> list[pb.StatementApproval]:
        response: pb.GetApprovalResponse = self._operator.call(
            self._operator.settlement.GetApproval, pb.GetApprovalRequest(window_id=window_id)
        )
        return list(response.statements)
