"""Between the wire's messages and billing details."""

from partners.wire import time_to_proto
from pointclear.settlement.v1 import billing_pb2 as pb
from settlement.accounts.wire import address_from_proto, address_to_proto
from settlement.month.billing.details import BillingDetails, DetailsChange, DetailsVersion
from settlement.month.period import parse_day


def change_from_proto(request: pb.SetBillingDetailsRequest) -> DetailsChange:
    """What is to be recorded; not checked yet, but for the day (FIELD_INVALID)."""
    day = request.effective_from
    message = request.details
    return DetailsChange(
        request.party,
        BillingDetails(
            message.name,
            address_from_proto(message.address),
            message.tax_number,
            message.tax_country,
        ),
        parse_day(day, "effective_from") if day else None,
    )


def details_message(details: BillingDetails) -> pb.BillingDetails:
    """Details as the wire shows them."""
    return pb.BillingDetails(
        name=details.name,
        address=address_to_proto(details.address),
        tax_number=details.tax_number,
        tax_country=details.tax_country,
    )


def version_message(version: DetailsVersion, *, in_effect: bool) -> pb.BillingDetailsVersion:
    """A version as the wire shows it."""
    return pb.BillingDetailsVersion(
        party=version.change.party,
        details=details_message(version.change.details),
        effective_from=version.holds_from.isoformat(),
        is_in_effect=in_effect,
        recorded_at=time_to_proto(version.recorded_at),
        log_index=version.log_index,
    )
