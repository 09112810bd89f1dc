"""Billing details: what can be recorded, what holds when, and what documents show of them."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pypdfium2
import pytest

from partners.errors import Reason, Refused
from settlement.accounts.account import Address
from settlement.month.billing.details import (
    BillingDetails,
    DetailsChange,
    DetailsVersion,
    change_from,
    check_change,
    versions_on,
)
from settlement.month.billing.lacking import (
    check_issuable,
    forbidding,
    lacks_text,
    parties_without_details,
)
from settlement.month.invoices import (
    Document,
    DocumentKind,
    TaxSum,
    document_body,
    document_from,
)
from settlement.month.invoicing import Mode
from settlement.month.papers.invoice_pdf import invoice_pdf
from settlement.month.store import Issued
from settlement.month.supplies import Item, Pair, SupplyType, Title

GERMAN = BillingDetails(
    "Borealis GmbH", Address("Hauptstrasse", "1", "60311", "Frankfurt", "DE"), "DE136695976"
)
CHINESE = BillingDetails(
    "曙光航空有限公司",
    Address("世纪大道", "100", "200120", "上海", "CN"),
    "91110000600037341L",
)
AMERICAN = BillingDetails("Cirrus Inc", Address("", "", "", "Boston", "US"))


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("DE136695976", ""),
        ("EL094259216", "GR"),
        ("XI432525179", "XI"),
        ("GB980780684", "GB"),
        ("CHE-107.787.577 MWST", "CH"),
        ("91110000600037341L", "CN"),
        ("51 824 753 556", "AU"),
        ("27AAPFU0939F1ZV", "IN"),
        ("NO 995 525 828 MVA", "NO"),
        ("12-3456789", "US"),
        ("", ""),
    ],
)
def test_numbers_that_a_country_gives_are_let_in(number: str, country: str) -> None:
    details = replace(GERMAN, tax_number=number, tax_country=country)
    check_change(DetailsChange("borealis", details))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"tax_number": "DE136695977"}, "details.tax_number"),
        ({"tax_number": "136695976"}, "details.tax_number"),
        ({"tax_number": "FR40303265045"}, "details.tax_number"),
        ({"tax_number": "GB980780685", "tax_country": "GB"}, "details.tax_number"),
        ({"tax_number": "CHE-107.787.577", "tax_country": "CH"}, "details.tax_number"),
        ({"tax_number": "1" * 36, "tax_country": "US"}, "details.tax_number"),
        ({"tax_number": "12\n3", "tax_country": "US"}, "details.tax_number"),
        ({"tax_number": "", "tax_country": "US"}, "details.tax_number"),
        ({"tax_country": "Germany"}, "details.tax_country"),
        ({"name": ""}, "details.name"),
        ({"name": "x" * 141}, "details.name"),
        ({"address": replace(GERMAN.address, town="")}, "details.address.town"),
        ({"address": replace(GERMAN.address, country="de")}, "details.address.country"),
    ],
)
def test_details_that_cannot_stand_on_a_document_are_refused_by_field(
    changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_change(DetailsChange("borealis", replace(GERMAN, **changes)))
    assert (refused.value.reason, refused.value.field) == (Reason.FIELD_INVALID, field)


def version(index: int, day: int, since: int | None, name: str) -> DetailsVersion:
    details = replace(GERMAN, name=name)
    effective_from = date(2017, 1, since) if since else None
    recorded_at = datetime(2017, 1, day, 23, 59, tzinfo=UTC)
    return DetailsVersion(DetailsChange("borealis", details, effective_from), recorded_at, index)


def test_the_latest_day_that_has_come_holds_and_nothing_before_it_was_recorded() -> None:
    versions = (
        version(1, 2, None, "first"),
        version(2, 3, 20, "announced"),
        version(3, 10, None, "corrected"),
        version(4, 25, 5, "too late to hold before"),
    )
    held = [versions_on(date(2017, 1, day), versions) for day in (1, 2, 9, 10, 19, 20, 24, 25)]
    names = [each["borealis"].change.details.name if each else "" for each in held]
    assert names == [
        *("", "first", "first", "corrected", "corrected", "announced", "announced"),
        "too late to hold before",
    ]


def test_a_change_is_read_as_it_was_recorded() -> None:
    for since in (None, date(2017, 2, 1)):
        change = DetailsChange("hub", CHINESE, since)
        assert change_from(change.body) == change


def document(**changes: Any) -> Document:
    """A self-billed invoice of January, partly taxed."""
    taxed = Title("aurora-miles", "borealis-points", "rich-1", "", "VAT", 1900, False)
    items = (
        Item(taxed, 12, 3400, 100_000000, 19_000000),
        Item(replace(taxed, tax_code="", tax_basis_points=0), 1, 100, 7_000000, 0),
    )
    usual: dict[str, Any] = {
        "kind": DocumentKind.INVOICE,
        "month": "2017-01",
        "currency": "EUR",
        "scale": 6,
        "pair": Pair("borealis", "aurora", SupplyType.VALUE),
        "supplier_name": "Borealis",
        "customer_name": "Aurora",
        "mode": Mode.SELF_BILLED,
        "agreement": "SB-2017-7",
        "issuer": "aurora",
        "series": "SB-VAL",
        "items": items,
        "corrects": (),
        "net": 107_000000,
        "taxes": (TaxSum("VAT", 1900, 100_000000, 19_000000),),
        "tax": 19_000000,
        "rounding": 0,
        "windows": ("eur-2017-01-31",),
        "number": 1,
    }
    return Document(**{**usual, **changes})


BOTH = {"supplier_details": GERMAN, "customer_details": CHINESE}


def text_of(issued: Document) -> str:
    """The text of a document's paper."""
    content = invoice_pdf(Issued(issued, datetime(2017, 2, 1, 9, tzinfo=UTC), 77))
    with pypdfium2.PdfDocument(content) as paper:
        return " ".join(page.get_textpage().get_text_bounded() for page in paper)


