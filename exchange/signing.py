"""Signs what a partner's stream holds, by the key that the payload names. Pure but for the signers.

The payload was serialised once, with its key's id inside, and is stored as it is. So whoever holds
that key makes the same envelope at any later time: Ed25519 gives the same bytes each time.
"""

from exchange.quotes.wire import quote_key_id
from exchange.seal import PayloadKind
from exchange.wire import papers, reversals
from partners import envelope as dsse
from partners.envelope import Envelope
from partners.keys import Purpose
from partners.signers import Signers

PAPERS = {
    PayloadKind.RECEIPT: (dsse.TRANSFER_RECEIPT, papers.receipt_key_id),
    PayloadKind.NOTICE: (dsse.CREDIT_NOTICE, papers.notice_key_id),
    PayloadKind.FUNDING: (dsse.FUNDING_NOTICE, papers.funding_key_id),
    PayloadKind.REVERSAL: (dsse.REVERSAL_NOTICE, reversals.reversal_key_id),
}
"""As what each is signed, and how to read the key that it names."""


def sign_entry(signers: Signers, kind: PayloadKind, payload: bytes) -> Envelope:
    """The envelope of a stream entry's payload.

    Raises Refused(TRY_LATER) where the key that it names is not held here.
    """
    payload_type, key_id_of = PAPERS[kind]
    return dsse.sign(signers.named(Purpose.RECEIPTS, key_id_of(payload)), payload_type, payload)


def sign_quote(signers: Signers, payload: bytes) -> Envelope:
    """The envelope of an offer; raises Refused(TRY_LATER) where the key that it names is not held
    here.
    """
    return dsse.sign(signers.named(Purpose.RECEIPTS, quote_key_id(payload)), dsse.QUOTE, payload)
