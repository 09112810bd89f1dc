"""The example brand with faults: it carries everything out as it should, and answers wrongly.

What it does wrong is read at each call from the file beside the journal: see `FAULTS`. Started like
the example brand's `serve`, with the example's folder on the path.
"""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

import brand
from journal import Journal
from partners.confirmations.confirmation import Confirmation
from partners.confirmations.wire import (
    confirmation_from_payload,
    confirmation_payload,
)
from partners.envelope import CREDIT_CONFIRMATION, TRANSFER_RECEIPT, Envelope, sign
from partners.keys import SeedSigner, Signer
from partners.program_port import CreditOutcome, DeclineReason
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.partners.v1 import program_service_pb2 as pb

ANOTHER_ID = b"\x01\x9b\x8d\x99\x69\xfa\x70\x00\x80\x00\x00\x00\x00\x00\x00\x2b"
STRANGER = SeedSigner(bytes(range(32)))

Wrong = Callable[[Signer, Envelope], Envelope]


def said_otherwise(**changes: Any) -> Wrong:
    """Signed by the brand, and not what was done."""

    def wrong(signer: Signer, envelope: Envelope) -> Envelope:
        said: Confirmation = replace(confirmation_from_payload(envelope.payload), **changes)
        return sign(signer, CREDIT_CONFIRMATION, confirmation_payload(said))

    return wrong


def of_another_instruction(signer: Signer, envelope: Envelope) -> Envelope:
    """A confirmation for somebody else's credit."""
    message = pb.CreditConfirmation.FromString(envelope.payload)
    message.instruction_id = ANOTHER_ID
    return sign(signer, CREDIT_CONFIRMATION, message.SerializeToString(deterministic=True))


def of_unknown_outcome(signer: Signer, envelope: Envelope) -> Envelope:
    """An outcome of a version to come."""
    message = pb.CreditConfirmation.FromString(envelope.payload)
    message.outcome = 9  # type: ignore[assignment]
    return sign(signer, CREDIT_CONFIRMATION, message.SerializeToString(deterministic=True))


WRONG: dict[str, Wrong] = {
    "unsigned": lambda _, envelope: replace(envelope, signatures=()),
    "strangers-key": lambda _, envelope: sign(STRANGER, CREDIT_CONFIRMATION, envelope.payload),
    "wrong-type": lambda signer, envelope: sign(signer, TRANSFER_RECEIPT, envelope.payload),
    "altered": lambda _, envelope: replace(envelope, payload=envelope.payload + b"\x01"),
    "other-instruction": of_another_instruction,
    "other-program": said_otherwise(program="another"),
    "other-brand": said_otherwise(partner_id="aurora"),
    "other-audience": said_otherwise(audience="pointclear.local/sandbox"),
    "fewer-points": said_otherwise(points=1),
    "unknown-outcome": of_unknown_outcome,
    "never": said_otherwise(outcome=CreditOutcome.NEVER, points=0, reason=None),
    "declined-with-points": said_otherwise(
        outcome=CreditOutcome.DECLINED, reason=DeclineReason.OTHER
    ),
    "fulfilment-missing": said_otherwise(fulfilment_sha256=bytes(32)),
}
"""What is wrong with a confirmation, by name."""

FAULTS = (*WRONG, "late", "dies", "status", "garbage", "huge", "nothing", "changed")
"""`late` answers after its caller has gone; `dies` ends the process after it acted; `changed` says
DECLINED of what it did."""


class FaultyService(brand.Service):
    """Acts, and then answers as it is told to."""

    def __init__(self, service: brand.Service, told: Path) -> None:
        super().__init__(service.program, service._journal, service._signer)
        self._told = told

    def fault(self) -> str:
        """What is to go wrong now; empty for nothing."""
        return self._told.read_text().strip() if self._told.exists() else ""

    def Credit(self, request: Any, context: Any) -> Any:
        return self._spoilt(super().Credit(request, context), context)

    def Reverse(self, request: Any, context: Any) -> Any:
        return self._spoilt(super().Reverse(request, context), context)

    def LookUp(self, request: Any, context: Any) -> Any:
        return self._spoilt(super().LookUp(request, context), context)

    def _spoilt(self, response: Any, context: Any) -> Any:
        fault = self.fault()
        if fault == "dies":
            # What was done is on the disk, and nobody is told.
            os._exit(9)
        elif fault == "late":
            while context.is_active():
                time.sleep(0.01)
        elif fault == "status":
            context.abort(grpc.StatusCode.ABORTED, "member B-77 is locked")
        elif fault == "nothing":
            response.ClearField("confirmation")
        elif fault == "huge":
            response.confirmation.payload += bytes(1024 * 1024)
        elif fault == "garbage":
            # An envelope whose payload is no message at all.
            said = sign(self._signer, CREDIT_CONFIRMATION, b"\xff\xff\xff")
            response.confirmation.CopyFrom(envelope_to_proto(said))
        elif fault:
            wrong = WRONG.get(fault) or said_otherwise(
                outcome=CreditOutcome.DECLINED, points=0, reason=DeclineReason.LIMIT
            )
            envelope = wrong(self._signer, envelope_from_proto(response.confirmation))
            response.confirmation.CopyFrom(envelope_to_proto(envelope))
        return response


def main() -> None:
    """Serve like the example brand."""
    given = brand.arguments(sys.argv[1:])
    journal = Journal(given.journal)
    service = brand.service_of(given.profile, journal, given.program, codes=given.codes)
    told = given.journal.with_suffix(".fault")
    brand.serve(FaultyService(service, told), given.profile, given.listen)


if __name__ == "__main__":
    main()
