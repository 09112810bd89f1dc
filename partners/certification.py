"""What a sandbox says of a partner's system, and whom we believe. Pure.

A report is made by `pointclear certify` and signed with a key of the sandbox. A deployment for
production lists the keys that it trusts; a partner goes live there with a report under one of them
in which every scenario passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from partners import envelope as dsse
from partners.envelope import CERTIFICATION_REPORT, Envelope, require_type
from partners.errors import Reason, Refused
from partners.keys import VerifyKey

VALIDITY = timedelta(days=365)
"""How old a report may be."""
SCENARIOS_MAX = 200


@dataclass(frozen=True, slots=True)
class CertificationReport:
    """A report as it was signed."""

    partner_id: str
    failed: tuple[str, ...]
    """The scenarios that did not pass."""
    scenarios: int
    """How many there were."""
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
    for wrong, text in (
        (report.partner_id != partner_id, f"the report is about {report.partner_id}"),
        (not report.scenarios, "the report has no scenarios"),
        (bool(report.failed), f"not passed: {', '.join(report.failed[:5])}"),
        (report.issued_at > now, "the report is of a day to come"),
        (report.issued_at + VALIDITY <= now, f"the report is older than {VALIDITY.days} days"),
    ):
        if wrong:
            raise Refused(Reason.CERTIFICATION_MISSING, "certification", text)
