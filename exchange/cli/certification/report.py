"""The report of a certification: made, signed with the sandbox operator's key, and read again.

Pure. The payload is a `certification-report`; `partners.certification` says when it lets a partner
go live.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version

from exchange.cli.certification.scenarios import Outcome
from exchange.cli.output import Document
from partners.envelope import CERTIFICATION_REPORT, Envelope, require_type, sign
from partners.keys import Signer
from partners.wire import parse_strictly, time_from_proto, time_to_proto
from pointclear.partners.v1.certification_pb2 import (
    VERDICT_FAILED,
    VERDICT_PASSED,
    CertificationReport,
    CertifiedScenario,
)


def signed_report(
    signer: Signer,
    audience: str,
    partner_id: str,
    client_sha256: bytes,
    outcomes: Iterable[Outcome],
    now: datetime,
) -> Envelope:
    """The report under the sandbox's signature. `client_sha256` is 32 bytes."""
    report = CertificationReport(
        audience=audience,
        partner_id=partner_id,
        client_sha256=client_sha256,
        scenarios=[
            CertifiedScenario(
                name=each.name, verdict=VERDICT_PASSED if each.passed else VERDICT_FAILED
            )
            for each in outcomes
        ],
        issued_at=time_to_proto(now),
    )
    return sign(signer, CERTIFICATION_REPORT, report.SerializeToString(deterministic=True))


def report_document(envelope: Envelope) -> Document:
    """A report for machines; its signature is not checked. Raises Refused for one malformed."""
    require_type(envelope, CERTIFICATION_REPORT)
    report = parse_strictly(CertificationReport(), envelope.payload)
    scenarios = [
        {"name": each.name, "passed": each.verdict == VERDICT_PASSED} for each in report.scenarios
    ]
    return {
        "partner_id": report.partner_id,
        "audience": report.audience,
        "client_sha256": report.client_sha256.hex(),
        "issued_at": time_from_proto(report.issued_at, "issued_at").isoformat(),
        "key_id": envelope.signatures[0].key_id if envelope.signatures else "",
        "passed": bool(scenarios) and all(each["passed"] for each in scenarios),
        "scenarios": scenarios,
    }


def own_client_sha256() -> bytes:
    """What stands for the client where a partner runs the scenarios with this very program."""
    return hashlib.sha256(f"pointclear {version('pointclear')}".encode()).digest()
