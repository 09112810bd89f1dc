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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from pointclear.common.v1.refusal_pb2 import Reason
from pointclear.exchange.v1.record_pb2 import EntryRecord
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    ReversalOrder,
    ReversalRecord,
    TransferOrder,
    TransferRecord,
)
from pointclear.partners.v1.agreement_life_pb2 import AgreementActivation
from pointclear.partners.v1.agreement_pb2 import (
    BEARER_SOURCE,
    EXPIRY_RULE_INHERIT,
    Promotion,
    RateAgreement,
)
from pointclear.partners.v1.limits_pb2 import (
    FUNDING_CAPPED,
    HEADROOM_WHEN_SETTLED,
    Limits,
    Switches,
)
from pointclear.partners.v1.partners_service_pb2 import Partner, TaxRate
from pointclear.settlement.v1.statement_pb2 import SettlementStatement

TAXES = {"none": 0, "vat6": 600, "vat9": 900, "vat13": 1300, "vat20": 2000}
"""Basis points by code that every exchange begins with."""
CENT = 10_000
"""A minor unit in units of the books."""
SINCE_EVER = datetime(1970, 1, 1, tzinfo=UTC)
SKEW = timedelta(seconds=30)
HUB = "hub"
NEVER = datetime.max.replace(tzinfo=UTC)
UNCOUNTED = (
    *("key", "revoke-key", "action", "operator", "partner-state", "stated", "settled"),
    *("proposal", "signature", "withdrawal"),
    *("scheme", "approved", "acknowledged", "payable", "collateral-withdrawal"),
)
"""Kinds of entries that neither books nor terms depend on: here nobody is suspended."""

MOMENTS = 200
"""So many entries at most are booked between an acceptance's reading and its booking."""

REVERSALS = (6, 7)
"""Kinds of leaves."""

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
class Done:
    """A transfer that was committed, and how much of it was taken back."""

    order: TransferOrder
    terms: RateAgreement
    target: str
    """The brand."""
    paid: int
    """Target points without bonuses."""
    bonuses: list[tuple[str, int, list[tuple[str, int]]]]
    """Promotion, points, and who paid what."""
    value: int
    value_tax: int
    fee: int
    tax: int
    taken: int = 0

    def part(self, k: int) -> Counter[tuple[str, ...]]:
        """What the first `k` points of it are worth to whom: `points`, or a code and who paid."""
        n = self.order.target_points
        points = spread([self.paid, *(bonus for _, bonus, _ in self.bonuses)], k)
        returned = k if self.terms.fee_refundable else 0
        found: Counter[tuple[str, ...]] = Counter(
            {
                ("points", "OUT"): math.floor(Fraction(self.order.source_points * k, n)),
                ("points", "IN"): points[0],
                ("points", "BONUS_IN"): sum(points[1:]),
                ("VALUE",): math.floor(points[0] * price_of(self.terms)),
                ("VALUE_TAX",): round(Fraction(self.value_tax * k, n)),
                ("FEE",): round(Fraction(self.fee * returned, n)),
                ("TAX",): round(Fraction(self.tax * returned, n)),
            }
        )
        for (name, _, paid), back in zip(self.bonuses, points[1:], strict=True):
            found["granted", name] = back
            worth = math.floor(back * price_of(self.terms))
            for (funder, _), amount in zip(
                paid, spread([each for _, each in paid], worth), strict=True
            ):
                found["PROMO", funder] += amount
        return found


LINK_STARTED = ("link_id", "source_program", "target_program", "source_member_sha256")


