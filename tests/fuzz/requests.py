"""Good requests of every method, and statements really signed over whatever payload. Everything is
made from fixed seeds and a clock that stands still, so that bytes kept today are good tomorrow.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from partners.conversion import target_points
from partners.envelope import (
    AGREEMENT_TERMINATION,
    AGREEMENT_WITHDRAWAL,
    BALANCE_CONFIRMATION,
    COLLATERAL_WITHDRAWAL,
    CREDIT_CONFIRMATION,
    DISPUTE,
    KEY_EVENT,
    LINK_CONFIRMATION,
    OPERATOR_ACTION,
    PAYMENT_CONFIRMATION,
    RATE_AGREEMENT,
    REVERSAL_ORDER,
    SETTLEMENT_ACCOUNT,
    STATEMENT_ACKNOWLEDGEMENT,
    TRANSFER_ORDER,
    TRANSFER_RECEIPT,
    Envelope,
    Signature,
    pae,
)
from partners.errors import Reason
from partners.keys import Purpose, SeedSigner
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1 import exchange_service_pb2 as exchange
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    ReversalOrder,
    TransferOrder,
)
from pointclear.partners.v1 import action_service_pb2 as actions
from pointclear.partners.v1 import key_pb2
from pointclear.partners.v1 import limits_pb2 as limits
from pointclear.partners.v1 import link_service_pb2 as links
from pointclear.partners.v1 import operator_service_pb2 as operators
from pointclear.partners.v1 import partners_service_pb2 as partners
from pointclear.partners.v1 import program_service_pb2 as program_service
from pointclear.partners.v1 import route_pb2 as routes
from pointclear.partners.v1.agreement_life_pb2 import AgreementTermination, AgreementWithdrawal
from pointclear.partners.v1.agreement_pb2 import RateAgreement
from pointclear.partners.v1.operator_action_pb2 import OperatorAction
from pointclear.settlement.v1 import account_pb2 as accounts
from pointclear.settlement.v1 import adjustment_pb2 as adjustments
from pointclear.settlement.v1 import approval_pb2 as approval
from pointclear.settlement.v1 import bank_pb2 as bank
from pointclear.settlement.v1 import billing_pb2 as billing
from pointclear.settlement.v1 import collateral_pb2 as collateral
from pointclear.settlement.v1 import month_pb2 as month
from pointclear.settlement.v1 import overdue_pb2 as overdue
from pointclear.settlement.v1 import own_funds_pb2 as own_funds
from pointclear.settlement.v1 import pair_pb2 as pairs
from pointclear.settlement.v1 import payout_pb2 as payouts
from pointclear.settlement.v1 import reconciliation_pb2 as reconciliation
from pointclear.settlement.v1 import report_pb2 as reports
from pointclear.settlement.v1 import scheme_pb2 as scheme
from pointclear.settlement.v1 import settlement_service_pb2 as settlement
from pointclear.settlement.v1 import statement_pb2 as stated
from settlement.references import pair_reference
from settlement.schemes.scheme import Scheme
from tests import factories as make

OPERATOR = make.signer("operator/operator", Purpose.OPERATOR)
AGREEMENTS = {brand: make.signer(f"partner/{brand}", Purpose.AGREEMENTS) for brand in make.BRANDS}
NEW_KEY = SeedSigner(b"a key that nobody has registered")
SIGNERS: tuple[SeedSigner, ...] = (
    *(make.order_signer(brand) for brand in make.BRANDS),
    *AGREEMENTS.values(),
    *(OPERATOR, NEW_KEY, make.RECEIPTS, SeedSigner(b"and one that nobody ever will be")),
)
"""Whoever may have signed: registered for this, for something else, or not at all."""


def envelope(payload_type: str, payload: bytes, signers: Sequence[SeedSigner]) -> Envelope:
    """Signed by all of these, whatever its shape is."""
    message = pae(payload_type, payload)
    return Envelope(
        payload_type, payload, tuple(Signature(s.key_id, s.sign(message)) for s in signers)
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """What a method takes signed."""

    method: str
    payload_type: str
    kind: Descriptor
    payloads: tuple[bytes, ...]
    """Good ones."""
    signers: tuple[SeedSigner, ...]
    """Whose signatures it needs."""

    def request(self, payload: bytes, payload_type: str, signers: Sequence[SeedSigner]) -> Message:
        """The method's request with a payload."""
        signed = envelope_to_proto(envelope(payload_type, payload, signers))
        if self.method == "CreateTransfer":
            return exchange.CreateTransferRequest(order=signed)
        if self.method == "BatchCreateTransfers":
            return exchange.BatchCreateTransfersRequest(orders=[signed])
        if self.method == "ReverseTransfer":
            return exchange.ReverseTransferRequest(reversal=signed)
        if self.method == "Act":
            return actions.ActRequest(action=signed, request=ACTED)
        if self.method == "RegisterKey":
            return partners.RegisterKeyRequest(key_event=signed)
        if self.method == "RevokeKey":
            return partners.RevokeKeyRequest(key_event=signed)
        if self.method == "ConfirmLink":
            own = make.link_member("grocery")
            return links.ConfirmLinkRequest(
                confirmation=signed, member=own.member, member_salt=own.salt
            )
        if self.method == "ConfirmCredit":
            return exchange.ConfirmCreditRequest(confirmation=signed)
        if self.method == "ProposeAgreement":
            return partners.ProposeAgreementRequest(agreement=signed)
        if self.method == "CounterAgreement":
            return partners.CounterAgreementRequest(agreement=signed)
        if self.method == "WithdrawAgreement":
            return partners.WithdrawAgreementRequest(withdrawal=signed)
        if self.method == "TerminateAgreement":
            return partners.TerminateAgreementRequest(termination=signed)
        if self.method == "RequestWithdrawal":
            return collateral.RequestWithdrawalRequest(withdrawal=signed)
        if self.method == "SubmitSettlementAccount":
            return accounts.SubmitSettlementAccountRequest(event=signed)
        if self.method == "ConfirmPayment":
            return pairs.ConfirmPaymentRequest(confirmation=signed)
        return partners.SignAgreementRequest(agreement=signed)

    @property
    def good(self) -> Message:
        """The request that the method is for."""
        return self.request(self.payloads[0], self.payload_type, self.signers)


