"""The report of a certification: made, signed with the sandbox operator's key, and read again.

Pure. The payload is a `certification-report`; `partners.certification` says when it lets a partner
go live.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from importlib.metadata import version

from exchange.cli.certification.outcome import Outcome
from exchange.cli.output import Document
from partners.certification import Method, check_passed
from partners.envelope import CERTIFICATION_REPORT, Envelope, require_type, sign
from partners.errors import Refused
from partners.keys import Signer
from partners.operators.wire import report_from_payload
from partners.wire import parse_strictly, time_to_proto
from pointclear.partners.v1.certification_pb2 import (
    CertificationMethod,
    CertificationReport,
    CertifiedScenario,
    Verdict,
)


def signed_report(
    signer: Signer,
    audience: str,
    partner_id: str,
    client_sha256: bytes,
    method: Method,
    outcomes: Iterable[Outcome],
    now: datetime,
) -> Envelope:
    """The report under the sandbox's signature. `client_sha256` is 32 bytes."""
    report = CertificationReport(
        audience=audience,
        partner_id=partner_id,
        client_sha256=client_sha256,
        scenarios=[
            CertifiedScenario(name=each.name, verdict=Verdict.Value(f"VERDICT_{each.verdict}"))
            for each in outcomes
        ],
        issued_at=time_to_proto(now),
        method=CertificationMethod.Value(f"CERTIFICATION_METHOD_{method}"),
    )
    return sign(signer, CERTIFICATION_REPORT, report.SerializeToString(deterministic=True))


def report_document(envelope: Envelope) -> Document:
    """A report for machines; its signature is not checked. Raises Refused for one malformed."""
    require_type(envelope, CERTIFICATION_REPORT)
    report = report_from_payload(envelope.payload)
    client = parse_strictly(CertificationReport(), envelope.payload).client_sha256
    fault = fault_of(envelope)
    return {
        "partner_id": report.partner_id,
        "audience": report.audience,
        "client_sha256": client.hex(),
        "issued_at": report.issued_at.isoformat(),
        "key_id": envelope.signatures[0].key_id if envelope.signatures else "",
        "method": report.method,
        "passed": not fault,
        "fault": fault,
        "scenarios": [{"name": name, "verdict": verdict} for name, verdict in report.verdicts],
    }


def fault_of(envelope: Envelope) -> str:
    """Why nobody goes live with a report, whoever it is about; empty where they may."""
    try:
        check_passed(report_from_payload(envelope.payload))
    except Refused as refusal:
        return refusal.text
    return ""


def own_client_sha256() -> bytes:
    """What stands for the client where a partner runs the scenarios with this very program."""
    return hashlib.sha256(f"pointclear {version('pointclear')}".encode()).digest()
