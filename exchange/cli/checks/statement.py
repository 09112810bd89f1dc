"""What a settlement statement proves by itself. Pure.

Its rules, beside those of `exchange.cli.checks.verification`:

- net = outgoing + incoming + fees + taxes + taxes on value + promotions, and the same of reversals,
  + adjustments; due = brought forward + restated + net - withheld; carried = brought forward +
  restated + net - payment.
  What leaves is never positive, what comes never negative, and of reversals the other way round;
  the payment is due, rounded down.
- The window is the log's range from the opening tree's size up to, without, the closing tree's.

What it proves with its line file is in `stated_lines`, with the partner's stream in
`stated_window`, with other statements in `statements`.

Source: books.md (Settlement windows), pointclear/settlement/v1/statement.proto.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from exchange.cli.checks.verification import (
    Broken,
    Fault,
    KeySet,
    KnownKey,
    check_force,
    compare,
    open_envelope,
    parse,
)
from partners.envelope import SETTLEMENT_STATEMENT
from partners.errors import Refused
from partners.points import currency_scale
from pointclear.settlement.v1.statement_pb2 import Reversals, SettlementStatement

HASH_BYTES = 32

Figures = SettlementStatement | Reversals
"""What transfers came to, and what reversals gave back."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose signature and sums hold."""

    place: str
    message: SettlementStatement
    unproven: str = ""
    """A sentence on what it does not show by itself, if there is anything."""
    sha256: bytes = b""
    """Of its payload."""
    carried_before: tuple[int, ...] = ()
    """What versions before this one carried forward, those that are here."""

    @property
    def version(self) -> int:
        """From 1."""
        return self.message.version or 1

    @property
    def indices(self) -> range:
        """The window's range of the log."""
        return range(self.message.opening_tree.size, self.message.closing_tree.size)


def check_statement(place: str, text: str, keys: KeySet) -> Statement:
    """A statement by itself. Raises Broken with all its faults."""
    envelope = open_envelope(place, text, keys, SETTLEMENT_STATEMENT)
    message = parse(place, "payload", SettlementStatement, envelope.payload)
    key = keys[envelope.signatures[0].key_id]
    # A statement is recorded behind its window, at an index that it does not state: at the earliest
    # the one at which the window was closed.
    faults = (
        *compare(place, "signing_key_id", key.key_id, message.signing_key_id),
        *_revocation_faults(place, key, message),
        *_sum_faults(place, message),
        *_sign_faults(place, message),
        *_payment_faults(place, message),
        *_range_faults(place, message),
    )
    if faults:
        raise Broken(*faults)
    unproven = ""
    if key.revoked_index is not None:
        unproven = f"whether {place} was stated before its key was revoked at {key.revoked_index}"
    return Statement(place, message, unproven, hashlib.sha256(envelope.payload).digest())


def _revocation_faults(place: str, key: KnownKey, message: SettlementStatement) -> Iterator[Fault]:
    if key.revoked_index is not None:
        yield from check_force(
            place, replace(key, registered_index=None), message.closing_tree.size
        )


def _net_of(figures: Figures) -> int:
    taxes = sum(tax.amount for tax in figures.taxes)
    value_taxes = sum(tax.outgoing + tax.incoming for tax in figures.value_taxes)
    net = figures.outgoing_value + figures.incoming_value + figures.fees + taxes
    return net + value_taxes + figures.promotions


def _sum_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    net = _net_of(message) + _net_of(message.reversals) + message.adjustments
    yield from compare(place, "net, outgoing + incoming + fees + taxes", net, message.net)
    for what, figures in (("promotions", message), ("promotions reversed", message.reversals)):
        promotions = sum(line.amount for line in figures.promotion_lines)
        yield from compare(place, f"{what}, their lines", promotions, figures.promotions)
    standing = message.brought_forward + message.restated + message.net
    due = standing - message.withheld
    said = "due, brought_forward + restated + net - withheld"
    yield from compare(place, said, due, message.due)
    carried = standing - message.payment
    said = "carried_forward, brought_forward + restated + net - payment"
    yield from compare(place, said, carried, message.carried_forward)


def _sign_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    for name, amount in _leaving(message):
        if amount > 0:
            yield Fault(place, name, "at most 0", str(amount))
    for name, amount in _coming(message):
        if amount < 0:
            yield Fault(place, name, "at least 0", str(amount))
    for name, amount in _leaving(message.reversals):
        if amount < 0:
            yield Fault(place, f"{name} reversed", "at least 0", str(amount))
    for name, amount in _coming(message.reversals):
        if amount > 0:
            yield Fault(place, f"{name} reversed", "at most 0", str(amount))


def _leaving(figures: Figures) -> Iterator[tuple[str, int]]:
    """What a partner owes for transfers, or gets back of it."""
    yield "outgoing_value", figures.outgoing_value
    yield "fees", figures.fees
    for tax in figures.taxes:
        yield f"tax {tax.tax_code}", tax.amount
    for value_tax in figures.value_taxes:
        yield f"outgoing value tax {value_tax.tax_code}", value_tax.outgoing


def _coming(figures: Figures) -> Iterator[tuple[str, int]]:
    """What a partner is owed for transfers, or gives back of it."""
    yield "incoming_value", figures.incoming_value
    for tax in figures.value_taxes:
        yield f"incoming value tax {tax.tax_code}", tax.incoming
    for line in figures.promotion_lines:
        yield f"own share of {line.promotion_id}", line.own_share


def _payment_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    try:
        currency = currency_scale(message.currency)
    except Refused as refused:
        yield Fault(place, str(refused))
        return
    yield from compare(place, "scale of the currency", currency.scale, message.scale)
    # Down to the minor unit as the partner sees it; only a pay-out may be held back.
    whole = message.due - message.due % currency.minor_unit
    if message.aborted:
        # What was paid by then stands, and nothing more is asked for.
        return
    if message.payment != 0 or message.due < 0:
        yield from compare(place, "payment, due in whole minor units", whole, message.payment)
    is_paid, is_named = message.payment != 0, bool(message.payment_reference)
    yield from compare(place, "whether there is a payment reference", is_paid, is_named)


def _range_faults(place: str, message: SettlementStatement) -> Iterator[Fault]:
    for name, tree in (("opening", message.opening_tree), ("closing", message.closing_tree)):
        yield from compare(place, f"bytes of the {name} tree's root", HASH_BYTES, len(tree.root))
    opening, closing = message.opening_tree.size, message.closing_tree.size
    if not 0 <= opening <= closing:
        yield Fault(place, "closing tree's size", f"at least {opening}", str(closing))