def key_event(brand: str = "grocery", **changes: object) -> bytes:
    """The bytes of a good key event for the new key."""
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": brand,
        "action": key_pb2.KEY_ACTION_REGISTER,
        # The brands have none of these yet: for a first key one operator is enough.
        "purpose": key_pb2.KEY_PURPOSE_STATEMENTS,
        "public_key": NEW_KEY.public_key,
        "valid_from": time_to_proto(make.NOW - timedelta(days=1)),
        "valid_until": time_to_proto(make.NOW + timedelta(days=1)),
    }
    made = key_pb2.KeyEvent(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


def revocation(brand: str = "grocery", key_id: str = NEW_KEY.key_id) -> bytes:
    """The bytes of a key event that revokes the new key, or another."""
    return key_pb2.KeyEvent(
        audience=make.AUDIENCE,
        partner_id=brand,
        action=key_pb2.KEY_ACTION_REVOKE,
        key_id=key_id,
        reason=key_pb2.REVOCATION_REASON_SUPERSEDED,
    ).SerializeToString(deterministic=True)


def confirmation(**changes: object) -> bytes:
    """The bytes with which grocery confirms the link that waits for it."""
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": "grocery",
        "link_id": make.link_id(2).bytes,
        "program": "grocery",
        "member_sha256": make.link_member("grocery").sha256(),
        "method": links.LINK_METHOD_SIGN_IN,
        "consent_version": "sharing-1",
        "confirmed_at": time_to_proto(make.NOW),
    }
    made = links.LinkConfirmation(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


ACTED = settlement.OpenWindowRequest(
    currency=make.CURRENCY, business_date=make.DAY_ONE.isoformat()
).SerializeToString()
"""The request of the action that is fuzzed."""


def action(method: str, request: bytes, number: int) -> bytes:
    """The bytes of a good action of the operator."""
    return OperatorAction(
        audience=make.AUDIENCE,
        action_id=make.transfer_id(number).bytes,
        operator="operator",
        method=method,
        request_sha256=hashlib.sha256(request).digest(),
        reason="to see what comes of it",
        issued_at=time_to_proto(make.NOW - timedelta(seconds=1)),
        expires_at=time_to_proto(make.NOW + timedelta(hours=1)),
    ).SerializeToString(deterministic=True)


def acting(method: str, request: bytes, number: int) -> bytes:
    """What the operator sends to have a call carried out."""
    signed = envelope(OPERATOR_ACTION, action(method, request, number), (OPERATOR,))
    sent = actions.ActRequest(action=envelope_to_proto(signed), request=request)
    return sent.SerializeToString()


OPEN_WINDOW = "pointclear.settlement.v1.SettlementService/OpenWindow"


NAMED = make.terms_of(make.AGREEMENTS["grocery", "fuel", 2])
"""A version that all have signed and nobody has activated."""


def withdrawal() -> bytes:
    """The bytes of a withdrawal that could be carried out."""
    return AgreementWithdrawal(
        audience=make.AUDIENCE,
        agreement_id=NAMED.agreement_id,
        version=NAMED.version,
        agreement_sha256=NAMED.sha256,
        issued_at=time_to_proto(make.NOW),
    ).SerializeToString(deterministic=True)


def termination() -> bytes:
    """The bytes of a notice of the version that is in force."""
    return AgreementTermination(
        audience=make.AUDIENCE,
        agreement_id=make.TERMS.agreement_id,
        version=make.TERMS.version,
        agreement_sha256=make.terms_of(make.AGREEMENTS["grocery", "fuel", 1]).sha256,
        effective_until=time_to_proto(make.NOW + timedelta(days=30)),
        issued_at=time_to_proto(make.NOW),
    ).SerializeToString(deterministic=True)


def collateral_withdrawal(number: int = 1, **changes: object) -> bytes:
    """The bytes of a good request for collateral."""
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": "grocery",
        "withdrawal_id": make.transfer_id(900 + number).bytes,
        "currency": make.CURRENCY,
        "amount": number * 10_000,
        "issued_at": time_to_proto(make.NOW),
    }
    made = collateral.CollateralWithdrawal(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


def bank_account(version: int = 1, **changes: object) -> bytes:
    """The bytes of a good bank account."""
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": "grocery",
        "currency": make.CURRENCY,
        "version": version,
        "account": accounts.BankAccount(
            other="6222020200112233445",
            bic="ICBKCNBJ",
            name="Grocery Ltd",
            address=accounts.PostalAddress(town="Beijing", country="CN"),
        ),
        "issued_at": time_to_proto(make.NOW),
    }
    made = accounts.SettlementAccountEvent(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


def payment_confirmation(**changes: object) -> bytes:
    """The bytes with which grocery confirms that it has paid another."""
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": "grocery",
        "window_id": make.WINDOW,
        "reference": pair_reference(1, 1, 2),
        "side": pairs.PAYMENT_SIDE_PAID,
        "currency": make.CURRENCY,
        "amount": 10_000,
        "issued_at": time_to_proto(make.NOW),
    }
    made = pairs.PaymentConfirmation(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


ORDERS = (
    make.order_payload(),
    *(make.order_payload(number, source_points=100 * number) for number in (2, 3)),
    make.order_payload(4, source_points=101),
    make.order_payload(5, make.terms("grocery", "deli")),
    make.order_payload(6, agreement_version=2),
    make.order_payload(7, source_member="", target_member="", link_id=make.link_id(1).bytes),
)
TO_REVERSE = make.an_order(906, make.terms("fuel", "grocery"), source_points=1_000)
"""The founding commits it, for grocery to reverse."""
REVERSALS = (
    make.reversal_payload(1, 906, 7, "grocery"),
    make.reversal_payload(2, 906, 100, "grocery"),
    make.reversal_payload(3, 906, 100_000, "grocery"),
    make.reversal_payload(4, 1, 7, "grocery"),
    make.reversal_payload(5, 901, 7, "grocery"),
    make.reversal_payload(6, 999, 7, "grocery"),
)
"""Good ones, and some of what cannot be reversed, or not by its source."""
TERMS = (
    make.agreement_payload(version=9),
    make.agreement_payload(version=1),
    make.agreement_payload("grocery", "deli", version=9),
)
PROPOSED = (
    make.agreement_payload("fuel", "grocery", version=9),
    make.agreement_payload("fuel", "grocery", version=8),
)
"""What fuel has proposed, for grocery to sign."""
HELD_ORDERS = (901, 902, 903)
"""Numbers of the orders that the founding leaves held."""
CREDITED, RESERVED = 904, 905
"""Numbers of orders of points for grocery: one that is committed, one that waits for its answer."""


def answer(number: int = CREDITED, **changes: object) -> bytes:
    """The bytes of a good confirmation of what grocery was told."""
    under = make.terms("fuel" if number == CREDITED else "deli", "grocery")
    points = target_points(under, make.an_order(number, under).source_points)
    fields: dict[str, object] = {
        "audience": make.AUDIENCE,
        "partner_id": "grocery",
        "instruction_id": make.transfer_id(number).bytes,
        "kind": program_service.INSTRUCTION_KIND_CREDIT,
        "program": "grocery",
        "outcome": program_service.CREDIT_OUTCOME_DONE,
        "points": points,
        "decided_at": time_to_proto(make.NOW),
    }
    made = program_service.CreditConfirmation(**fields | changes)  # type: ignore[arg-type]
    return made.SerializeToString(deterministic=True)


STATEMENTS: Mapping[str, Statement] = MappingProxyType(
    {
        each.method: each
        for each in (
            *(
                Statement(name, TRANSFER_ORDER, TransferOrder.DESCRIPTOR, ORDERS, SIGNERS[:1])
                for name in ("CreateTransfer", "BatchCreateTransfers")
            ),
            Statement(
                "ReverseTransfer",
                REVERSAL_ORDER,
                ReversalOrder.DESCRIPTOR,
                REVERSALS,
                SIGNERS[:1],
            ),
            *(
                Statement(
                    name, RATE_AGREEMENT, RateAgreement.DESCRIPTOR, terms, (AGREEMENTS["grocery"],)
                )
                for name, terms in (
                    ("ProposeAgreement", TERMS),
                    ("CounterAgreement", TERMS),
                    ("SignAgreement", PROPOSED),
                )
            ),
            Statement(
                "WithdrawAgreement",
                AGREEMENT_WITHDRAWAL,
                AgreementWithdrawal.DESCRIPTOR,
                (withdrawal(),),
                (AGREEMENTS["grocery"],),
            ),
            Statement(
                "TerminateAgreement",
                AGREEMENT_TERMINATION,
                AgreementTermination.DESCRIPTOR,
                (termination(),),
                (AGREEMENTS["grocery"],),
            ),
            Statement(
                "RegisterKey",
                KEY_EVENT,
                key_pb2.KeyEvent.DESCRIPTOR,
                (key_event(), key_event("fuel")),
                (NEW_KEY, OPERATOR),
            ),
            Statement(
                "RevokeKey",
                KEY_EVENT,
                key_pb2.KeyEvent.DESCRIPTOR,
                (revocation(), revocation("fuel"), revocation(key_id="0" * 32)),
                (OPERATOR,),
            ),
            Statement(
                "ConfirmLink",
                LINK_CONFIRMATION,
                links.LinkConfirmation.DESCRIPTOR,
                (confirmation(), confirmation(method=links.LINK_METHOD_IN_PERSON)),
                SIGNERS[:1],
            ),
            Statement(
                "ConfirmCredit",
                CREDIT_CONFIRMATION,
                program_service.CreditConfirmation.DESCRIPTOR,
                (answer(), answer(RESERVED), answer(outcome=program_service.CREDIT_OUTCOME_NEVER)),
                SIGNERS[:1],
            ),
            Statement(
                "RequestWithdrawal",
                COLLATERAL_WITHDRAWAL,
                collateral.CollateralWithdrawal.DESCRIPTOR,
                (collateral_withdrawal(), collateral_withdrawal(2)),
                (AGREEMENTS["grocery"],),
            ),
            Statement(
                "SubmitSettlementAccount",
                SETTLEMENT_ACCOUNT,
                accounts.SettlementAccountEvent.DESCRIPTOR,
                (bank_account(), bank_account(2)),
                (AGREEMENTS["grocery"],),
            ),
            Statement(
                "ConfirmPayment",
                PAYMENT_CONFIRMATION,
                pairs.PaymentConfirmation.DESCRIPTOR,
                (payment_confirmation(), payment_confirmation(amount=1)),
                (AGREEMENTS["grocery"],),
            ),
            Statement(
                "Act",
                OPERATOR_ACTION,
                OperatorAction.DESCRIPTOR,
                (action(OPEN_WINDOW, ACTED, 1), action(OPEN_WINDOW, ACTED, 2)),
                (OPERATOR,),
            ),
        )
    }
)
TYPES = (
    TRANSFER_ORDER,
    REVERSAL_ORDER,
    RATE_AGREEMENT,
    KEY_EVENT,
    OPERATOR_ACTION,
    TRANSFER_RECEIPT,
    "text/plain",
    "x" * 200,
    "é",
)

WITHOUT_MONEY = MappingProxyType(
    {
        "MakePayOutFile": Reason.LEG_STATE,
        "GetPayOutFile": Reason.FIELD_INVALID,
        "RejectPayOutFile": Reason.FIELD_INVALID,
        "DrawCollateral": Reason.LEG_STATE,
        "WithdrawOwnFunds": Reason.FIELD_INVALID,
        "RecallOwnFunds": Reason.FIELD_INVALID,
        "ConfirmPayment": Reason.LEG_STATE,
        "IssueInvoices": Reason.WINDOW_STATE,
        "GetInvoice": Reason.INVOICE_UNKNOWN,
        "GetBalanceConfirmation": Reason.WINDOW_STATE,
        "ConfirmBalance": Reason.FIELD_INVALID,
        "LockPeriod": Reason.PERIOD_STATE,
        "ReopenPeriod": Reason.PERIOD_STATE,
        "GetDraft": Reason.WINDOW_STATE,
        "GetDispute": Reason.DISPUTE_UNKNOWN,
        "EndDispute": Reason.DISPUTE_UNKNOWN,
        "UnwindPartner": Reason.WINDOW_STATE,
        "AcknowledgeStatement": Reason.FIELD_INVALID,
        "DisputeLines": Reason.TRANSFER_UNKNOWN,
        "SetColumnMapping": Reason.FIELD_INVALID,
        **dict.fromkeys(
            (
                *("GetColumnMapping", "RunReconciliation", "GetReconciliation", "GetBreak"),
                *("AssignBreak", "CommentBreak", "ResolveBreak", "WriteOffBreak"),
            ),
            Reason.RECONCILIATION_UNKNOWN,
        ),
    }
)
"""How good requests are answered that need what the history has not: money at the bank, a month
that is over, a dispute, a partner's own file.
"""


def top_up() -> settlement.ImportBankFileRequest:
    """What grocery has put up, so that it can ask for some of it back."""
    entry = ("c-1", "2026-07-14", "50.00", "collateral", "Grocery")
    content = bank_file("0", [entry], "50.00", Scheme(make.CURRENCY).collateral_account_id)
    owners = [bank.EntryOwner(entry_id="c-1", partner_id="grocery")]
    return settlement.ImportBankFileRequest(content=content.encode(), owners=owners)


PARTNERS_OWN = frozenset(
    {
        *("CreateTransfer", "BatchCreateTransfers", "GetTransfer", "ListReceipts"),
        *("WatchTransfers", "ReverseTransfer"),
        *(
            "ListTransfers",
            "SimulateTransfer",
            "CreateQuote",
            "CancelTransfer",
            "PullCredits",
            "ConfirmCredit",
            "ProposeAgreement",
            "SignAgreement",
        ),
        *("StartLink", "ConfirmLink", "RevokeLink", "ValidateMember"),
        *("CounterAgreement", "WithdrawAgreement", "TerminateAgreement"),
        "RequestWithdrawal",
        "SubmitSettlementAccount",
        "ConfirmBalance",
        *("AcknowledgeStatement", "DisputeLines"),
        *("SetColumnMapping", "UploadReconciliation", "RunReconciliation"),
        "ConfirmPayment",
    }
)
"""The methods that only a partner calls; the others are carried out for an operator."""


def balance_confirmation() -> SignedEnvelope:
    """A balance that a partner signed, of a month that is not over."""
    payload = month.BalanceConfirmation(
        audience=make.AUDIENCE,
        partner_id="grocery",
        currency=make.CURRENCY,
        month="2026-07",
        signing_key_id=make.RECEIPTS.key_id,
    ).SerializeToString(deterministic=True)
    signed = envelope(BALANCE_CONFIRMATION, payload, (AGREEMENTS["grocery"],))
    return envelope_to_proto(signed)


def acknowledgement() -> SignedEnvelope:
    """What a partner signs under a statement; of another version than the one that is stated."""
    payload = stated.StatementAcknowledgement(
        audience=make.AUDIENCE,
        partner_id="grocery",
        window_id=make.WINDOW,
        statement_sha256=bytes(32),
        issued_at_us=1,
    ).SerializeToString(deterministic=True)
    signed = envelope(STATEMENT_ACKNOWLEDGEMENT, payload, (AGREEMENTS["grocery"],))
    return envelope_to_proto(signed)


def line_dispute() -> SignedEnvelope:
    """A partner's dispute of a line that no statement has."""
    payload = stated.LineDispute(
        audience=make.AUDIENCE,
        dispute_id=make.transfer_id(950).bytes,
        partner_id="grocery",
        line_ids=[make.transfer_id(999).bytes],
        reason=stated.DISPUTE_REASON_NOT_CREDITED,
        comment="the member has nothing",
        issued_at_us=1,
    ).SerializeToString(deterministic=True)
    return envelope_to_proto(envelope(DISPUTE, payload, (AGREEMENTS["grocery"],)))


def bank_file(
    opening: str = "0",
    entries: Sequence[Sequence[str]] = (),
    closing: str = "0",
    account: str = Scheme(make.CURRENCY).settlement_account_id,
) -> str:
    """A bank file of the coalition's currency."""
    rows = (
        ("POINTCLEAR-BANK-STATEMENT", "1"),
        ("STATEMENT", "day-1"),
        ("ACCOUNT", account),
        ("CURRENCY", make.CURRENCY),
        ("OPENING", opening),
        *(("ENTRY", *each) for each in entries),
        ("CLOSING", closing),
        ("END", str(len(entries))),
    )
    return "".join(",".join(row) + "\r\n" for row in rows)


def new_partner() -> partners.RegisterPartnerRequest:
    """A good registration."""
    partner = partners.Partner(partner_id="bakery", legal_name="Bakery", programs=["bakery"])
    partner.settlement_account.currency = make.CURRENCY
    partner.settlement_account.net_debit_cap = 10**9
    return partners.RegisterPartnerRequest(partner=partner)


def new_operator() -> operators.AddOperatorRequest:
    """A good registration."""
    key = SeedSigner(b"the key of one who comes to help")
    event = key_event(
        "",
        holder="operator/helper",
        purpose=key_pb2.KEY_PURPOSE_OPERATOR,
        public_key=key.public_key,
    )
    return operators.AddOperatorRequest(
        operator=operators.Operator(name="helper", roles=[operators.ROLE_AUDITOR]),
        key_event=envelope_to_proto(envelope(KEY_EVENT, event, (key,))),
    )


DECIDING: dict[str, Callable[..., Message]] = {
    "ReleaseTransfer": exchange.ReleaseTransferRequest,
    "RefuseTransfer": exchange.RefuseTransferRequest,
    "CancelTransfer": exchange.CancelTransferRequest,
}
"""What ends a hold."""


def good_requests() -> dict[str, Message]:
    """A request of every method that is carried out, by the right caller."""
    wanted = exchange.TransferFilter(
        state=TRANSFER_STATE_COMMITTED,
        program="grocery",
        counterparty="fuel",
        window_id=make.WINDOW,
        recorded_from=time_to_proto(make.NOW - timedelta(days=1)),
        recorded_until=time_to_proto(make.NOW + timedelta(days=1)),
        partner_reference="till 7",
    )
    entry = ("e-1", "2026-07-15", "12.30", "RF18 5390 0754 7034", "Nobody")
    return {
        **{name: statement.good for name, statement in STATEMENTS.items()},
        "GetTransfer": exchange.GetTransferRequest(transfer_id=make.transfer_id(1).bytes),
        "ListReceipts": exchange.ListReceiptsRequest(after_stream_seq=1, page_size=2),
        "WatchTransfers": exchange.WatchTransfersRequest(after_stream_seq=1, heartbeat_seconds=1),
        "ListTransfers": exchange.ListTransfersRequest(filter=wanted, page_size=2),
        "SimulateTransfer": exchange.SimulateTransferRequest(
            source_program="grocery", target_program="fuel", source_points=100
        ),
        "CreateQuote": exchange.CreateQuoteRequest(
            quote_id=make.quote_id(1).bytes,
            source_program="grocery",
            target_program="fuel",
            source_points=100,
        ),
        **{
            name: request(transfer_id=make.transfer_id(number).bytes)
            for number, (name, request) in zip(HELD_ORDERS, DECIDING.items(), strict=True)
        },
        "ListHeldTransfers": exchange.ListHeldTransfersRequest(page_size=2),
        "PullCredits": exchange.PullCreditsRequest(program="grocery", page_size=2),
        "ListDeliveries": exchange.ListDeliveriesRequest(program="grocery", page_size=2),
        "ResolveTransfer": exchange.ResolveTransferRequest(
            transfer_id=make.transfer_id(RESERVED).bytes,
            credited=True,
            evidence=b"a letter",
            evidence_type="text/plain",
        ),
        "GetPosition": exchange.GetPositionRequest(partner_id="grocery"),
        "ListCorridors": exchange.ListCorridorsRequest(page_size=2),
        "RegisterPartner": new_partner(),
        "StartLink": links.StartLinkRequest(
            link_id=make.link_id(3).bytes,
            source_program="grocery",
            target_program="deli",
            member="grocery-member",
            member_salt=make.link_member("grocery").salt,
        ),
        "RevokeLink": links.RevokeLinkRequest(link_id=make.link_id(4).bytes),
        "ListLinks": links.ListLinksRequest(
            state=links.LINK_STATE_ACTIVE, program="grocery", page_size=2
        ),
        "FreezeLink": links.FreezeLinkRequest(
            change_id=make.transfer_id(1).bytes, link_id=make.link_id(4).bytes
        ),
        "UnfreezeLink": links.UnfreezeLinkRequest(
            change_id=make.transfer_id(2).bytes, link_id=make.link_id(4).bytes
        ),
        "RequireLinks": links.RequireLinksRequest(
            change_id=make.transfer_id(3).bytes, program="deli", required=False
        ),
        "ValidateMember": links.ValidateMemberRequest(
            program="fuel", member="fuel-member", consent_version="sharing-1"
        ),
        "EraseMember": links.EraseMemberRequest(
            program="deli", member="deli-member", salt=bytes(32)
        ),
        "ListPartners": partners.ListPartnersRequest(),
        "ListKeys": partners.ListKeysRequest(holder="partner/grocery"),
        "AddTaxRate": partners.AddTaxRateRequest(
            rate=partners.TaxRate(
                tax_code="vat6",
                basis_points=500,
                effective_from=time_to_proto(make.NOW + timedelta(days=1)),
            )
        ),
        "ListTaxRates": partners.ListTaxRatesRequest(page_size=2),
        "ActivateAgreement": partners.ActivateAgreementRequest(agreement_id="fuel-deli", version=2),
        "EndAgreement": partners.EndAgreementRequest(
            agreement_id="fuel-deli",
            version=2,
            effective_until=time_to_proto(make.NOW + timedelta(days=30)),
        ),
        "GetAgreement": partners.GetAgreementRequest(agreement_id="grocery-fuel", version=1),
        "ListAgreements": partners.ListAgreementsRequest(page_size=2),
        "SetSwitches": limits.SetSwitchesRequest(
            change_id=make.transfer_id(71).bytes,
            switches=limits.Switches(partner=limits.PartnerSwitches(partner_id="deli")),
        ),
        "ListSwitches": limits.ListSwitchesRequest(),
        "SetLimits": limits.SetLimitsRequest(
            change_id=make.transfer_id(72).bytes,
            limits=limits.Limits(
                partner=limits.PartnerLimits(
                    partner_id="deli",
                    funding=limits.FUNDING_CAPPED,
                    net_debit_cap=make.CAP,
                )
            ),
        ),
        "ListLimits": limits.ListLimitsRequest(),
        "SetRoute": routes.SetRouteRequest(
            change_id=make.transfer_id(73).bytes,
            route=routes.Route(program_id="deli", kind=routes.ROUTE_KIND_PULL),
        ),
        "ListRoutes": routes.ListRoutesRequest(),
        "AddOperator": new_operator(),
        "GrantRole": operators.GrantRoleRequest(operator="li-na", role=operators.ROLE_RATES),
        "WithdrawRole": operators.WithdrawRoleRequest(
            operator="li-na", role=operators.ROLE_AUDITOR
        ),
        # Of a brand that no order names: the others go on trading.
        **{
            f"{step}Partner": getattr(operators, f"{step}PartnerRequest")(partner_id="bakery")
            for step in ("Activate", "Suspend", "Resume", "Exit")
        },
        "ListOperators": operators.ListOperatorsRequest(),
        "GetAction": actions.GetActionRequest(action_id=make.transfer_id(1).bytes),
        "ListActions": actions.ListActionsRequest(after_log_index=-1, page_size=2),
        "OpenWindow": settlement.OpenWindowRequest(
            currency=make.CURRENCY, business_date=make.DAY_ONE.isoformat()
        ),
        "CloseWindow": settlement.CloseWindowRequest(
            window_id=make.WINDOW, next_business_date="2026-07-16"
        ),
        "ListWindows": settlement.ListWindowsRequest(page_size=2),
        "SettleWindow": settlement.SettleWindowRequest(window_id=make.WINDOW),
        "ImportBankFile": settlement.ImportBankFileRequest(
            currency=make.CURRENCY,
            content=bank_file("0", [entry], "12.30").encode(),
        ),
        "ListBankFiles": bank.ListBankFilesRequest(currency=make.CURRENCY, page_size=2),
        "ListSuspense": bank.ListSuspenseRequest(currency=make.CURRENCY),
        "ResolveSuspense": bank.ResolveSuspenseRequest(
            currency=make.CURRENCY,
            item_ids=["e-1"],
            payee=bank.Payee(name="Somebody", account="DE89370400440532013000"),
        ),
        "SetScheme": scheme.SetSchemeRequest(
            change_id=make.transfer_id(74).bytes,
            scheme=scheme.Scheme(
                currency=make.CURRENCY,
                cut_off="17:30",
                zone="Europe/Berlin",
                banking_calendar="XECB",
                due_days=1,
                unwind_after_days=3,
                settlement_account="DE89370400440532013000",
                bank_bic="COBADEFFXXX",
                operator_name="Pointclear",
            ),
        ),
        "GetScheme": scheme.GetSchemeRequest(currency=make.CURRENCY),
        "ListSchemes": scheme.ListSchemesRequest(),
        "GetStatement": settlement.GetStatementRequest(window_id=make.WINDOW, partner_id="grocery"),
        "DownloadLineFile": settlement.DownloadLineFileRequest(
            window_id=make.WINDOW, partner_id="grocery"
        ),
        "GetDraft": approval.GetDraftRequest(window_id=make.WINDOW),
        "ListDisputes": approval.ListDisputesRequest(currency=make.CURRENCY, with_ended=True),
        "GetDispute": approval.GetDisputeRequest(subject="dispute/none"),
        "EndDispute": approval.EndDisputeRequest(
            subject="nothing", outcome=approval.DISPUTE_OUTCOME_REJECTED, text="it was credited"
        ),
        "GetApproval": approval.GetApprovalRequest(window_id=make.WINDOW),
        "AbortWindow": approval.AbortWindowRequest(window_id=make.WINDOW, reason="the bank"),
        "UnwindPartner": approval.UnwindPartnerRequest(window_id=make.WINDOW, partner_id="grocery"),
        "SetColumnMapping": reconciliation.SetColumnMappingRequest(mapping=b"{}"),
        "GetColumnMapping": reconciliation.GetColumnMappingRequest(partner_id="grocery"),
        "UploadReconciliation": reconciliation.UploadReconciliationRequest(
            file_sha256=hashlib.sha256(b"a,b").digest(), file_bytes=3, chunk=b"a,b"
        ),
        "RunReconciliation": reconciliation.RunReconciliationRequest(
            file_sha256=hashlib.sha256(b"a,b").digest(),
            file_name="own.csv",
            first_window_id=make.WINDOW,
            last_window_id=make.WINDOW,
        ),
        "GetReconciliation": reconciliation.GetReconciliationRequest(
            partner_id="grocery", run_id="R1"
        ),
        "ListBreaks": reconciliation.ListBreaksRequest(partner_id="grocery", page_size=2),
        "GetBreak": reconciliation.GetBreakRequest(partner_id="grocery", break_id="B1"),
        "AssignBreak": reconciliation.AssignBreakRequest(
            partner_id="grocery", break_id="B1", owner="eve"
        ),
        "CommentBreak": reconciliation.CommentBreakRequest(
            partner_id="grocery", break_id="B1", text="asked"
        ),
        "ResolveBreak": reconciliation.ResolveBreakRequest(
            partner_id="grocery", break_id="B1", explained=True, text="in transit"
        ),
        "WriteOffBreak": reconciliation.WriteOffBreakRequest(
            partner_id="grocery", break_id="B1", text="too small"
        ),
        "AcknowledgeStatement": approval.AcknowledgeStatementRequest(
            acknowledgement=acknowledgement()
        ),
        "DisputeLines": approval.DisputeLinesRequest(dispute=line_dispute()),
        "ListReports": reports.ListReportsRequest(period=make.WINDOW, partner_id="grocery"),
        "DownloadReport": reports.DownloadReportRequest(
            period=make.WINDOW, partner_id="grocery", kind="statement", format="csv", version=1
        ),
        "ExportBooks": reports.ExportBooksRequest(format="beancount"),
        "SetAccountMap": reports.SetAccountMapRequest(
            partner_id="grocery",
            accounts=[
                reports.AccountMapping(item="fees", account="6010"),
                reports.AccountMapping(item="fee-tax", code="vat6", account="1420"),
            ],
        ),
        "GetAccountMap": reports.GetAccountMapRequest(partner_id="grocery"),
        "ApproveWithdrawal": collateral.ApproveWithdrawalRequest(
            withdrawal_id=make.transfer_id(901).bytes,
            sha256=hashlib.sha256(collateral_withdrawal()).digest(),
        ),
        "RefuseWithdrawal": collateral.RefuseWithdrawalRequest(
            withdrawal_id=make.transfer_id(902).bytes
        ),
        "ListCollateral": collateral.ListCollateralRequest(partner_id="grocery"),
        "BookAdjustment": adjustments.BookAdjustmentRequest(
            kind=adjustments.ADJUSTMENT_KIND_ADJUSTMENT,
            currency=make.CURRENCY,
            payer="grocery",
            payee="hub.losses",
            amount=5,
            relates_to=make.WINDOW,
        ),
        "ListAdjustments": adjustments.ListAdjustmentsRequest(partner_id="grocery"),
        "ApproveSettlementAccount": accounts.ApproveSettlementAccountRequest(
            partner_id="grocery", version=1, sha256=hashlib.sha256(bank_account()).digest()
        ),
        "RefuseSettlementAccount": accounts.RefuseSettlementAccountRequest(
            partner_id="grocery", version=1
        ),
        "ListSettlementAccounts": accounts.ListSettlementAccountsRequest(partner_id="grocery"),
        "SetInvoicing": month.SetInvoicingRequest(
            currency=make.CURRENCY,
            invoicing=month.Invoicing(
                supplier="bakery",
                customer="grocery",
                type=month.SUPPLY_TYPE_VALUE,
                mode=month.INVOICING_MODE_SELF_BILLED,
                agreement="SB-7",
                series="SB",
            ),
        ),
        "SetBillingDetails": billing.SetBillingDetailsRequest(
            currency=make.CURRENCY,
            party="bakery",
            details=billing.BillingDetails(
                name="Bakery GmbH",
                address=accounts.PostalAddress(
                    street="Hauptstrasse",
                    building="1",
                    postcode="60311",
                    town="Frankfurt",
                    country="DE",
                ),
                tax_number="DE136695976",
                tax_country="DE",
            ),
            effective_from="2026-08-01",
        ),
        "ListBillingDetails": billing.ListBillingDetailsRequest(
            currency=make.CURRENCY, party="bakery"
        ),
        "ListInvoicing": month.ListInvoicingRequest(currency=make.CURRENCY),
        "IssueInvoices": month.IssueInvoicesRequest(currency=make.CURRENCY, month="2026-07"),
        "ListInvoices": month.ListInvoicesRequest(
            currency=make.CURRENCY, month="2026-07", partner_id="grocery", page_size=2
        ),
        "GetInvoice": month.GetInvoiceRequest(invoice_id="hub/FEE/1"),
        "MakePayOutFile": payouts.MakePayOutFileRequest(window_id=make.WINDOW, number=1),
        "GetPayOutFile": payouts.GetPayOutFileRequest(
            window_id=make.WINDOW, number=1, format="csv"
        ),
        "ListPayOutFiles": payouts.ListPayOutFilesRequest(window_id=make.WINDOW),
        "RejectPayOutFile": payouts.RejectPayOutFileRequest(window_id=make.WINDOW, number=1),
        "GetPaymentRequest": payouts.GetPaymentRequestRequest(
            window_id=make.WINDOW, partner_id="grocery"
        ),
        "GetRemittanceAdvice": payouts.GetRemittanceAdviceRequest(
            window_id=make.WINDOW, partner_id="grocery"
        ),
        "ListPairLegs": pairs.ListPairLegsRequest(window_id=make.WINDOW),
        "ListOverdue": overdue.ListOverdueRequest(currency=make.CURRENCY),
        "DrawCollateral": overdue.DrawCollateralRequest(
            window_id=make.WINDOW, reference="RF25W000001P0001"
        ),
        "ListOwnFunds": own_funds.ListOwnFundsRequest(currency=make.CURRENCY),
        "WithdrawOwnFunds": own_funds.WithdrawOwnFundsRequest(
            currency=make.CURRENCY, account="hub.fees", amount=10_000, number=1
        ),
        "RecallOwnFunds": own_funds.RecallOwnFundsRequest(currency=make.CURRENCY, number=1),
        "GetUnwindReport": overdue.GetUnwindReportRequest(
            window_id=make.WINDOW, partner_id="grocery"
        ),
        "GetBalanceConfirmation": month.GetBalanceConfirmationRequest(
            month="2026-07", partner_id="grocery"
        ),
        "ConfirmBalance": month.ConfirmBalanceRequest(confirmation=balance_confirmation()),
        "GetAgeing": month.GetAgeingRequest(currency=make.CURRENCY, as_of="2026-07-31"),
        "GetAccruals": month.GetAccrualsRequest(currency=make.CURRENCY, month="2026-07"),
        "GetPromotionCosts": month.GetPromotionCostsRequest(
            currency=make.CURRENCY, month="2026-07"
        ),
        "GetCloseChecklist": month.GetCloseChecklistRequest(
            currency=make.CURRENCY, period="2026-07"
        ),
        "LockPeriod": month.LockPeriodRequest(
            currency=make.CURRENCY,
            period="2026-07",
            explanations=[month.Explanation(item="suspense", text="asked at the bank")],
        ),
        "ReopenPeriod": month.ReopenPeriodRequest(
            currency=make.CURRENCY, period="2026-07", reason="an invoice of theirs came late"
        ),
        "ExportAudit": month.ExportAuditRequest(first_day="2026-07-01", last_day="2026-07-31"),
        "DownloadMonthPaper": month.DownloadMonthPaperRequest(
            paper=month.MONTH_PAPER_AGEING,
            format=month.MONTH_FORMAT_CSV,
            currency=make.CURRENCY,
            period="2026-07-31",
            partner_id="grocery",
        ),
    }
