"""The terms of one corridor, as both brands signed them: values only. Pure.

What terms must be is `partners.agreement_checks`'s to say, what they make of an amount
`partners.conversion`'s. A rate is a pair of integers, money is in units of the currency's scale,
and nothing here rounds.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

BASIS_POINTS = 10_000
"""Basis points in the whole."""

HUB = "hub"
"""How terms name the operator. No partner may be called so."""


@dataclass(frozen=True, slots=True)
class BlockRate:
    """`source_units` points of the source give `target_units` points of the target."""

    source_units: int
    target_units: int


@dataclass(frozen=True, slots=True)
class Price:
    """What target points cost."""

    units: int
    """In units of the currency's scale."""
    points: int = 1
    """For how many target points: 1 or 1,000."""


class CreditMode(StrEnum):
    """How the target promises its credit: what decides whether a transfer takes place."""

    GUARANTEED = "GUARANTEED"
    """It honours every transfer that we commit."""
    CONFIRMED = "CONFIRMED"
    """Its signed answer commits; until that comes, the transfer is reserved."""


class Bearer(StrEnum):
    """Who bears a fee and the tax on it."""

    SOURCE = "SOURCE"
    TARGET = "TARGET"


@dataclass(frozen=True, slots=True)
class Fee:
    """The operator's fee on one transfer. Money is in units of the currency's scale."""

    basis_points: int
    """Of the value, promotions left out."""
    tax_code: str
    """Names the tax on the fee."""
    bearer: Bearer = Bearer.SOURCE
    per_target_point: int = 0
    """Promotions left out, too."""
    fixed: int = 0
    minimum: int = 0
    maximum: int = 0
    """0 does not limit."""
    refundable: bool = False
    """Whether a reversal gives fee and tax back."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A tier of members, whose points are `numerator / denominator` of what the rate gives."""

    segment_id: str
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Funder:
    """Who pays a share of a promotion."""

    name: str
    """A partner's id, or `HUB`."""
    share_basis_points: int
    """Of the value of the bonus points."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """Bonus points for a time."""

    promotion_id: str
    bonus_basis_points: int
    """Of the points that the block rate gives."""
    effective_from: datetime
    effective_until: datetime
    """Exclusive."""
    budget_points: int
    """Bonus points that it grants at most, all together."""
    funders: tuple[Funder, ...]

    def covers(self, time: datetime) -> bool:
        """Whether the promotion runs at `time`."""
        return self.effective_from <= time < self.effective_until


@dataclass(frozen=True, slots=True)
class MemberLimits:
    """What one member may convert in a day. 0 does not limit."""

    transfers_per_day: int = 0
    source_points_per_day: int = 0


class ExpiryRule(StrEnum):
    """When converted points expire."""

    FRESH = "FRESH"
    """As points that the target grants anew."""
    INHERIT = "INHERIT"
    """With the source points that they came from."""
    FIXED_DAYS = "FIXED_DAYS"


@dataclass(frozen=True, slots=True)
class Expiry:
    """An expiry rule, with its days where it has any."""

    rule: ExpiryRule = ExpiryRule.FRESH
    days: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """One version of a rate agreement, as it was signed."""

    agreement_id: str
    version: int
    source_partner: str
    target_partner: str
    source_program: str
    target_program: str
    rate: BlockRate
    minimum_source_points: int
    maximum_source_points: int
    increment_source_points: int
    currency: str
    """ISO 4217 code of the settlement currency."""
    price: Price
    fee: Fee
    sha256: bytes
    """Digest of the signed payload."""
    value_tax_code: str = ""
    """Names the tax on the value, which is the target's; empty for none."""
    segments: tuple[Segment, ...] = ()
    promotions: tuple[Promotion, ...] = ()
    member_limits: MemberLimits = field(default=MemberLimits())
    expiry: Expiry = field(default=Expiry())
    notice_days: int = 0
    """Days from a notice to the end of these terms."""
    credit_mode: CreditMode = CreditMode.GUARANTEED

    @property
    def corridor(self) -> tuple[str, str]:
        """Source and target program."""
        return self.source_program, self.target_program

    @property
    def name(self) -> tuple[str, int]:
        """Agreement id and version."""
        return self.agreement_id, self.version

    @property
    def tax_codes(self) -> tuple[str, ...]:
        """The taxes that a transfer under these terms may bear."""
        return (self.fee.tax_code, *([self.value_tax_code] if self.value_tax_code else []))

    @property
    def other_funders(self) -> tuple[str, ...]:
        """The partners that fund a promotion and are neither source nor target, by name."""
        own = {HUB, self.source_partner, self.target_partner}
        return tuple(sorted({f.name for p in self.promotions for f in p.funders} - own))

    @property
    def signatories(self) -> tuple[str, ...]:
        """The partners without whose signature these terms bind nobody: both brands, and whoever
        else pays for a promotion.
        """
        return (self.source_partner, self.target_partner, *self.other_funders)

    def promotions_at(self, time: datetime) -> tuple[Promotion, ...]:
        """The promotions that run at `time`, in the order of the terms; budgets are left out."""
        return tuple(each for each in self.promotions if each.covers(time))
