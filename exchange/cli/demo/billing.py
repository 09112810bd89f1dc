"""Who the demo's parties are on invoices, so that a deployment that is kept can issue them."""

from exchange.cli.connection import Connection
from exchange.cli.demo.coalition import BRANDS, CURRENCY
from partners.agreement import HUB
from pointclear.settlement.v1 import billing_pb2 as pb
from pointclear.settlement.v1.account_pb2 import PostalAddress

OPERATOR_NAME = "Pointclear demo"


def record_details(operator: Connection) -> None:
    """Record the billing details of the operator and of every brand. Raises Failed."""
    names = {HUB: OPERATOR_NAME} | {each.partner_id: each.legal_name for each in BRANDS}
    for place, (party, name) in enumerate(names.items(), 1):
        address = PostalAddress(
            street="Market Street", building=str(place), town="Springfield", country="US"
        )
        # No employer has a number that begins with 00.
        details = pb.BillingDetails(name=name, address=address, tax_number=f"00-{place:07d}")
        request = pb.SetBillingDetailsRequest(currency=CURRENCY, party=party, details=details)
        operator.call(operator.settlement.SetBillingDetails, request)
