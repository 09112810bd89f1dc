"""The operator takes out what it earned, and nothing that lies at the bank for somebody else."""

import asyncio
from datetime import timedelta

import pytest

from partners.errors import Reason, Refused
from pointclear.settlement.v1 import own_funds_pb2 as pb
from tests.integration.test_approval import scheme
from tests.integration.test_settlement_cycle import (
    FIRST,
    OPERATOR,
    Coalition,
    coalition,
    server,
)

__all__ = ["coalition", "server"]

CNY = 1_000_000


def withdraw(coalition: Coalition, amount: int, number: int = 1) -> pb.OwnWithdrawal:
    asked = pb.WithdrawOwnFundsRequest(
        currency="CNY", account="hub.fees", amount=amount, number=number
    )
    answer = asyncio.run(coalition.service.withdraw_own_funds(asked, OPERATOR))
    return answer.withdrawal  # type: ignore[no-any-return]


def test_fees_that_nobody_has_paid_are_not_taken_from_what_a_creditor_carries(
    coalition: Coalition,
) -> None:
    # The pay-out of 6.15 is below the minimum: the bank holds it for borealis.
    scheme(coalition, minimum_payout=100 * CNY)
    coalition.open()
    coalition.transfer("aurora", 1000)
    coalition.transfer("borealis", 200)
    coalition.close(FIRST)
    coalition.pay(coalition.settle().legs)
    coalition.settle()
    assert coalition.position("borealis") == "6.151734"
    # Fees of the open window, which are earned and not paid.
    for _ in range(20):
        coalition.transfer("aurora", 1000)
    asked = pb.ListOwnFundsRequest(currency="CNY")
    listed = asyncio.run(coalition.service.list_own_funds(asked, OPERATOR))
    (fees,) = [each for each in listed.accounts if each.name == "hub.fees"]
    # Of 6.30 there are 6.151734 borealis's and 0.006120 aurora's.
    assert (fees.posted, fees.free) == (134_100 + 20 * 98_000, 142_146)
    with pytest.raises(Refused) as refused:
        withdraw(coalition, 150_000)
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, "amount")
    assert withdraw(coalition, 140_000).state == pb.OWN_WITHDRAWAL_STATE_PENDING
    # What is on its way out was earned before, so the next window asks the operator for nothing.
    second = FIRST + timedelta(days=1)
    coalition.close(second)
    assert "hub" not in {leg.partner_id for leg in coalition.settle(second).legs}
    assert coalition.findings() == ()
