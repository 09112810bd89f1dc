"""What members and amounts of a simulated program make it do. Pure.

A member's reference that begins with the name and a hyphen does it, whatever the amount; so does a
credit of exactly so many points, where magic amounts are on, for any other member.

| member | points | what happens |
| --- | --- | --- |
| `unknown-…` | 9,050 | there is no such member: the credit is declined, MEMBER_UNKNOWN |
| `ineligible-…` | 9,100 | the member may not take part: declined, MEMBER_INELIGIBLE |
| `frozen-…` | 9,150 | the member's account is frozen: declined, MEMBER_FROZEN |
| `limit-…` | 9,200 | it is more than the member may have: declined, LIMIT |
| `refused-…` | 9,250 | declined for another reason, OTHER |
| `late-…` | 9,300 | the program is at work for 5 seconds, then the points are given |
| `twice-…` | 9,350 | the first answer is lost on the way; told again, it gives the same one |
| `silent-…` | 9,400 | the points are given, and no answer comes until the program is asked |
| `fenced-…` | 9,450 | what it is told is lost on the way; asked, it never saw it and never will |
| `never-…` | 9,500 | the program is at work for ever, also when it is asked: people must decide |
| `unsigned-…` | 9,550 | the points are given, and nobody signs for it: that proves nothing |
| `changed-…` | 9,600 | unsigned it says that they are given, then signed that they are not |
| `away-…` | 9,650 | the program cannot be reached |
| `slow-…` | 9,700 | no answer comes before the exchange gives up |
| `spent-…` | 9,750 | the points are given, and spent at once: nothing can be taken back |
"""

from enum import StrEnum

from partners.program_port import DeclineReason, Eligibility

LATE_S = 5
"""How long a program is at work on what is late."""
FIRST_POINTS, STEP = 9_050, 50
"""Of the magic amounts: multiples of what most block rates give, and nobody's by chance."""


class Trick(StrEnum):
    """What is done; its value begins a member's reference."""

    UNKNOWN = "unknown"
    INELIGIBLE = "ineligible"
    FROZEN = "frozen"
    LIMIT = "limit"
    REFUSED = "refused"
    LATE = "late"
    TWICE = "twice"
    SILENT = "silent"
    FENCED = "fenced"
    NEVER = "never"
    UNSIGNED = "unsigned"
    CHANGED = "changed"
    AWAY = "away"
    SLOW = "slow"
    SPENT = "spent"

    @property
    def points(self) -> int:
        """The magic amount."""
        return FIRST_POINTS + STEP * list(Trick).index(self)


DECLINES = {
    Trick.UNKNOWN: DeclineReason.MEMBER_UNKNOWN,
    Trick.INELIGIBLE: DeclineReason.MEMBER_INELIGIBLE,
    Trick.FROZEN: DeclineReason.MEMBER_FROZEN,
    Trick.LIMIT: DeclineReason.LIMIT,
    Trick.REFUSED: DeclineReason.OTHER,
}
"""Why a credit is declined."""
STANDING = {
    Trick.UNKNOWN: Eligibility.UNKNOWN,
    Trick.INELIGIBLE: Eligibility.INELIGIBLE,
    Trick.FROZEN: Eligibility.INELIGIBLE,
}
"""What is said of a member; of any other, that it may take part."""


def trick_of(member: str, points: int = 0) -> Trick | None:
    """What a member's reference makes the program do, or else these points; None for nothing."""
    for each in Trick:
        if member.startswith(f"{each}-"):
            return each
    return next((each for each in Trick if each.points == points), None)
