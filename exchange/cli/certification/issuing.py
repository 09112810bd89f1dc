"""What `certify run` and `certify watch` share: who takes part, and the report that they end with.

Effects: reads the file that stands for the client; writes the report, then prints it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.certification.outcome import Outcome
from exchange.cli.certification.report import report_document, signed_report
from exchange.cli.deployment.initialise import check_sandbox_audience
from exchange.cli.failure import ExitCode
from exchange.cli.files import unusable, write_output
from exchange.cli.output import answer, table
from exchange.cli.profile import Profile
from partners.certification import Method, Verdict
from partners.envelope import to_json
from partners.errors import Reason, Refused
from partners.keys import Purpose

REASON = "certification"
"""Why the operator closes a window, for the trail."""
OutOption = Annotated[Path, typer.Option(metavar="FILE.json", help="Write the signed report here.")]
CertifierOption = Annotated[
    Path | None,
    typer.Option(
        "--operator",
        metavar="DIR",
        help="The sandbox operator's profile, which signs. [default: DATA_DIR/operator]",
    ),
]
VERDICTS = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "FAILED",
    Verdict.NOT_JUDGED: "not judged",
}
"""As people read them."""


@dataclass(frozen=True, slots=True)
class Certification:
    """Who is certified, by whom, and how."""

    partner: Profile
    operator: Profile
    """The sandbox's, which signs."""
    client_sha256: bytes
    method: Method


def check_sandbox(partner: Profile, other: Profile, field: str) -> None:
    """Raise Refused(FIELD_INVALID) unless both profiles are of one sandbox."""
    check_sandbox_audience(partner.audience)
    if other.audience != partner.audience:
        raise Refused(
            Reason.FIELD_INVALID,
            field,
            f"the {field} is of {other.audience}, the partner of {partner.audience}",
        )


def digest_of(client: Path) -> bytes:
    """SHA-256 of the file that stands for the client. Raises FileError."""
    try:
        with client.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise unusable(client, error) from None


def issue(
    certification: Certification, outcomes: Sequence[Outcome], out: Path, *, as_json: bool
) -> None:
    """Sign and write the report, and print it. Raises typer.Exit where something did not pass."""
    partner = certification.partner
    envelope = signed_report(
        certification.operator.signer(Purpose.OPERATOR),
        partner.audience,
        partner.caller.name,
        certification.client_sha256,
        certification.method,
        outcomes,
        datetime.now(UTC),
    )
    write_output(out, (to_json(envelope) + "\n").encode())
    judged = [each for each in outcomes if each.verdict is not Verdict.NOT_JUDGED]
    failed = [each for each in judged if each.verdict is Verdict.FAILED]
    document = report_document(envelope)
    answer(
        as_json,
        {**document, "notes": {each.name: each.note for each in judged}, "report": str(out)},
        table(
            ("scenario", "verdict", "note"),
            [(each.name, VERDICTS[each.verdict], each.note) for each in outcomes],
        ),
        f"{partner.caller.name}: {len(judged) - len(failed)} of {len(judged)} passed;"
        f" report in {out}",
    )
    if not document["passed"]:
        raise typer.Exit(ExitCode.REFUSED)
