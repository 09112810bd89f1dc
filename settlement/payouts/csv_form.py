"""Pay-out files as CSV: for banks and people that take no pain.001. Pure.

    HEAD     message id, time of creation, execution date, the account that pays
    PAYMENT  one for each payment, in the order of the legs
    TOTAL    how many there are and their sum
    END      the end marker, last

RFC 4180, CRLF, UTF-8. Texts that a spreadsheet would run are neutralised (`partners.cells`).
"""

import csv
import io

from partners.cells import neutralised
from settlement.accounts.account import is_iban
from settlement.payouts.instruction import (
    Instructed,
    PayoutFile,
    decimal_amount,
    moment_text,
    scale_of,
)

COLUMNS = (
    *("row", "reference", "partner_id", "amount", "currency", "execution_date"),
    *("name", "iban", "number", "bic", "clearing_system", "clearing_member"),
    *("street", "building", "postcode", "town", "country"),
    *("account_version", "account_sha256"),
)


def write_csv(file: PayoutFile) -> bytes:
    """The file as CSV. Equal files give equal bytes."""
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\r\n")
    rows.writeheader()
    day, debtor = file.execution_date.isoformat(), file.debtor
    rows.writerow(
        {
            "row": "HEAD",
            "reference": file.message_id,
            "partner_id": moment_text(file.created_at),
            "currency": file.currency,
            "execution_date": day,
            "name": neutralised(debtor.name),
            "iban" if is_iban(debtor.account) else "number": neutralised(debtor.account),
            "bic": debtor.bic,
        }
    )
    rows.writerows(_payment(each, file, day) for each in file.payments)
    rows.writerow(
        {
            "row": "TOTAL",
            "reference": str(len(file.payments)),
            "amount": decimal_amount(file.total, scale_of(file)),
            "currency": file.currency,
        }
    )
    rows.writerow({"row": "END", "reference": file.message_id})
    return text.getvalue().encode()


def _payment(payment: Instructed, file: PayoutFile, day: str) -> dict[str, str]:
    account, address = payment.account, payment.account.address
    return {
        "row": "PAYMENT",
        "reference": payment.reference,
        "partner_id": payment.partner_id,
        "amount": decimal_amount(payment.amount, scale_of(file)),
        "currency": file.currency,
        "execution_date": day,
        "name": neutralised(account.name),
        "iban": account.iban,
        "number": neutralised(account.other),
        "bic": account.bic,
        "clearing_system": account.clearing_system,
        "clearing_member": account.clearing_member,
        "street": neutralised(address.street),
        "building": neutralised(address.building),
        "postcode": neutralised(address.postcode),
        "town": neutralised(address.town),
        "country": address.country,
        "account_version": str(payment.account_version),
        "account_sha256": payment.account_sha256,
    }
