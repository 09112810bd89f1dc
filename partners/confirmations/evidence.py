"""Evidence, whatever protocol it came by: what a brand's key signed, verified again. Pure.

For whoever did not make the call: an operator who decides by evidence that was handed in, an
auditor, a check of the books.
"""

from partners import envelope as dsse
from partners.confirmations.confirmation import Confirmation, NoAnswer
from partners.confirmations.file_evidence import RESULT_FILE, said_in_file
from partners.confirmations.http_evidence import HTTP_SIGNATURE, said_over_http
from partners.confirmations.verification import envelope_of
from partners.confirmations.wire import confirmation_from_payload
from partners.envelope import CREDIT_CONFIRMATION
from partners.errors import Refused
from partners.keys import VerifyKey
from partners.program_port import Evidence, Fault


def said_in(evidence: Evidence, key: VerifyKey) -> Confirmation:
    """What the holder of `key` signed. Whether the key was in force, and whether this answers the
    instruction at hand (`check_answers`), is the caller's to ask. Raises NoAnswer.
    """
    if evidence.key_id != key.key_id:
        raise NoAnswer(Fault.KEY_WRONG, "key_id", "another key signed this")
    if evidence.media_type == HTTP_SIGNATURE:
        return said_over_http(evidence, key)
    if evidence.media_type == RESULT_FILE:
        return said_in_file(evidence, key)
    if evidence.media_type != CREDIT_CONFIRMATION:
        raise NoAnswer(Fault.TYPE_WRONG, "media_type", "this is no evidence of an answer")
    try:
        dsse.verify(envelope_of(evidence), {key.key_id: key})
    except Refused:
        raise NoAnswer(Fault.SIGNATURE_INVALID, "signature", "the signature does not fit") from None
    return confirmation_from_payload(evidence.content)