@dataclass
class ModelLink:
    """Where a link stands."""

    programs: set[str]
    state: str = "PENDING"
    frozen: bool = False


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
    begins: dict[tuple[str, int], datetime] = field(default_factory=dict)
    ends: dict[tuple[str, int], datetime] = field(default_factory=dict)
    """By version: from when it is in force, and until when where an end was set."""
    stopped: set[tuple[str, ...]] = field(default_factory=set)
    """Switches that are out of the ordinary: who or what, and which."""
    links: dict[str, ModelLink] = field(default_factory=dict)
    demanding: set[str] = field(default_factory=set)
    """The programs whose orders name a link."""
    window: dict[str, str] = field(default_factory=dict)
    """The open one, by currency."""
    posted: Counter[str] = field(default_factory=Counter)
    """Credits less debits, by account."""
    held: Counter[str] = field(default_factory=Counter)
    """Debits that wait for the bank, by account."""
    sums: Counter[Cell] = field(default_factory=Counter)
    points: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Window, program, code."""
    granted: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    """Bonus points by agreement, version and promotion."""
    carried: Counter[str] = field(default_factory=Counter)
    """Of partners what is not paid yet; of the operator all that its legs have paid."""
    payments: dict[tuple[str, str], int] = field(default_factory=dict)
    """What a statement asks for, by window and partner."""
    done: dict[bytes, Done] = field(default_factory=dict)
    """Committed transfers, by id."""
    refused: dict[bytes, str] = field(default_factory=dict)
    """Who sent those that were not, by id."""
    accepted: set[tuple[str, str]] = field(default_factory=set)
    """Windows and the partners that have accepted their statements."""
    moments: list[tuple[Counter[str], Counter[tuple[str, str, str]]]] = field(default_factory=list)
    """How accounts and windows' points stood before each of the last entries."""
    legs: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Partner and amount (positive into the account) of every leg that waits, by reference."""

    # Orders

    def order(self, order: TransferOrder, now: datetime) -> Verdict:
        """Decide an order whose id is new and book it if it may pass."""
        verdict = self.decided(order, now)
        if verdict.reason:
            self.refused[order.transfer_id] = order.partner_id
        return verdict

    def decided(self, order: TransferOrder, now: datetime) -> Verdict:
        """What an order comes to."""
        reason = self.fault(order, now)
        if reason:
            return Verdict(reason)
        terms = self.versions[order.agreement_id, order.agreement_version]
        base, uplift = points_of(terms, order)
        promotions = self.promotions(terms, base, now)
        value = int((base + uplift) * price_of(terms))
        fee = fee_of(terms, value, base + uplift)
        # Python rounds a fraction half to even, as the books do.
        tax = round(Fraction(fee * self.tax_rate(terms.tax_code, now), 10_000))
        value_tax = round(
            Fraction(value * self.tax_rate(terms.value_tax_code or "none", now), 10_000)
        )
        target = self.brands[order.target_program]
        source_bears = terms.fee_bearer == BEARER_SOURCE
        costs = Counter({order.partner_id: value + value_tax, target: -value - value_tax})
        costs[order.partner_id if source_bears else target] += fee + tax
        paid = [share for each in promotions for share in shares_of(terms, each, base)]
        for funder, amount in paid:
            if funder != target:
                costs[funder] += amount
                costs[target] -= amount
        for party in (order.partner_id, *sorted(costs.keys() - {order.partner_id, HUB})):
            available = self.posted[f"{party}.position"] - self.held[f"{party}.position"]
            if available - costs[party] < min(-self.caps[party], available):
                own = party == order.partner_id
                return Verdict("NET_DEBIT_CAP_EXCEEDED" if own else "COUNTERPARTY_LIMIT")
        payer = f"{order.partner_id}.position"
        window = self.window[terms.settlement_currency]
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
        self.points[window, order.target_program, "IN"] += base + uplift
        bonus = order.target_points - base - uplift
        self.points[window, order.target_program, "BONUS_IN"] += bonus
        self.move(payer, f"{target}.position", value + value_tax)
        self.count(window, order.partner_id, target, "VALUE", value)
        self.count(window, order.partner_id, target, "VALUE_TAX", value_tax)
        for funder, amount in paid:
            if funder != target:
                self.move(owing(funder), f"{target}.position", amount)
                self.count(window, funder, target, "PROMO", amount)
        for each in promotions:
            name = (terms.agreement_id, terms.version, each.promotion_id)
            self.granted[name] += bonus_of(each, base)
        bearer = order.partner_id if source_bears else target
        self.move(f"{bearer}.position", "hub.fees", fee)
        self.move(f"{bearer}.position", f"hub.tax.{terms.tax_code}", tax)
        self.count(window, bearer, HUB, "FEE", fee)
        self.count(window, bearer, HUB, "TAX", tax, terms.tax_code)
        bonuses = [
            (each.promotion_id, bonus_of(each, base), shares_of(terms, each, base))
            for each in promotions
            if bonus_of(each, base)
        ]
        self.done[order.transfer_id] = Done(
            order, terms, target, base + uplift, bonuses, value, value_tax, fee, tax
        )
        return Verdict("", value, fee, tax, window)

    # Reversals

    def reversal(self, order: ReversalOrder, now: datetime) -> Verdict:
        """Decide a reversal order whose id is new and book it if it may pass. No cap is asked."""
        reason = self.reversal_fault(order, now)
        if reason:
            return Verdict(reason)
        done = self.done[order.transfer_id]
        back = done.part(done.taken + order.target_points)
        back.subtract(done.part(done.taken))
        assert min(back.values()) >= 0, "nothing is taken back that was not given"
        done.taken += order.target_points
        window = self.window[done.terms.settlement_currency]
        source, target = done.order.partner_id, done.target
        out, into = done.order.source_program, done.order.target_program
        self.move(f"{out}.redeemed", f"{out}.members", back["points", "OUT"])
        given = back["points", "IN"] + back["points", "BONUS_IN"]
        assert given == order.target_points
        self.move(f"{into}.members", f"{into}.granted", given)
        # What brands have confirmed comes back from their issuers.
        self.move(f"{out}.issuer", f"{out}.redeemed", max(0, -self.posted[f"{out}.redeemed"]))
        self.move(f"{into}.granted", f"{into}.issuer", max(0, self.posted[f"{into}.granted"]))
        for (kind, *names), amount in back.items():
            if kind == "points":
                program = out if names == ["OUT"] else into
                self.points[window, program, f"REV_{names[0]}"] += amount
            elif kind == "granted":
                self.granted[done.terms.agreement_id, done.terms.version, names[0]] -= amount
            elif kind == "PROMO" and names[0] != target:
                self.pay_back(window, target, names[0], kind, amount)
            elif kind in ("VALUE", "VALUE_TAX"):
                self.pay_back(window, target, source, kind, amount)
            elif kind in ("FEE", "TAX"):
                bearer = source if done.terms.fee_bearer == BEARER_SOURCE else target
                code = done.terms.tax_code if kind == "TAX" else ""
                self.pay_back(window, HUB, bearer, kind, amount, code)
        return Verdict("", back["VALUE",], back["FEE",], back["TAX",], window)

    def pay_back(
        self, window: str, payer: str, payee: str, kind: str, amount: int, tax: str = ""
    ) -> None:
        """One posting of a reversal."""
        hub = f"hub.tax.{tax}" if tax else "hub.fees"
        debit = f"{payer}.position" if payer != HUB else hub
        self.move(debit, owing(payee), amount)
        self.count(window, payer, payee, f"REV_{kind}", amount, tax or "none")

    def reversal_fault(self, order: ReversalOrder, now: datetime) -> str:
        """The first check that a reversal order fails."""
        if order.issued_at.ToDatetime(UTC) - SKEW > now:
            return "ORDER_FROM_FUTURE"
        if order.expires_at.ToDatetime(UTC) <= now:
            return "ORDER_EXPIRED"
        done = self.done.get(order.transfer_id)
        if done is None:
            own = self.refused.get(order.transfer_id) == order.partner_id
            return "TRANSFER_STATE" if own else "TRANSFER_UNKNOWN"
        if order.partner_id not in (done.order.partner_id, done.target):
            return "TRANSFER_UNKNOWN"
        if order.partner_id != done.target:
            return "TARGET_REVERSES"
        if done.taken + order.target_points > done.order.target_points:
            return "ALREADY_REVERSED"
        return "" if done.terms.settlement_currency in self.window else "WINDOW_STATE"

    def tax_rate(self, code: str, now: datetime) -> int:
        """Basis points at a time."""
        return max(each for each in self.taxes[code] if each[0] <= now)[1]

    def promotions(self, terms: RateAgreement, base: int, now: datetime) -> list[Promotion]:
        """Those that run and whose budgets cover the bonus."""
        return [
            each
            for each in terms.promotions
            if each.effective_from.ToDatetime(UTC) <= now < each.effective_until.ToDatetime(UTC)
            and self.granted[terms.agreement_id, terms.version, each.promotion_id]
            + bonus_of(each, base)
            <= each.budget_points
        ]

    def amount_fault(self, terms: RateAgreement, order: TransferOrder, now: datetime) -> str:
        """Whether the order expects what it gets, or what it would get of larger budgets."""
        base, uplift = points_of(terms, order)
        covered = self.promotions(terms, base, now)
        given = base + uplift + sum(bonus_of(each, base) for each in covered)
        if order.target_points == given:
            return ""
        others = [
            bonus_of(each, base)
            for each in terms.promotions
            if each.effective_from.ToDatetime(UTC) <= now < each.effective_until.ToDatetime(UTC)
            and each not in covered
        ]
        totals = {given}
        for bonus in others:
            totals |= {total + bonus for total in totals}
        return "PROMOTION_EXHAUSTED" if order.target_points in totals else "AMOUNT_MISMATCH"

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
        if self.in_force(corridor, now) != name:
            return "AGREEMENT_NOT_IN_FORCE"
        if reason := self.link_fault(order, corridor):
            return reason
        terms = self.versions[name]
        if order.segment and order.segment not in {each.segment_id for each in terms.segments}:
            return "SEGMENT_UNKNOWN"
        if (terms.expiry_rule == EXPIRY_RULE_INHERIT) != bool(order.source_lots):
            return "LOTS_MISMATCH"
        if order.source_points % terms.increment_source_points != 0:
            return "INCREMENT"
        if fault := self.amount_fault(terms, order, now):
            return fault
        if order.source_points < terms.minimum_source_points:
            return "LIMIT_EXCEEDED"
        if order.source_points > terms.maximum_source_points:
            return "LIMIT_EXCEEDED"
        return "" if terms.settlement_currency in self.window else "WINDOW_STATE"

    def link_fault(self, order: TransferOrder, corridor: tuple[str, str]) -> str:
        """What is wrong with the link that an order names, or should. Whether a member whom it
        names itself is frozen the log does not say: it holds no reference.
        """
        if not order.link_id:
            return "LINK_REQUIRED" if self.demanding & set(corridor) else ""
        link = self.links.get(str(UUID(bytes=order.link_id)))
        if link is None or set(corridor) != link.programs:
            return "LINK_UNKNOWN"
        if link.state != "ACTIVE":
            return "LINK_STATE"
        return "MEMBER_FROZEN" if link.frozen else ""

    def link(self, link_id: str, step: str, body: bytes) -> None:
        """A link begins, is confirmed, ends or is frozen."""
        if step == "start":
            started = json.loads(body)
            assert set(started) == {*LINK_STARTED}
            programs = {started["source_program"], started["target_program"]}
            self.links[link_id] = ModelLink(programs)
        elif step == "frozen":
            self.links[link_id].frozen = json.loads(body)["frozen"]
        else:
            self.links[link_id].state = {"confirm": "ACTIVE", "revoke": "REVOKED"}[step]

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

    def in_force(self, corridor: tuple[str, str], now: datetime) -> tuple[str, int] | None:
        """The version that began last on a corridor, unless it has ended."""
        begun = {
            name: begins
            for name, begins in self.begins.items()
            if begins <= now and corridor_of(self.versions[name]) == corridor
        }
        newest = max(begun, key=lambda name: begun[name], default=None)
        if newest is None or self.ends.get(newest, NEVER) <= now:
            return None
        return newest

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
            self.activation(
                AgreementActivation.FromString(entry.body), entry.recorded_at.ToDatetime(UTC)
            )
        elif kind == "termination":
            agreement_id, version, until = name.split("/")
            self.ends[agreement_id, int(version)] = datetime.fromisoformat(until)
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
                assert limits.partner.funding == FUNDING_CAPPED, "the model knows caps alone"
                assert limits.partner.headroom != HEADROOM_WHEN_SETTLED
                self.caps[limits.partner.partner_id] = limits.partner.net_debit_cap
        elif kind == "link":
            link_id, step = name.split("/")[:2]
            self.link(link_id, step, entry.body)
        elif kind == "links-required":
            program = name.partition("/")[0]
            demanded = json.loads(entry.body)["required"]
            self.demanding = self.demanding - {program} | ({program} if demanded else set())
        elif kind == "erasure":
            for link_id in json.loads(entry.body)["links"]:
                self.links[link_id].state = "REVOKED"
        elif kind == "statement":
            self.statement(SettlementStatement.FromString(entry.body))
        elif kind == "leg":
            self.leg(json.loads(entry.body))
        elif kind == "accepted":
            window, partner_id = name.split("/")
            self.accept(window, partner_id, entry)
        elif kind == "adjustment":
            self.adjustment(json.loads(entry.body))
        elif kind == "bank":
            self.bank(name.partition("/")[0], entry.body.decode())
        else:
            assert kind in UNCOUNTED, f"the model knows no {kind}"

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

    def activation(self, activation: AgreementActivation, recorded_at: datetime) -> None:
        """A version is put in force; one that is in force then ends by itself."""
        terms = RateAgreement.FromString(activation.agreement.payload)
        name = (terms.agreement_id, terms.version)
        self.versions[name] = terms
        scheduled = activation.HasField("effective_from")
        begins = activation.effective_from.ToDatetime(UTC) if scheduled else recorded_at
        assert begins >= recorded_at, "nothing begins in the past"
        self.begins[name] = begins
        if activation.HasField("effective_until"):
            self.ends[name] = activation.effective_until.ToDatetime(UTC)

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

    def accept(self, window: str, partner: str, entry: EntryRecord) -> None:
        """A brand has accepted a window: its points go on but for those that windows count which it
        has not accepted.

        They are read shortly before they are booked. What is booked in between may leave more to
        confirm, where reversals had taken back more than the open window moved: that waits for a
        later window.
        """
        self.accepted.add((window, partner))
        confirmed = {
            (each.code, each.debit_account, each.credit_account): each.amount
            for each in entry.postings
        }
        now = self.confirms(partner, self.posted, self.points)
        assert now == confirmed or any(
            self.confirms(partner, *each) == confirmed for each in reversed(self.moments)
        )
        assert all(points <= now[name] for name, points in confirmed.items())
        for (_, debit, credit), points in confirmed.items():
            self.move(debit, credit, points)

    def confirms(
        self, partner: str, posted: Mapping[str, int], points: Mapping[tuple[str, str, str], int]
    ) -> dict[tuple[str, str, str], int]:
        """What goes on of a brand's points where accounts and windows stood so."""
        expected: Counter[tuple[str, str, str]] = Counter()
        for program in (each for each, brand in self.brands.items() if brand == partner):
            waits = Counter[str]()
            for (of, counted, code), moved in points.items():
                if counted == program and (of, partner) not in self.accepted:
                    side = "out" if code.endswith("OUT") else "in"
                    waits[side] += -moved if code.startswith("REV_") else moved
            redeemed, granted = posted[f"{program}.redeemed"], -posted[f"{program}.granted"]
            retired = max(0, min(redeemed, redeemed - waits["out"]))
            issued = max(0, min(granted, granted - waits["in"]))
            expected["RETIRE", f"{program}.redeemed", f"{program}.issuer"] = retired
            expected["ISSUE", f"{program}.issuer", f"{program}.granted"] = issued
        return {name: amount for name, amount in expected.items() if amount}

    def remember(self) -> None:
        """Keep how points stand now, for an acceptance that was read now and is booked later."""
        if len(self.moments) == MOMENTS:
            del self.moments[0]
        self.moments.append((Counter(self.posted), Counter(self.points)))

    def adjustment(self, journal: dict[str, Any]) -> None:
        """A journal that finance booked by hand."""
        window, sides = self.window[journal["currency"]], (journal["payer"], journal["payee"])
        debit, credit = (each if each.startswith("hub.") else f"{each}.position" for each in sides)
        self.move(debit, credit, journal["amount"])
        payer, payee = (HUB if each.startswith("hub.") else each for each in sides)
        self.count(window, payer, payee, journal["kind"], journal["amount"])

    def leg(self, leg: dict[str, str | int]) -> None:
        """A payment is asked for or instructed: nothing moves, but a payment out is held."""
        partner, amount = str(leg["partner_id"]), int(leg["amount"])
        paid_in, window = leg["direction"] == "PAY_IN", str(leg["window_id"])
        payment = (
            self.own_payment(window) if partner == HUB else self.payments.pop((window, partner))
        )
        assert amount == (-payment if paid_in else payment)
        self.legs[str(leg["reference"])] = (partner, amount if paid_in else -amount)
        self.held["hub.bank.settlement" if paid_in else owing(partner)] += amount

    def own_payment(self, window: str) -> int:
        """What is paid, in whole cents, of how the operator stands for bonuses up to a window."""
        due = -self.carried[HUB] + sum(
            amount
            for (of, party, _, code, _), amount in self.sums.items()
            if party == HUB and code in ("PROMO", "REV_PROMO") and of <= window
        )
        payment = math.floor(Fraction(due, CENT)) * CENT
        self.carried[HUB] += payment
        return payment

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
            position, window = owing(partner), self.window[currency]
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


