"""A second exchange, as simple as the books' page allows: one thread, dictionaries and names.

It is written from the protocol's order of checks and the rules of the books, and shares no
arithmetic and no decision with the program: amounts are fractions that are rounded where the books
say so. It is fed the log in the order of its indexes, with the orders that came in, and says what
each entry must have come to. Only the clock is taken from the log.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from pointclear.common.v1.refusal_pb2 import Reason
from pointclear.exchange.v1.record_pb2 import EntryRecord
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    TransferOrder,
    TransferRecord,
)
from pointclear.partners.v1.agreement_pb2 import RateAgreement
from pointclear.partners.v1.limits_pb2 import Limits, Switches
from pointclear.partners.v1.partners_service_pb2 import Partner, TaxRate
from pointclear.settlement.v1.statement_pb2 import SettlementStatement

TAXES = {"none": 0, "vat6": 600, "vat9": 900, "vat13": 1300, "vat20": 2000}
"""Basis points by code that every exchange begins with."""
CENT = 10_000
"""A minor unit in units of the books."""
SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
SKEW = timedelta(seconds=30)
HUB = "hub"

Cell = tuple[str, str, str, str, str]
"""Window, party, counterparty, code, tax code."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an order comes to."""

    reason: str
    """Empty where it is committed."""
    value: int = 0
    fee: int = 0
    tax: int = 0
    window_id: str = ""


