"""What two people approve: how each partner stands when its window is stated. Pure.

It is booked before the first statement, as `approved/<window>`, so that a stating that a crash cut
short goes on with the figures that were approved, whatever has happened since. What the window came
to follows from its sums and lines, and is the same at any time.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from exchange.commands import Book, Fact
from exchange.json_body import JSON_BODY, json_body
from partners.errors import Reason, Refused
from settlement.own_funds.own_leg import OwnStood
from settlement.pairs.standing import PairStood
from settlement.statement import Standing
from settlement.windows import SettlementWindow

KIND = "approved"
PAIRS = "pairs"
"""A second fact, of a draft by which partners pay each other."""


@dataclass(frozen=True, slots=True)
class Stood:
    """How one partner stands. Units of the currency's scale; positive is owed to it."""

    brought_forward: int
    restated: int
    withheld: int
    collateral: int
    reserved_at_cut_off: int
    funding: str
    net_debit_cap: int
    signing_key_id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """How all partners of a window stand, and how it is paid."""

    window_id: str
    nets: Mapping[str, int]
    """By partner id, `hub` among them."""
    due_date: date
    minimum_payout: int
    partners: Mapping[str, Stood]
    pairs: tuple[PairStood, ...] | None = None
    """How pairs stand that pay each other; None where the bank settles all."""
    pairs_since: int = 0
    """Log index from which on they have done so."""
    own: OwnStood | None = None
    """How the operator stands for the bonuses that it pays; None where it pays none."""

    @property
    def body(self) -> bytes:
        """The one form of it."""
        document: dict[str, Any] = {
            "due_date": self.due_date.isoformat(),
            "minimum_payout": self.minimum_payout,
            "nets": dict(self.nets),
            "partners": {name: asdict(each) for name, each in self.partners.items()},
            "window_id": self.window_id,
        }
        if self.pairs is not None:
            document["pairs"] = [asdict(each) for each in self.pairs]
            document["pairs_since"] = self.pairs_since
        if self.own is not None:
            document["own"] = asdict(self.own)
        return json_body(document)

    @property
    def sha256(self) -> bytes:
        """By which a maker and a checker know it again."""
        return hashlib.sha256(self.body).digest()

    def standing(self, partner_id: str) -> Standing:
        """How a partner stands, as its statement takes it."""
        stood = self.partners[partner_id]
        return Standing(
            stood.restated,
            stood.withheld,
            stood.collateral,
            stood.reserved_at_cut_off,
            self.due_date,
            stood.funding,
            self.minimum_payout,
        )


def draft_from(body: bytes) -> Draft:
    """A draft from its entry."""
    document: dict[str, Any] = json.loads(body)
    pairs, own = document.get("pairs"), document.get("own")
    return Draft(
        document["window_id"],
        document["nets"],
        date.fromisoformat(document["due_date"]),
        document["minimum_payout"],
        {name: Stood(**each) for name, each in document["partners"].items()},
        None if pairs is None else tuple(PairStood(**each) for each in pairs),
        document.get("pairs_since", 0),
        None if own is None else OwnStood(**own),
    )


def draft_key(window_id: str) -> str:
    """Entry key of an approved draft."""
    return f"{KIND}/{window_id}"


def draft_entry(window: SettlementWindow, draft: Draft) -> Book:
    """Books what was approved."""
    kinds = (KIND,) if draft.pairs is None else (KIND, PAIRS)
    facts = tuple(Fact(kind, window.currency.code, window_number=window.number) for kind in kinds)
    return Book(draft_key(window.window_id), JSON_BODY, draft.body, facts=facts)


def check_approved(draft: Draft, sha256: bytes) -> None:
    """Raise Refused(FIELD_INVALID) unless the draft is the one that was looked at; no digest
    approves whatever stands.
    """
    if sha256 and sha256 != draft.sha256:
        raise Refused(
            Reason.FIELD_INVALID,
            "draft_sha256",
            f"the draft of {draft.window_id} has changed since: look at it again",
            {"draftSha256": draft.sha256.hex()},
        )