def owing(party: str) -> str:
    """The account of what a party owes and is owed."""
    return "hub.promotions" if party == HUB else f"{party}.position"


def spread(parts: list[int], units: int) -> list[int]:
    """Units over parts: from the last part on each gets its share of what it and those before it
    get, rounded down, and the first what is left.
    """
    if len(parts) == 1:
        return [units]
    behind = math.floor(Fraction(units * sum(parts[1:]), sum(parts))) if any(parts) else 0
    return [units - behind, *spread(parts[1:], behind)]


def points_of(terms: RateAgreement, order: TransferOrder) -> tuple[int, int]:
    """What whole blocks give, and what the segment adds."""
    rate = Fraction(terms.block_rate.target_units, terms.block_rate.source_units)
    base = math.floor(order.source_points * rate)
    multiplier = Fraction(1)
    for each in terms.segments:
        if each.segment_id == order.segment:
            multiplier = Fraction(each.multiplier_numerator, each.multiplier_denominator)
    return base, math.floor(base * (multiplier - 1))


def bonus_of(promotion: Promotion, base: int) -> int:
    """What a promotion adds."""
    return math.floor(Fraction(base * promotion.bonus_basis_points, 10_000))


def price_of(terms: RateAgreement) -> Fraction:
    """Of one target point."""
    per_thousand = Fraction(terms.price_per_thousand_target_points, 1_000)
    return terms.price_per_target_point + per_thousand