@dataclass
class Model:
    """The books and the terms, by name."""

    size: int = 0
    caps: dict[str, int] = field(default_factory=dict)
    taxes: dict[str, list[tuple[datetime, int]]] = field(
        default_factory=lambda: {code: [(SINCE_EVER, bps)] for code, bps in TAXES.items()}
    )
    """Basis points by code, each from an instant on."""
    brands: dict[str, str] = field(default_factory=dict)
    """By program."""
    versions: dict[tuple[str, int], RateAgreement] = field(default_factory=dict)
    """That were ever in force."""
    in_force: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    """By corridor."""
    stopped: set[tuple[str, ...]] = field(default_factory=set)
    """Switches that are out of the ordinary: who or what, and which."""
    window: dict[str, str] = field(default_factory=dict)
    """The open one, by currency."""
    posted: Counter[str] = field(default_factory=Counter)
    """Credits less debits, by account."""
    held: Counter[str] = field(default_factory=Counter)
    """Debits that wait for the bank, by account."""
    sums: Counter[Cell] = field(default_factory=Counter)
    points: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Window, program, code."""
    carried: Counter[str] = field(default_factory=Counter)
    payments: dict[tuple[str, str], int] = field(default_factory=dict)
    """What a statement asks for, by window and partner."""
    legs: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Partner and amount (positive into the account) of every leg that waits, by reference."""

    # Orders

    def order(self, order: TransferOrder, now: datetime) -> Verdict:
        """Decide an order whose id is new and book it if it may pass."""
        reason = self.fault(order, now)
        if reason:
            return Verdict(reason)
        terms = self.versions[order.agreement_id, order.agreement_version]
        value = order.target_points * terms.price_per_target_point
        fee = math.ceil(Fraction(value * terms.fee_basis_points, 10_000))
        # Python rounds a fraction half to even, as the books do.
        rate = max(each for each in self.taxes[terms.tax_code] if each[0] <= now)[1]
        tax = round(Fraction(fee * rate, 10_000))
        payer = f"{order.partner_id}.position"
        available = self.posted[payer] - self.held[payer]
        if available - value - fee - tax < min(-self.caps[order.partner_id], available):
            return Verdict("NET_DEBIT_CAP_EXCEEDED")
        window = self.window[terms.settlement_currency]
        target = self.brands[order.target_program]
        self.move(
            f"{order.source_program}.members",
            f"{order.source_program}.redeemed",
            order.source_points,
        )
        self.points[window, order.source_program, "OUT"] += order.source_points
        self.move(
            f"{order.target_program}.granted",
            f"{order.target_program}.members",
            order.target_points,
        )
        self.points[window, order.target_program, "IN"] += order.target_points
        self.move(payer, f"{target}.position", value)
        self.move(payer, "hub.fees", fee)
        self.move(payer, f"hub.tax.{terms.tax_code}", tax)
        self.count(window, order.partner_id, target, "VALUE", value)
        self.count(window, order.partner_id, HUB, "FEE", fee)
        self.count(window, order.partner_id, HUB, "TAX", tax, terms.tax_code)
        return Verdict("", value, fee, tax, window)

    def fault(self, order: TransferOrder, now: datetime) -> str:
        """The first check that an order fails, the books' own left out."""
        issued = order.issued_at.ToDatetime(UTC)
        if issued - SKEW > now:
            return "ORDER_FROM_FUTURE"
        if order.expires_at.ToDatetime(UTC) <= now:
            return "ORDER_EXPIRED"
        corridor = (order.source_program, order.target_program)
        if not all(program in self.brands for program in corridor):
            return "PROGRAM_UNKNOWN"
        if self.brands[order.source_program] != order.partner_id:
            return "NOT_A_PARTY"
        if reason := self.switched_off(*corridor):
            return reason
        name = (order.agreement_id, order.agreement_version)
        if name not in self.versions:
            return "AGREEMENT_UNKNOWN"
        if self.in_force.get(corridor) != name:
            return "AGREEMENT_NOT_IN_FORCE"
        terms = self.versions[name]
        blocks = Fraction(order.source_points, terms.block_rate.source_units)
        if order.source_points % terms.increment_source_points != 0:
            return "INCREMENT"
        if blocks * terms.block_rate.target_units != order.target_points:
            return "AMOUNT_MISMATCH"
        if order.source_points < terms.minimum_source_points:
            return "LIMIT_EXCEEDED"
        if order.source_points > terms.maximum_source_points:
            return "LIMIT_EXCEEDED"
        return "" if terms.settlement_currency in self.window else "WINDOW_STATE"

    def switched_off(self, source: str, target: str) -> str:
        """The first switch that stands in the way of a corridor."""
        sender, receiver, off = self.brands[source], self.brands[target], self.stopped
        if {("sending", sender), ("receiving", receiver)} & off:
            return "PARTNER_SUSPENDED"
        if ("closed", source, target) in off:
            return "CORRIDOR_CLOSED"
        if {("maintenance", source), ("maintenance", target)} & off:
            return "PROGRAM_IN_MAINTENANCE"
        return "SETTLEMENT_ON_HOLD" if {("hold", sender), ("hold", receiver)} & off else ""

    # Entries

    def entry(self, entry: EntryRecord) -> None:
        """Carry out anything else that was booked; fails where its body is not what must be."""
        kind, _, name = entry.entry_key.partition("/")
        if kind == "partner":
            partner = Partner.FromString(entry.body)
            self.caps[name] = partner.settlement_account.net_debit_cap
            self.brands |= dict.fromkeys(partner.programs, name)
        elif kind == "tax":
            added = TaxRate.FromString(entry.body)
            begins = added.effective_from.ToDatetime(UTC)
            self.taxes.setdefault(added.tax_code, []).append((begins, added.basis_points))
        elif kind == "agreement":
            terms = RateAgreement.FromString(entry.body)
            self.versions[terms.agreement_id, terms.version] = terms
            corridor = (terms.source_program, terms.target_program)
            self.in_force[corridor] = (terms.agreement_id, terms.version)
        elif kind == "open":
            self.window[json.loads(entry.body)["currency"]] = name
        elif kind == "close":
            body = json.loads(entry.body)
            assert self.window[body["currency"]] == name
            assert {k: v for k, v in body["nets"].items() if v} == self.nets(name)
            self.window[body["currency"]] = body["next"]["window_id"]
        elif kind == "switches":
            self.switch(Switches.FromString(entry.body))
        elif kind == "limits":
            limits = Limits.FromString(entry.body)
            if limits.HasField("partner"):
                self.caps[limits.partner.partner_id] = limits.partner.net_debit_cap
        elif kind == "statement":
            self.statement(SettlementStatement.FromString(entry.body))
        elif kind == "leg":
            self.leg(json.loads(entry.body))
        elif kind == "bank":
            self.bank(name.partition("/")[0], entry.body.decode())
        else:
            assert kind in ("key", "revoke-key", "stated", "settled"), f"the model knows no {kind}"

    def switch(self, switches: Switches) -> None:
        """All switches of one subject are set anew."""
        partner, corridor, program = switches.partner, switches.corridor, switches.program
        positions: dict[tuple[str, ...], bool] = {
            ("sending", partner.partner_id): partner.sending_stopped,
            ("receiving", partner.partner_id): partner.receiving_stopped,
            ("hold", partner.partner_id): partner.settlement_on_hold,
            ("closed", corridor.source_program, corridor.target_program): corridor.closed,
            ("maintenance", program.program_id): program.in_maintenance,
        }
        named = {name for name in positions if all(name)}
        self.stopped = (self.stopped - named) | {name for name in named if positions[name]}

    def statement(self, stated: SettlementStatement) -> None:
        """A partner's window: what is due, and whole cents of it paid, rounded down."""
        partner, window = stated.partner_id, stated.window_id
        net = self.nets(window).get(partner, 0)
        due = self.carried[partner] + net
        payment = math.floor(Fraction(due, CENT)) * CENT
        assert (stated.brought_forward, stated.net, stated.due, stated.payment) == (
            self.carried[partner],
            net,
            due,
            payment,
        )
        assert stated.carried_forward == due - payment
        self.carried[partner] = due - payment
        self.payments[window, partner] = payment

    def leg(self, leg: dict[str, str | int]) -> None:
        """A payment is asked for or instructed: nothing moves, but a payment out is held."""
        partner, amount = str(leg["partner_id"]), int(leg["amount"])
        paid_in = leg["direction"] == "PAY_IN"
        payment = self.payments.pop((str(leg["window_id"]), partner))
        assert amount == (-payment if paid_in else payment)
        self.legs[str(leg["reference"])] = (partner, amount if paid_in else -amount)
        self.held["hub.bank.settlement" if paid_in else f"{partner}.position"] += amount

    def bank(self, currency: str, content: str) -> None:
        """A bank file: what it shows has moved."""
        for row in csv.reader(io.StringIO(content)):
            if row[0] != "ENTRY":
                continue
            amount = int(Fraction(row[3]) * 1_000_000)
            if row[4] not in self.legs:
                assert amount > 0
                self.move("hub.bank.settlement", "hub.suspense", amount)
                continue
            partner, expected = self.legs.pop(row[4])
            assert amount == expected
            position, window = f"{partner}.position", self.window[currency]
            if amount > 0:
                self.held["hub.bank.settlement"] -= amount
                self.move("hub.bank.settlement", position, amount)
                self.count(window, HUB, partner, "PAY_IN", amount)
            else:
                self.held[position] += amount
                self.move(position, "hub.bank.settlement", -amount)
                self.count(window, partner, HUB, "PAY_OUT", -amount)

    # Books

    def move(self, debit: str, credit: str, amount: int) -> None:
        """One posting."""
        self.posted[debit] -= amount
        self.posted[credit] += amount

    def count(
        self, window: str, payer: str, payee: str, code: str, amount: int, tax: str = "none"
    ) -> None:
        """What a window counts of a posting: both sides."""
        self.sums[window, payer, payee, code, tax] -= amount
        self.sums[window, payee, payer, code, tax] += amount

    def nets(self, window: str) -> dict[str, int]:
        """Each party's net of a window, payments left out; none that is 0."""
        found: Counter[str] = Counter()
        for (of, party, _, code, _), amount in self.sums.items():
            if of == window and not code.startswith("PAY_"):
                found[party] += amount
        assert sum(found.values()) == 0
        return {party: net for party, net in found.items() if net}


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log as it is stored, with the order that came in."""

    log_index: int
    kind: int
    """1 transfer, 2 refusal, 3 any other entry."""
    recorded_at: datetime
    record: bytes
    order: bytes | None


def replay(log: Iterable[Logged]) -> tuple[Model, dict[bytes, Verdict]]:
    """Run a log through the model, holding each outcome against it; returns the model at the end,
    and its verdicts by transfer id.
    """
    model, verdicts = Model(), dict[bytes, Verdict]()
    for entry in log:
        assert entry.log_index == model.size
        model.size += 1
        if entry.order is None:
            model.entry(EntryRecord.FromString(entry.record))
            continue
        order, record = TransferOrder.FromString(entry.order), TransferRecord()
        record.ParseFromString(entry.record)
        assert order.transfer_id not in verdicts, "an id is carried out once"
        verdict = model.order(order, entry.recorded_at)
        found = Reason.Name(record.reason).removeprefix("REASON_") if record.reason else ""
        assert (found, record.value, record.window_id) == (
            verdict.reason,
            verdict.value,
            verdict.window_id,
        ), order
        assert (record.state == TRANSFER_STATE_COMMITTED) == (entry.kind == 1) == (not found)
        verdicts[order.transfer_id] = verdict
    return model, verdicts
