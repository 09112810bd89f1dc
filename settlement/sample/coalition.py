"""The three brands of a sample, and how they come into the books: partners, keys and terms as
commands. Pure.

The newcomer trades with two others both ways. Two corridors have a bonus for which a brand of
neither end pays as well, once the newcomer itself, so that all kinds of lines occur.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.commands import Command
from partners.commands import Activate, AddKey, CounterSign, Propose
from partners.envelope import RATE_AGREEMENT, Envelope, sign, to_json
from partners.key_events import EXCHANGE
from partners.keys import Purpose
from partners.negotiation.wire import activation_body
from partners.points import CurrencyScale
from partners.wire import terms_from_payload
from settlement.sample.seed import Seed
from settlement.sample.wire import Brand, Corridor, add_partner, agreement_payload

OTHERS = (
    Brand("mirror", "The mirror", "mirror"),
    Brand("harbor", "Harbor Hotels", "harbor"),
    Brand("ember", "Ember Cinemas", "ember"),
    Brand("willow", "Willow Books", "willow"),
)
BONUS_BASIS_POINTS = 500
VALID_FOR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Coalition:
    """Who takes part, and where their papers are addressed to."""

    audience: str
    currency: CurrencyScale
    own: Brand
    seed: Seed

    @property
    def others(self) -> tuple[Brand, Brand]:
        """The counterparties; the second pays for a bonus too."""
        taken = {self.own.partner_id, self.own.program}
        first, second, *_ = (each for each in OTHERS if each.partner_id not in taken)
        return first, second

    @property
    def corridors(self) -> tuple[Corridor, ...]:
        """Both ways between the newcomer and each of the others, and from one of these to the
        other.
        """
        own, (near, far) = self.own, self.others
        return (
            Corridor(own, near),
            Corridor(near, own, BONUS_BASIS_POINTS, (own.partner_id, far.partner_id)),
            Corridor(own, far),
            Corridor(far, own),
            Corridor(near, far, BONUS_BASIS_POINTS, (own.partner_id, near.partner_id)),
        )

    def founding(self, now: datetime) -> Iterator[Command]:
        """What brings the brands in, with their keys and terms."""
        for purpose in (Purpose.RECEIPTS, Purpose.STATEMENTS):
            yield self.add_key(EXCHANGE, purpose, now)
        for brand in (self.own, *self.others):
            yield add_partner(brand, self.currency)
            for purpose in (Purpose.ORDERS, Purpose.AGREEMENTS):
                yield self.add_key(brand.holder, purpose, now)
        for corridor in self.corridors:
            yield from self.agree(corridor, now)

    def add_key(self, holder: str, purpose: Purpose, now: datetime) -> AddKey:
        """Registers a key. Its leaf is in no file of a sample, so its body may be short."""
        key = self.seed.signer(holder, purpose)
        return AddKey(
            holder,
            purpose.value,
            key.key_id,
            key.public_key,
            now - VALID_FOR,
            now + VALID_FOR,
            (),
            f"{holder} {purpose}".encode(),
        )

    def agree(self, corridor: Corridor, now: datetime) -> Iterator[Command]:
        """The source proposes, whoever else is bound signs, and it comes into force."""
        payload = agreement_payload(corridor, self.audience, self.currency, now)
        terms = terms_from_payload(Envelope(RATE_AGREEMENT, payload, ()), self.audience)
        signed = [self.signed(payload, name) for name in terms.signatories]
        for name, each in zip(terms.signatories, signed, strict=True):
            signature, body = each.signatures[0], to_json(each).encode()
            if name == terms.source_partner:
                yield Propose(
                    terms, name, signature.key_id, signature.signature, payload, False, body
                )
            else:
                yield CounterSign(terms, name, signature.key_id, signature.signature, body)
        signatures = tuple(each.signatures[0] for each in signed)
        envelope = Envelope(RATE_AGREEMENT, payload, signatures)
        yield Activate(terms, activation_body(envelope, None, None))

    def signed(self, payload: bytes, partner_id: str) -> Envelope:
        """The terms under one brand's signature."""
        signer = self.seed.signer(f"partner/{partner_id}", Purpose.AGREEMENTS)
        return sign(signer, RATE_AGREEMENT, payload)
