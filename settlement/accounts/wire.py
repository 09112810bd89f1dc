"""Between the wire's messages and partners' bank accounts as values."""

from datetime import datetime

from partners.errors import Reason, Refused
from partners.points import check_id, currency_scale
from partners.wire import parse_strictly, time_from_proto, time_to_proto
from pointclear.settlement.v1 import account_pb2 as pb
from settlement.accounts.account import (
    VERSION_MAX,
    AccountEvent,
    Address,
    BankAccount,
    check_account,
)
from settlement.accounts.versions import AccountState, AccountVersion


def event_from_payload(payload: bytes, audience: str) -> AccountEvent:
    """What a `settlement-account` payload states; raises Refused for one that is malformed, for
    another exchange, or of an account that nobody could pay to.
    """
    message = parse_strictly(pb.SettlementAccountEvent(), payload)
    if message.audience != audience:
        raise Refused(Reason.AUDIENCE_WRONG, "audience", f"this exchange is {audience}")
    check_id(message.partner_id, "partner_id")
    currency_scale(message.currency)
    if not 1 <= message.version <= VERSION_MAX:
        raise Refused(Reason.FIELD_INVALID, "version", f"a version is 1 to {VERSION_MAX}")
    time_from_proto(message.issued_at, "issued_at")
    account = check_account(account_from_proto(message.account))
    return AccountEvent(message.partner_id, message.currency, message.version, account)


def account_from_proto(message: pb.BankAccount) -> BankAccount:
    """The account as a value; not checked yet."""
    return BankAccount(
        message.iban,
        message.other,
        message.bic,
        message.clearing_system,
        message.clearing_member,
        message.name,
        address_from_proto(message.address),
    )


def address_from_proto(message: pb.PostalAddress) -> Address:
    """The address as a value; not checked yet."""
    return Address(
        message.street, message.building, message.postcode, message.town, message.country
    )


def account_to_proto(account: BankAccount) -> pb.BankAccount:
    """The account as the wire shows it."""
    return pb.BankAccount(
        iban=account.iban,
        other=account.other,
        bic=account.bic,
        clearing_system=account.clearing_system,
        clearing_member=account.clearing_member,
        name=account.name,
        address=address_to_proto(account.address),
    )


def address_to_proto(address: Address) -> pb.PostalAddress:
    """The address as the wire shows it."""
    return pb.PostalAddress(
        street=address.street,
        building=address.building,
        postcode=address.postcode,
        town=address.town,
        country=address.country,
    )


def event_payload(audience: str, event: AccountEvent, issued_at: datetime) -> bytes:
    """The bytes that a partner signs."""
    return pb.SettlementAccountEvent(
        audience=audience,
        partner_id=event.partner_id,
        currency=event.currency,
        version=event.version,
        account=account_to_proto(event.account),
        issued_at=time_to_proto(issued_at),
    ).SerializeToString(deterministic=True)


def version_message(version: AccountVersion, state: AccountState) -> pb.SettlementAccountVersion:
    """A version as the wire shows it."""
    message = pb.SettlementAccountVersion(
        partner_id=version.event.partner_id,
        currency=version.event.currency,
        version=version.event.version,
        account=account_to_proto(version.event.account),
        sha256=version.sha256,
        state=pb.AccountState.Value(f"ACCOUNT_STATE_{state}"),
        log_index=version.submitted_index,
        submitted_at=time_to_proto(version.submitted_at),
    )
    if version.approval is not None:
        message.approved_at.CopyFrom(time_to_proto(version.approval.approved_at))
        message.effective_from.CopyFrom(time_to_proto(version.approval.effective_from))
    return message
