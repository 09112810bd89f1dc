"""Several settlement currencies at once: yen without decimals, dinars with three, and yuan, each
with windows, statements, payments and a bank of its own.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from exchange.commands import Order
from exchange.outcomes import Recorded
from partners.caller import Caller
from partners.commands import AddKey, AddPartner
from partners.keys import Purpose, SeedSigner
from partners.points import currency_scale
from partners.wire import envelope_from_proto
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement.bank_simulator import PaymentRequest, bank_day
from settlement.statement import Statement
from settlement.wire import parse_statement
from tests.integration.test_settlement_cycle import (
    FIRST,
    OPERATOR,
    OWN,
    Coalition,
    agreement,
    coalition,
    order,
    put_in_force,
    server,
    worked_example,
)

__all__ = ["coalition", "server"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two brands that settle in a currency, and what 1,000 points of the first come to."""

    currency: str
    source: str
    target: str
    price: int
    """Units of the currency's scale for a target point."""
    due: tuple[int, int]
    """Of the source and the target, in units."""
    payment: tuple[str, str]
    """In whole minor units."""


YEN = Pair("JPY", "kiku", "sakura", 37_000, (-18_696_100, 18_500_000), ("-1870", "1850"))
DINAR = Pair("KWD", "dana", "noor", 1_100, (-555_830, 550_000), ("-0.556", "0.550"))
BOTH = pytest.mark.parametrize("pair", [YEN, DINAR], ids=lambda pair: pair.currency)


def join(coalition: Coalition, pair: Pair) -> None:
    """Two more brands, with one corridor between them."""
    now, day = datetime.now(UTC), timedelta(days=1)
    for place, name in enumerate((pair.source, pair.target)):
        cap = 10**10
        coalition.run(
            AddPartner(name, name.title(), (f"{name}-points",), pair.currency, cap, b"{}")
        )
        OWN[name] = SeedSigner(bytes([len(pair.currency) + place, *pair.currency.encode()] * 8))
        key = OWN[name]
        coalition.run(
            AddKey(
                f"partner/{name}",
                Purpose.AGREEMENTS,
                key.key_id,
                key.public_key,
                now - day,
                now + day,
                (),
                b"{}",
            )
        )
    put_in_force(coalition, agreement(pair.source, pair.target, (2, 1), pair.price, pair.currency))


def window(pair: Pair) -> str:
    return f"{pair.currency.lower()}-{FIRST}"


def trade(coalition: Coalition, pair: Pair) -> None:
    """Open, convert 1,000 points, close."""
    opening = pb.OpenWindowRequest(currency=pair.currency, business_date=FIRST.isoformat())
    asyncio.run(coalition.service.open_window(opening, OPERATOR))
    made: Order = order(pair.source, pair.target, 1000, 500)
    (result,) = coalition.run(made)
    assert isinstance(result, Recorded)
    assert result.refusal is None
    closing = pb.CloseWindowRequest(window_id=window(pair))
    asyncio.run(coalition.service.close_window(closing, OPERATOR))


def settle(coalition: Coalition, pair: Pair) -> pb.SettleWindowResponse:
    request = pb.SettleWindowRequest(window_id=window(pair))
    answer: pb.SettleWindowResponse = asyncio.run(
        coalition.service.settle_window(request, OPERATOR)
    )
    return answer


def statement(coalition: Coalition, pair: Pair, name: str) -> Statement:
    request = pb.GetStatementRequest(window_id=window(pair))
    answer = asyncio.run(coalition.service.get_statement(request, Caller("partner", name)))
    return parse_statement(envelope_from_proto(answer.statement).payload)


def pay(coalition: Coalition, pair: Pair, name: str, opening: Decimal) -> Decimal:
    """What the bank of the currency does with the recorded legs; its balance after that."""
    scale = currency_scale(pair.currency)
    digits = Decimal(1).scaleb(-scale.minor_digits)
    requests = [
        PaymentRequest(
            "PAY_OUT" if leg.direction == pb.LEG_DIRECTION_PAY_OUT else "PAY_IN",
            (Decimal(leg.amount) / 10**scale.scale).quantize(digits),
            leg.reference,
            leg.partner_id,
        )
        for leg in settle(coalition, pair).legs
        if leg.state == pb.LEG_STATE_PENDING
    ]
    day = bank_day(name, pair.currency, FIRST, opening, requests)
    request = pb.ImportBankFileRequest(currency=pair.currency, content=day.content)
    asyncio.run(coalition.service.import_bank_file(request, OPERATOR))
    return day.closing


@BOTH
def test_a_currency_pays_in_its_own_minor_units(coalition: Coalition, pair: Pair) -> None:
    join(coalition, pair)
    trade(coalition, pair)
    settle(coalition, pair)
    minor_unit = currency_scale(pair.currency).minor_unit
    scale = currency_scale(pair.currency).scale
    for name, due, payment in zip((pair.source, pair.target), pair.due, pair.payment, strict=True):
        stated = statement(coalition, pair, name)
        assert stated.due == due
        assert Decimal(stated.payment) / 10**scale == Decimal(payment)
        assert stated.payment % minor_unit == 0
        assert stated.carried_forward == due - stated.payment
    balance = pay(coalition, pair, "S1", Decimal(0))
    pay(coalition, pair, "S2", balance)
    assert settle(coalition, pair).window.state == pb.WINDOW_STATE_SETTLED
    assert not coalition.findings()


def test_three_currencies_settle_beside_each_other(coalition: Coalition) -> None:
    worked_example(coalition)
    for pair in (YEN, DINAR):
        join(coalition, pair)
        trade(coalition, pair)
    # In another order than they were closed in.
    settle(coalition, DINAR)
    stated = coalition.settle()
    settle(coalition, YEN)
    coalition.pay(stated.legs)
    coalition.pay(coalition.settle().legs)
    for pair in (YEN, DINAR):
        balance = pay(coalition, pair, f"S-{pair.currency}", Decimal(0))
        assert settle(coalition, pair).window.state == pb.WINDOW_STATE_PENDING_SETTLEMENT
        pay(coalition, pair, f"T-{pair.currency}", balance)
        assert settle(coalition, pair).window.state == pb.WINDOW_STATE_SETTLED
    assert coalition.settle().window.state == pb.WINDOW_STATE_SETTLED
    assert not coalition.findings()