def fee_of(terms: RateAgreement, value: int, points: int) -> int:
    """The fee, rounded up and held between its bounds."""
    fee = math.ceil(Fraction(value * terms.fee_basis_points, 10_000))
    fee += points * terms.fee_per_target_point + terms.fee_fixed
    return min(max(fee, terms.fee_minimum), terms.fee_maximum or fee + terms.fee_minimum)


def shares_of(terms: RateAgreement, promotion: Promotion, base: int) -> list[tuple[str, int]]:
    """Who pays what of a bonus: whole units first, what is left to the largest remainders."""
    value = bonus_of(promotion, base) * price_of(terms)
    exact = [value * Fraction(each.share_basis_points, 10_000) for each in promotion.funders]
    parts = [math.floor(each) for each in exact]
    while sum(parts) < value:
        behind = [each - part for each, part in zip(exact, parts, strict=True)]
        parts[behind.index(max(behind))] += 1
    return [(each.funder, part) for each, part in zip(promotion.funders, parts, strict=True)]


def corridor_of(terms: RateAgreement) -> tuple[str, str]:
    """Source and target program."""
    return terms.source_program, terms.target_program


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log as it is stored, with the order that came in."""

    log_index: int
    kind: int
    """1 transfer, 2 refusal, 3 any other entry, 6 reversal, 7 refusal of one."""
    recorded_at: datetime
    record: bytes
    order: bytes | None


def replay(log: Iterable[Logged]) -> tuple[Model, dict[bytes, Verdict]]:
    """Run a log through the model, holding each outcome against it; returns the model at the end,
    and its verdicts by transfer id.
    """
    model, verdicts = Model(), dict[bytes, Verdict]()
    order: TransferOrder | ReversalOrder
    record: TransferRecord | ReversalRecord
    for entry in log:
        assert entry.log_index == model.size
        model.remember()
        model.size += 1
        if entry.order is None:
            model.entry(EntryRecord.FromString(entry.record))
            continue
        if entry.kind in REVERSALS:
            order = ReversalOrder.FromString(entry.order)
            record = ReversalRecord.FromString(entry.record)
            own_id = order.reversal_id
            verdict = model.reversal(order, entry.recorded_at)
        else:
            order = TransferOrder.FromString(entry.order)
            record = TransferRecord.FromString(entry.record)
            own_id = order.transfer_id
            verdict = model.order(order, entry.recorded_at)
        assert own_id not in verdicts, "an id is carried out once"
        found = Reason.Name(record.reason).removeprefix("REASON_") if record.reason else ""
        assert (found, record.value, record.window_id) == (
            verdict.reason,
            verdict.value,
            verdict.window_id,
        ), order
        assert (record.state == TRANSFER_STATE_COMMITTED) == (entry.kind in (1, 6)) == (not found)
        verdicts[own_id] = verdict
    return model, verdicts