@pytest.mark.parametrize("changes", [{}, BOTH, {"customer_details": AMERICAN}])
def test_a_document_is_read_as_it_was_issued(changes: dict[str, Any]) -> None:
    issued = document(**changes)
    body = document_body(issued)
    assert document_from(body) == issued
    # What was issued before there were details has no word of them.
    assert (b"_details" in body) == bool(changes)


def test_a_paper_shows_what_tax_law_asks_of_an_invoice() -> None:
    shown = " ".join(text_of(document(**BOTH)).split())
    for each in (
        *("Self-billed invoice", "SB-VAL-000001", "2017-02-01", "2017-01-01 to 2017-01-31"),
        *("Hauptstrasse 1", "60311 Frankfurt, DE", "VAT number DE136695976"),
        *("世纪大道 100", "200120 上海, CN", "91110000600037341L"),
        "Self-billing issued by the customer in the supplier's name, under the agreement SB-2017-7",
        *("Tax VAT, 19 % of 100.000000", "No tax, of 7.000000", "126.000000"),
    ):
        assert each in shown, each


def test_a_british_supplier_is_told_whose_tax_a_self_billed_invoice_shows() -> None:
    british = replace(GERMAN, tax_number="GB980780684", tax_country="GB")
    told = "The VAT shown is your output tax due to HMRC."
    assert told in " ".join(text_of(document(**{**BOTH, "supplier_details": british})).split())
    own = document(**{**BOTH, "supplier_details": british}, mode=Mode.SUPPLIER)
    assert not any(told in " ".join(text_of(each).split()) for each in (own, document(**BOTH)))


def test_a_paper_without_details_is_what_it_was_before_there_were_any() -> None:
    shown = text_of(document())
    assert "Month" in shown
    assert not any(each in shown for each in ("Supplied", "VAT number", "No tax"))


def test_only_what_charges_tax_is_kept_from_being_issued() -> None:
    without = replace(document(), taxes=(TaxSum("ZERO", 0, 100_000000, 0),), tax=0)
    tiny = replace(document(), taxes=(TaxSum("VAT", 1900, 10, 0),), tax=0)
    assert len(forbidding([without, tiny])) == 2
    check_issuable([document(**BOTH), without])
    assert parties_without_details([document(**BOTH), without]) == ("aurora", "borealis")
    unregistered = document(supplier_details=replace(GERMAN, tax_number=""))
    with pytest.raises(Refused) as refused:
        check_issuable([without, unregistered])
    assert (refused.value.reason, refused.value.field) == (Reason.PERIOD_STATE, "month")
    assert refused.value.metadata == {"parties": "aurora,borealis"}
    assert lacks_text(forbidding([unregistered])) == (
        "the billing details of aurora and the tax number of borealis"
    )


def test_a_refusal_names_no_more_parties_than_can_be_read() -> None:
    pairs = [Pair(f"brand-{place:02d}", "hub", SupplyType.PROMOTION) for place in range(30)]
    text = lacks_text(forbidding(document(pair=each) for each in pairs))
    assert text.endswith("brand-19 and 11 more")
