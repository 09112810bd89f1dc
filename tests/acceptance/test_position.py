"""A partner's position through a whole settlement: always the sum of its parts, and the statement's
own figures.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

import pytest

from exchange.cli.proofs import read_statement
from partners.errors import Reason
from partners.keys import Purpose
from partners.points import format_amount
from partners.wire import envelope_from_proto
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.settlement.v1 import settlement_service_pb2 as settlement_pb
from pointclear.settlement.v1.statement_pb2 import SettlementStatement
from settlement.bank_simulator import PaymentRequest, bank_day
from tests.acceptance.coalition import (
    AUDIENCE,
    BLOCK,
    BLOCK_COST,
    BLOCK_GIVES,
    BRANDS,
    CALL_TIMEOUT_S,
    CAP,
    CURRENCY,
    FIRST_DAY,
    PRICE,
    USD,
    Brand,
    Coalition,
    coalition,
    make_data_dir,
    refused,
)
from tests.processes import Server, folder

BLOCK_VALUE = BLOCK_GIVES * PRICE
WINDOWS = [f"{CURRENCY.lower()}-{FIRST_DAY + timedelta(days=day)}" for day in range(3)]
CENT = USD // 100


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
    ):
        yield founded


def position(exchange: Any, partner_id: str = "") -> pb.Position:
    """Where a partner stands; held against what is always true of it."""
    found: pb.Position = exchange.GetPosition(
        pb.GetPositionRequest(partner_id=partner_id), timeout=CALL_TIMEOUT_S
    ).position
    assert found.balance == found.carried + found.stated + found.closed + found.open
    assert found.headroom == max(0, found.net_debit_cap + found.balance - found.reserved)
    return found


def statement(brand: Brand, window_id: str) -> SettlementStatement:
    """A brand's statement, verified."""
    connection = brand.connection
    answer = connection.settlement.GetStatement(
        settlement_pb.GetStatementRequest(window_id=window_id), timeout=CALL_TIMEOUT_S
    )
    keys = connection.exchange_keys(Purpose.STATEMENTS)
    return read_statement(envelope_from_proto(answer.statement), keys, AUDIENCE, brand.name)


@dataclass(slots=True)
class Office:
    """The operator at settlement, and the bank."""

    founded: Coalition
    balance: Decimal = Decimal("0.00")
    files: int = 0
    legs: list[settlement_pb.Leg] = field(default_factory=list)

    def close(self, window_id: str) -> None:
        self._call("CloseWindow", settlement_pb.CloseWindowRequest(window_id=window_id))

    def settle(self, window_id: str) -> None:
        answer = self._call("SettleWindow", settlement_pb.SettleWindowRequest(window_id=window_id))
        self.legs = list(answer.legs)

    def bank(self, direction: Literal["PAY_IN", "PAY_OUT"]) -> None:
        """The bank books what is pending in one direction."""
        wanted = settlement_pb.LegDirection.Value(f"LEG_DIRECTION_{direction}")
        requests = [
            PaymentRequest(
                direction, Decimal(format_amount(each.amount, 6)), each.reference, each.partner_id
            )
            for each in self.legs
            if (each.direction, each.state) == (wanted, settlement_pb.LEG_STATE_PENDING)
        ]
        self.files += 1
        day = bank_day(f"file-{self.files}", CURRENCY, FIRST_DAY, self.balance, requests)
        self.balance = day.closing
        request = settlement_pb.ImportBankFileRequest(currency=CURRENCY, content=day.content)
        self._call("ImportBankFile", request)

    def _call(self, name: str, request: Any) -> Any:
        operator = self.founded.operator
        return operator.call(getattr(operator.settlement, name), request)


def test_a_position_follows_every_step_of_a_settlement(members: Coalition) -> None:
    aurora, borealis = members["aurora"], members["borealis"]
    mine, theirs = aurora.connection.exchange, borealis.connection.exchange
    office = Office(members)

    fresh = position(mine)
    assert (fresh.partner_id, fresh.currency, fresh.scale) == ("aurora", CURRENCY, 6)
    assert fresh.open_window_id == WINDOWS[0]
    assert (fresh.balance, fresh.net_debit_cap, fresh.headroom) == (0, CAP, CAP)
    assert (fresh.carried, fresh.reserved, fresh.collateral) == (0, 0, 0)

    # 7 blocks cost 3.5371 dollars, of which 3.50 are borealis's.
    aurora.send(aurora.order(source_points=7 * BLOCK))
    cost, value = 7 * BLOCK_COST, 7 * BLOCK_VALUE
    assert (position(mine).open, position(mine).headroom) == (-cost, CAP - cost)
    assert (position(theirs).open, position(theirs).headroom) == (value, CAP + value)

    office.close(WINDOWS[0])
    assert (position(mine).open, position(mine).closed) == (0, -cost)
    assert position(mine).open_window_id == WINDOWS[1]

    office.settle(WINDOWS[0])
    payment = -(-cost // CENT) * CENT
    carried = payment - cost
    assert carried > 0
    after = position(mine)
    assert (after.closed, after.stated, after.carried) == (0, -payment, carried)
    assert after.balance == -cost
    stated = statement(aurora, WINDOWS[0])
    assert (stated.payment, stated.carried_forward) == (after.stated, after.carried)

    # A transfer in the next window meanwhile is that window's alone.
    aurora.send(aurora.order(source_points=2 * BLOCK))
    assert position(mine).open == -2 * BLOCK_COST
    assert position(mine).stated == -payment

    office.bank("PAY_IN")
    paid = position(mine)
    assert (paid.stated, paid.carried) == (0, carried)
    assert paid.balance == carried - 2 * BLOCK_COST

    # The bank has the money: now the pay-out is held, and counts against the receiver's headroom.
    office.settle(WINDOWS[0])
    held = position(theirs)
    assert (held.stated, held.reserved, held.carried) == (value, value, 0)
    assert held.headroom == CAP + 2 * BLOCK_VALUE
    office.bank("PAY_OUT")
    settled = position(theirs)
    assert (settled.stated, settled.reserved, settled.balance) == (0, 0, 2 * BLOCK_VALUE)

    office.settle(WINDOWS[0])
    office.close(WINDOWS[1])
    office.settle(WINDOWS[1])
    for name in BRANDS:
        brand = members[name]
        now, last = position(brand.connection.exchange), statement(brand, WINDOWS[1])
        assert (now.carried, now.stated) == (last.carried_forward, last.payment)


def test_an_operator_sees_what_the_partner_sees(members: Coalition) -> None:
    for name in BRANDS:
        own = position(members[name].connection.exchange)
        assert position(members.operator.exchange, name) == own
        assert position(members[name].connection.exchange, name) == own


def test_t20_anothers_position_is_answered_as_one_that_does_not_exist(members: Coalition) -> None:
    method = members["aurora"].connection.exchange.GetPosition
    foreign = refused(method, pb.GetPositionRequest(partner_id="borealis"))
    assert (foreign.reason, foreign.code) == (Reason.PARTNER_UNKNOWN, "NOT_FOUND")
    assert foreign.status == refused(method, pb.GetPositionRequest(partner_id="nobody")).status
    operators = refused(
        members.operator.exchange.GetPosition, pb.GetPositionRequest(partner_id="nobody")
    )
    assert operators.status == foreign.status


def test_an_operator_names_the_partner(members: Coalition) -> None:
    refusal = refused(members.operator.exchange.GetPosition, pb.GetPositionRequest())
    assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "partner_id")
