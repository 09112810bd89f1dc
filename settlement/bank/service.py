"""The calls of SettlementService about the bank: its files, and what lies in suspense."""

import asyncio

from partners.caller import Caller
from partners.points import currency_scale
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank.desk import BankDesk, TakenIn
from settlement.bank.matching import Use
from settlement.course import Course


class BankCalls:
    """The handlers. They raise Refused; the edge maps it to the wire."""

    def __init__(self, course: Course) -> None:
        self._desk = BankDesk(course)

    async def import_bank_file(
        self, request: pb.ImportBankFileRequest, caller: Caller
    ) -> pb.ImportBankFileResponse:
        """Operators: book a bank file, all of it or nothing, then whatever it makes possible."""
        caller.require_operator()
        currency_scale(request.currency)
        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        taken = await asyncio.shield(self._desk.take_in(request.currency, request.content))
        return _imported(taken)


def _imported(taken: TakenIn) -> pb.ImportBankFileResponse:
    return pb.ImportBankFileResponse(
        matched=taken.count(Use.CONFIRMED, Use.COLLATERAL_CONFIRMED),
        unmatched=taken.count(Use.SUSPENSE),
        repeated_entries=len(taken.file.entries) if taken.is_repeat else 0,
    )
