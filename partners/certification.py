"""What a sandbox says of a partner's system, and whom we believe. Pure.

A report is made by `pointclear certify` and signed with a key of the sandbox. A deployment for
production lists the keys that it trusts; a partner goes live there with a report under one of them
that covers the list of scenarios as it stands here: a report of an older list says nothing of what
was added to it. A run judges every scenario. A watch judges the partner's own client by what the
sandbox recorded of it, so it sees some of them only.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from partners import envelope as dsse
from partners.envelope import CERTIFICATION_REPORT, Envelope, require_type
from partners.environment import SANDBOX_SUFFIX
from partners.errors import Reason, Refused
from partners.keys import VerifyKey

VALIDITY = timedelta(days=365)
"""How old a report may be."""
SCENARIOS_MAX = 200
SHOWN_MAX = 5
"""As many scenarios as a refusal names."""


class ScenarioName(StrEnum):
    """The fixed list of scenarios, in their order. The names stand in reports: a scenario that asks
    for something else gets another name.
    """

    COMMITS = "an order is carried out and its receipt verifies"
    SIMULATES = "a simulation says what the order then gets"
    REPEATS = "the same order again gets the same receipt, byte for byte"
    MODIFIES = "an id that was used, with other content, is refused"
    MENDS = "a wrong amount is refused with a receipt, and mended with a new id"
    EXPIRES = "an expired order is refused with a receipt"
    ADDRESSES = "an order for another deployment is void here"
    ALTERS = "an order that was altered after signing is refused"
    BATCHES = "a mixed batch is answered order by order"
    RECOVERS = "an order whose answer was lost counts once when it is sent again"
    LOOKS_UP = "a transfer is found by its id"
    QUOTES = "a quote is carried out at its figures, and once"
    LINKS = "a link moves a member's points until it is ended, and shows neither brand the other's"
    DECLINED = "a credit that the target declines leaves no transfer, and says why"
    IN_DOUBT = "a transfer in doubt stays reserved until the target's answer ends it"
    PAGES = "the stream read in pages is a chain without a gap"
    SETTLES = "the day's statement and its lines verify and are complete"


class Method(StrEnum):
    """How a certification was made."""

    RUN = "RUN"
    """The partner's keys and connection were driven through the scenarios."""
    WATCH = "WATCH"
    """The partner's own client was judged by what the sandbox recorded of it."""


class Verdict(StrEnum):
    """How a scenario ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_JUDGED = "NOT_JUDGED"
    """A watch cannot see it."""


WATCHED = frozenset(
    {
        ScenarioName.COMMITS,
        ScenarioName.MENDS,
        ScenarioName.EXPIRES,
        ScenarioName.QUOTES,
        ScenarioName.PAGES,
        ScenarioName.SETTLES,
    }
)
"""What a watch sees. Of the others nothing is recorded: a repeated order changes nothing, what is
refused before it is decided leaves no trace, reading leaves none, and a record says neither in
which call its order came nor by which link.
"""
JUDGED: Mapping[Method, frozenset[ScenarioName]] = {
    Method.RUN: frozenset(ScenarioName),
    Method.WATCH: WATCHED,
}
"""The scenarios that a certification of each method must have passed."""


@dataclass(frozen=True, slots=True)
class CertificationReport:
    """A report as it was signed."""

    audience: str
    """Of the sandbox."""
    partner_id: str
    method: Method | None
    """None where it is not stated."""
    verdicts: tuple[tuple[str, Verdict], ...]
    """Of each scenario that it names."""
    issued_at: datetime


def verify_report(envelope: Envelope, trusted: Mapping[str, VerifyKey]) -> None:
    """Raise Refused unless a report is signed by exactly one key, and that is trusted."""
    dsse.check_shape(envelope)
    if len(envelope.signatures) != 1:
        raise Refused(
            Reason.ENVELOPE_MALFORMED, "certification.signatures", "a report has one signature"
        )
    require_type(envelope, CERTIFICATION_REPORT)
    dsse.verify(envelope, trusted)


def check_report(report: CertificationReport, partner_id: str, now: datetime) -> None:
    """Raise Refused(CERTIFICATION_MISSING) unless the report lets this partner go live."""
    check_passed(report)
    for wrong, text in (
        (report.partner_id != partner_id, f"the report is about {report.partner_id}"),
        (report.issued_at > now, "the report is of a day to come"),
        (report.issued_at + VALIDITY <= now, f"the report is older than {VALIDITY.days} days"),
    ):
        if wrong:
            raise Refused(Reason.CERTIFICATION_MISSING, "certification", text)


def check_passed(report: CertificationReport) -> None:
    """Raise Refused(CERTIFICATION_MISSING) unless a report is a sandbox's, and says that the whole
    list was passed as far as its method judges it.
    """
    if not report.audience.endswith(SANDBOX_SUFFIX):
        raise Refused(
            Reason.CERTIFICATION_MISSING,
            "certification.audience",
            f"{report.audience} is no sandbox: a sandbox's audience ends in {SANDBOX_SUFFIX}",
        )
    if report.method is None:
        raise Refused(
            Reason.CERTIFICATION_MISSING, "certification", "the report does not say how it was made"
        )
    passed = {name for name, verdict in report.verdicts if verdict is Verdict.PASSED}
    failed = [name for name, verdict in report.verdicts if verdict is Verdict.FAILED]
    needed = [name for name in ScenarioName if name in JUDGED[report.method]]
    lacking = [name for name in needed if name not in passed]
    for wrong, text in ((failed, "not passed"), (lacking, "not judged, of the list as it is now")):
        if wrong:
            raise Refused(
                Reason.CERTIFICATION_MISSING, "certification.scenarios", f"{text}: {_some(wrong)}"
            )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - SHOWN_MAX
    return "; ".join(listed[:SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
