"""A member who has linked accounts of two brands: its orders name the link, and neither brand
learns the other's reference.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import uuid_utils

from exchange.cli.connection import Connection, connect
from exchange.cli.demo.brand_client import Wish
from exchange.cli.demo.households import Conversion
from exchange.cli.demo.offers import OFFERS
from exchange.cli.partners.link_commands import confirmation_request
from exchange.cli.profile import load_profile
from partners.links.link import SALT_BYTES, LinkMember
from pointclear.exchange.v1.exchange_service_pb2 import ListReceiptsRequest, ListReceiptsResponse
from pointclear.partners.v1 import link_service_pb2 as pb

CONSENT_VERSION = "sharing-1"
"""The text to which the member agreed."""
PAGE = 500


@dataclass(frozen=True, slots=True)
class LinkedMember:
    """A household's accounts in two programs, and the link between them."""

    household_id: str
    source: str
    target: str
    link_id: bytes

    @property
    def brands(self) -> frozenset[str]:
        """Both ends."""
        return frozenset((self.source, self.target))

    @property
    def references(self) -> tuple[str, str]:
        """What each of the brands calls the member, the source first."""
        return reference(self.source, self.household_id), reference(self.target, self.household_id)

    def ordered(self, wish: Wish) -> Wish:
        """The wish as the brand orders it: by the link, where it is this member's. A link serves
        both ways.
        """
        its_own = wish.member == self.household_id and {wish.source, wish.target} == self.brands
        return replace(wish, link_id=self.link_id.hex()) if its_own else wish


@dataclass(frozen=True, slots=True)
class Sight:
    """What one brand got to see of a linked member's transfers."""

    brand: str
    other: str
    reference: str
    """Its own for the member."""
    shown: tuple[str, ...]
    """The references that came with receipts and notices of these transfers."""
    transfers: int
    """Receipts and notices that came with one of both."""
    learnt: int
    """Places in all that it was told where the other brand's reference stands."""

    @property
    def is_blind(self) -> bool:
        """Whether the brand saw its own reference and never the other's."""
        return self.shown == (self.reference,) and not self.learnt


def reference(brand: str, household_id: str) -> str:
    """A brand's own reference for a household."""
    return f"{brand}-card-{household_id}"


def link_first(planned: Iterable[Conversion], folder: Path) -> LinkedMember | None:
    """Link the accounts of the first household that converts between two brands without an offer:
    the source starts the link and the target confirms it. None where nobody does.
    """
    offered = [{offer.source, offer.target} for offer in OFFERS]
    first = next((each for each in planned if {each.source, each.target} not in offered), None)
    if first is None:
        return None
    link_id = uuid_utils.uuid7().bytes
    made = LinkedMember(first.household_id, first.source, first.target, link_id)
    at_source, at_target = made.references
    with connect(load_profile(folder / made.source)) as source:
        started = pb.StartLinkRequest(
            link_id=link_id,
            source_program=made.source,
            target_program=made.target,
            member=at_source,
            member_salt=secrets.token_bytes(SALT_BYTES),
        )
        source.call(source.links.StartLink, started)
    own = LinkMember(made.target, at_target, secrets.token_bytes(SALT_BYTES))
    with connect(load_profile(folder / made.target)) as target:
        confirmed = confirmation_request(
            target.profile,
            link_id,
            own,
            pb.LINK_METHOD_SIGN_IN,
            CONSENT_VERSION,
            datetime.now(UTC),
        )
        target.call(target.links.ConfirmLink, confirmed)
    return made


def sights(linked: LinkedMember, folder: Path) -> Iterator[Sight]:
    """What each of the two brands was told, looked up as it would."""
    at_source, at_target = linked.references
    for brand, other, own_reference, others in (
        (linked.source, linked.target, at_source, at_target),
        (linked.target, linked.source, at_target, at_source),
    ):
        with connect(load_profile(folder / brand)) as own:
            yield sight(own, other, own_reference, others)


def sight(own: Connection, other: str, own_reference: str, others: str) -> Sight:
    """What one brand was told: its whole stream, and its links."""
    links = own.call(own.links.ListLinks, pb.ListLinksRequest())
    told = [links.SerializeToString()]
    members: list[str] = []
    for page in pages(own):
        told.append(page.SerializeToString())
        members += [each.member for each in page.entries if each.member in (own_reference, others)]
    return Sight(
        own.profile.caller.name,
        other,
        own_reference,
        tuple(sorted(set(members))),
        len(members),
        sum(each.count(others.encode()) for each in told),
    )


def pages(own: Connection) -> Iterator[ListReceiptsResponse]:
    """A brand's whole stream."""
    after = 0
    while True:
        request = ListReceiptsRequest(after_stream_seq=after, page_size=PAGE)
        page = own.call(own.exchange.ListReceipts, request)
        yield page
        after += len(page.entries)
        if after >= page.last_stream_seq:
            return
